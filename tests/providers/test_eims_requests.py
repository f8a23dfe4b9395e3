"""The requests to an EIMS gateway byte by byte, and that the password appears nowhere else."""

from __future__ import annotations

import logging

import httpx
import msgspec
import pytest
from structlog.typing import EventDict

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Hang, Respond
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Scripted
from tests.providers.eims_provider import DIGITS, PASSWORD, eims, outbound

CHARSET = "application/json;charset=utf-8"


TEXT = "Kopi & Café: kode 123456 + \"~' 100%?#/ ✓"
"""A text with every character that needs encoding."""


async def test_get_is_percent_encoded(gateway: EimsSimulator) -> None:
    """Every byte that is not unreserved is `%XX`, also spaces; the parameters have the documented order."""
    async with eims(gateway) as provider:
        result = await provider.send(outbound(TEXT))

    assert result == SendResult(Outcome.ACCEPTED, "1620443")
    [request] = gateway.requests
    assert request.method == "GET"
    assert request.target == (
        "/sendsms?account=acme%20%26%20sons&password=p%25s%2Bw%26rd%3D100%25%20%C3%BC&numbers=6281210100055"
        "&content=Kopi%20%26%20Caf%C3%A9%3A%20kode%20123456%20%2B%20%22%7E%27%20100%25%3F%23%2F%20%E2%9C%93".replace(
            "%7E", "~"
        )
    )
    assert request.body == b""
    assert request.headers["content-type"] == CHARSET
    assert gateway.messages[0].text == TEXT
    assert gateway.messages[0].to == DIGITS


async def test_post_is_json_with_the_same_names(gateway: EimsSimulator) -> None:
    """The credentials are in the body and not in the URL, and the text is UTF-8."""
    async with eims(gateway, post=True) as provider:
        result = await provider.send(outbound(TEXT))

    assert result.outcome is Outcome.ACCEPTED
    [request] = gateway.requests
    assert (request.method, request.target) == ("POST", "/sendsms")
    assert request.headers["content-type"] == CHARSET
    assert msgspec.json.decode(request.body) == {
        "account": "acme & sons",
        "password": PASSWORD,
        "numbers": DIGITS,
        "content": TEXT,
    }
    assert "Café".encode() in request.body
    assert gateway.messages[0].text == TEXT


async def test_base_url_with_path_and_slash(gateway: EimsSimulator) -> None:
    """Exactly one slash separates the base URL and the path."""
    async with eims(gateway, base_url=gateway.url + "/gate/") as provider:
        await provider.send(outbound(TEXT))

    assert gateway.requests[0].path == "/gate/sendsms"


async def test_proxy_environment_variables_are_ignored(gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL contains the password, so it is sent to the gateway only."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with eims(gateway) as provider:
        result = await provider.send(outbound(TEXT))

    assert result.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("post", [False, True])
async def test_secrets_are_not_logged(
    gateway: EimsSimulator, caplog: pytest.LogCaptureFixture, log_events: list[EventDict], post: bool
) -> None:
    """No log line at any level, no repr and no result contains the password, the text or the number."""
    caplog.set_level(logging.DEBUG)
    for noisy in ("httpx", "httpcore"):  # as `configure_logging` leaves them
        logging.getLogger(noisy).setLevel(logging.WARNING)
    gateway.script(None, Respond(Scripted(b"<html>", 500)), Hang())
    async with eims(gateway, post=post, seconds=0.2) as provider:
        outcomes = [await provider.send(outbound(TEXT)) for _ in range(3)]
        seen = f"{outcomes} {provider!r} {vars(provider)!r} {outbound(TEXT)!r} {caplog.text} {log_events}"

    assert [result.outcome.value for result in outcomes] == ["accepted", "ambiguous", "ambiguous"]
    for secret in (PASSWORD, httpx.QueryParams({"p": PASSWORD}).get("p"), "p%25s", DIGITS, "123456", "Kopi"):
        assert secret not in seen


async def test_simulator_rejects_plus_for_space(gateway: EimsSimulator) -> None:
    """An integration that form-encodes spaces fails against the simulator."""
    async with httpx.AsyncClient(trust_env=False) as client:
        form = {"account": "acme & sons", "password": PASSWORD, "numbers": DIGITS, "content": "a b"}
        plus = await client.get(f"{gateway.url}/sendsms?account=a&password=b&numbers=62&content=a+b")
        posted = await client.post(f"{gateway.url}/sendsms", data=form)
        wrong = await client.get(f"{gateway.url}/sendsms?account=a&password=b&numbers={DIGITS}&content=a")

    assert (plus.status_code, posted.status_code) == (400, 400)
    assert wrong.json() == {"status": -1}
    assert gateway.messages == []
