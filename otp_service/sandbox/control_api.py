"""The control API of the sandbox: inspect and script the simulated gateways while the service runs.

`GET /dev/gateways` returns each gateway's address, the messages it accepted, its script, and the receipts it sent
with the status of each response. `POST /dev/gateways/NAME` changes a script (see `simulator_scripts`) and returns the
gateway. Like everything under `/dev` it needs no API key, because `serve` does not have it. It accepts only
`application/json`, so that a page of another origin cannot post to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from otp_service.api.problems import MEDIA_TYPE, PROBLEMS, problem_body
from otp_service.api.request_context import context_of
from otp_service.domain.errors import Reason, Refused
from otp_service.sandbox.simulated_gateways import SimulatedGateway, SimulatedGateways
from otp_service.sandbox.simulator_scripts import SimulatorScripts
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender
from otp_service.sandbox.try_page import App, Middleware, message_members, reject_method, reply

__all__ = ["control_api_layer"]

PATH: Final = "/dev/gateways"
JSON: Final = "application/json"
MAX_SHOWN: Final = 20
"""The newest messages and receipts of each gateway that are returned."""


def control_api_layer(gateways: SimulatedGateways, scripts: SimulatorScripts) -> Middleware:
    """Return an ASGI middleware that serves the control API and passes other requests on."""

    def wrap(app: App) -> App:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or not (scope["path"] + "/").startswith(PATH + "/"):
                await app(scope, receive, send)
                return
            name = _gateway_name(scope)
            methods = ("GET", "POST") if name else ("GET",)
            if scope["method"] not in methods and name in ("", *gateways.by_name):
                await reject_method(scope, send, methods)
                return
            try:
                content = await _handle(scope, receive, gateways, scripts)
            except Refused as refused:
                body = problem_body(refused, context_of(scope).request_id)
                await reply(send, MEDIA_TYPE, body, PROBLEMS[refused.reason][0])
            else:
                await reply(send, JSON, msgspec.json.encode(content))

        return serve

    return wrap


def _gateway_name(scope: Mapping[str, Any]) -> str:
    """Return the gateway's name in the path; "" stands for all gateways."""
    name: str = scope["path"].removeprefix(PATH).strip("/")
    return name


async def _handle(
    scope: Mapping[str, Any], receive: Any, gateways: SimulatedGateways, scripts: SimulatorScripts
) -> dict[str, Any]:
    name = _gateway_name(scope)
    if not name:
        return {"gateways": [_describe(gateway, scripts) for gateway in gateways.by_name.values()]}
    gateway = gateways.by_name.get(name)
    if gateway is None:
        raise Refused(Reason.NOT_FOUND, f"Use the name of a gateway: {', '.join(gateways.by_name)}.")
    if scope["method"] == "POST":
        if dict(scope["headers"]).get(b"content-type", b"").split(b";")[0].strip().lower() != JSON.encode():
            raise Refused(Reason.MEDIA_TYPE_UNSUPPORTED, f"Send `Content-Type: {JSON}`.")
        scripts.apply(gateway, await _read_body(receive))
    return _describe(gateway, scripts)


def _describe(gateway: SimulatedGateway, scripts: SimulatorScripts) -> dict[str, Any]:
    simulator = gateway.simulator
    receipts = simulator.sent_receipts[-MAX_SHOWN:][::-1] if isinstance(simulator, ReceiptSender) else []
    return {
        "name": gateway.name,
        "type": gateway.type_name,
        "address": simulator.url,
        "listening": simulator.listening,
        "requests": len(simulator.requests),
        "taken": len(simulator.messages),
        "messages": [message_members(message) for message in gateway.messages()[:MAX_SHOWN]],
        "script": scripts.current(gateway),
        "receipts": [{"url": receipt.url, "status": receipt.status, "at": receipt.at} for receipt in receipts],
    }


async def _read_body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
