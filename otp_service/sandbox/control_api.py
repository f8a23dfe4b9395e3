"""The desk at which the sandbox's gateways are looked at and scripted, while the service runs.

`GET /dev/gateways` shows each of them: where it listens, what it took, what is scripted, whom it called and what was
answered. `POST /dev/gateways/NAME` scripts one, as `scripting` has it, and shows it. Like everything under `/dev` it
asks for no key, because it is never served; it wants JSON by its media type, so that no page of another origin can
post to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from otp_service.api.problems import MEDIA_TYPE, PROBLEMS, problem_body
from otp_service.api.request_context import context_of
from otp_service.domain.errors import Reason, Refused
from otp_service.sandbox.simulated_gateways import SimulatedGateway, SimulatedGateways
from otp_service.sandbox.simulator_scripts import Scripts
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender
from otp_service.sandbox.try_page import App, Layer, message_members, other_method, reply

__all__ = ["control_api_layer"]

PATH: Final = "/dev/gateways"
JSON: Final = "application/json"
SHOWN: Final = 20
"""Messages and calls of one gateway, the newest ones."""


def control_api_layer(gateways: SimulatedGateways, scripts: Scripts) -> Layer:
    """Make the layer that serves the desk and passes everything else on."""

    def around(app: App) -> App:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or not (scope["path"] + "/").startswith(PATH + "/"):
                await app(scope, receive, send)
                return
            name = _named(scope)
            served = ("GET", "POST") if name else ("GET",)
            if scope["method"] not in served and name in ("", *gateways.by_name):
                await other_method(scope, send, served)
                return
            try:
                answer = await _answer(scope, receive, gateways, scripts)
            except Refused as refused:
                body = problem_body(refused, context_of(scope).request_id)
                await reply(send, MEDIA_TYPE, body, PROBLEMS[refused.reason][0])
            else:
                await reply(send, JSON, msgspec.json.encode(answer))

        return serve

    return around


def _named(scope: Mapping[str, Any]) -> str:
    """Read which gateway a path names; "": none, but all of them."""
    name: str = scope["path"].removeprefix(PATH).strip("/")
    return name


async def _answer(
    scope: Mapping[str, Any], receive: Any, gateways: SimulatedGateways, scripts: Scripts
) -> dict[str, Any]:
    name = _named(scope)
    if not name:
        return {"gateways": [_shown(gateway, scripts) for gateway in gateways.by_name.values()]}
    gateway = gateways.by_name.get(name)
    if gateway is None:
        raise Refused(Reason.NOT_FOUND, f"The gateways are {', '.join(gateways.by_name)}.")
    if scope["method"] == "POST":
        if dict(scope["headers"]).get(b"content-type", b"").split(b";")[0].strip().lower() != JSON.encode():
            raise Refused(Reason.MEDIA_TYPE_UNSUPPORTED, f"Send {JSON}.")
        scripts.apply(gateway, await _body(receive))
    return _shown(gateway, scripts)


def _shown(gateway: SimulatedGateway, scripts: Scripts) -> dict[str, Any]:
    simulator = gateway.simulator
    calls = simulator.sent_receipts[-SHOWN:][::-1] if isinstance(simulator, ReceiptSender) else []
    return {
        "name": gateway.name,
        "type": gateway.kind,
        "address": simulator.url,
        "listening": simulator.listening,
        "requests": len(simulator.requests),
        "taken": len(simulator.messages),
        "messages": [message_members(message) for message in gateway.messages()[:SHOWN]],
        "script": scripts.shown(gateway),
        "receipts": [{"url": call.url, "status": call.status, "at": call.at} for call in calls],
    }


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
