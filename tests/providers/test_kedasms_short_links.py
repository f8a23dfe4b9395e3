"""KedaSMS short links: the encrypted request, its response, and callbacks about clicks."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.domain.message import LinkClick, Receipt
from otp_service.domain.outcomes import Outcome
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.kedasms.click_tracking import parse_short_link_response
from otp_service.providers.kedasms.wire import parse_callback
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Respond, SimulatorResponse
from otp_service.sandbox.simulators.kedasms import refusal
from tests.providers.kedasms_provider import API_KEY, KEY, MESSAGE, NOW, gateway, new_config, new_simulator

LINK = "https://account.example.com/reset?token=0123456789abcdef"


@pytest.mark.parametrize("skew", [0, 400])
async def test_request_is_encrypted_as_a_send_is(skew: int) -> None:
    """One POST whose payload is the address alone; a refused timestamp is corrected once, as for a send."""
    simulator = new_simulator()
    async with gateway(simulator, our_time=NOW + skew) as provider:
        assert await provider.shorten(LINK, "m-1") == "https://kd.example/000001"
        await provider.send(MESSAGE)

    assert simulator.short_links == {"https://kd.example/000001": LINK}
    assert [one.path for one in simulator.requests] == ["/api/shortlinks"] * (2 if skew else 1) + ["/api/sms/send"]
    request = simulator.requests[-2]
    assert (request.method, request.query, request.headers["content-type"]) == ("POST", "", "application/json")
    envelope = json.loads(request.body)
    assert envelope.keys() == {"apiKey", "timestamp", "iv", "cipherText"}
    assert (envelope["apiKey"], envelope["timestamp"]) == (API_KEY, NOW)
    sealed, iv = base64.b64decode(envelope["cipherText"]), base64.b64decode(envelope["iv"])
    assert AESGCM(KEY).decrypt(iv, sealed, NOW.to_bytes(8, "big")) == f'{{"url":"{LINK}"}}'.encode()


@pytest.mark.parametrize(
    "behavior", [refusal(401, "Invalid API key"), refusal(500, "x"), Cut(), Respond(SimulatorResponse(b"<html>"))]
)
async def test_failure_gives_no_link(behavior: Behavior) -> None:
    """Every failure is None, after one request."""
    simulator = new_simulator()
    async with gateway(simulator) as provider:
        simulator.script(behavior)
        assert await provider.shorten(LINK, "m-1") is None
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    ("pointer", "body", "found"),
    [
        ("/data/shortUrl", {"code": "0", "data": {"shortUrl": "https://k/1"}}, "https://k/1"),
        ("/data/shortUrl", {"code": 0, "data": {"shortUrl": "https://k/1"}}, "https://k/1"),
        ("/data/links/0", {"code": "0", "data": {"links": ["https://k/1"]}}, "https://k/1"),
        ("/data/shortUrl", {"code": "1", "data": {"shortUrl": "https://k/1"}}, None),
        ("/data/shortUrl", {"data": {"shortUrl": "https://k/1"}}, None),
        ("/data/shortUrl", {"code": "0", "data": {"shortUrl": 5}}, None),
        ("/data/shortUrl", {"code": "0", "data": {}}, None),
        ("/data/shortUrl", [], None),
    ],
)
def test_place_of_the_link_is_configured(pointer: str, body: Any, found: str | None) -> None:
    """The response is not documented, so a pointer of the configuration finds the address."""
    config = msgspec.structs.replace(new_config("http://x", "http://x"), short_link_pointer=pointer)
    assert parse_short_link_response(config, GatewayResponse(200, {}, json.dumps(body).encode())) == found
    assert parse_short_link_response(config, GatewayResponse(400, {}, json.dumps(body).encode())) is None
    assert parse_short_link_response(config, Outcome.AMBIGUOUS) is None


@pytest.mark.parametrize(
    "more",
    [
        {"event": "click"},
        {"event": "LINK_CLICKED"},
        {"type": "clickCallback"},
        {"status": "CLICKED"},
        {"clicked_time": "2024-01-01T12:00:05Z"},
        {"clickCount": 1},
        {"event": "click", "status": "FAILED", "cost": "0.05"},
    ],
)
def test_click_is_never_a_receipt(more: dict[str, Any]) -> None:
    """A callback that names a click gives no receipt, also if it repeats the state and the cost of the message."""
    callback = {"msgid": "msg_1", "status": "DELIVERED", "recipient": "+6281210100055", **more}
    assert parse_callback(json.dumps(callback).encode(), "m-1") == [LinkClick("m-1")]


@pytest.mark.parametrize("more", [{}, {"trackClick": True}, {"clickCount": 0}, {"clicked_time": None}])
def test_receipt_is_never_a_click(more: dict[str, Any]) -> None:
    """A receipt may repeat what the send said about clicks, and that there was none yet."""
    callback = {"msgid": "msg_1", "status": "DELIVERED", "recipient": "+6281210100055", **more}
    [event] = parse_callback(json.dumps(callback).encode(), "m-1")
    assert isinstance(event, Receipt)
