"""SMS Hub: the outcome of each response, secrets in logs, and the queue of the hub."""

import asyncio
import base64
import json
import logging
import math
import time
from typing import Any, Literal

import pytest
from structlog.typing import EventDict

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.base import (
    AccountLimitsProvider,
    BalanceProvider,
    PollingProvider,
    Provider,
    ReceiptProvider,
)
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.smshub.adapter import Smshub
from otp_service.providers.smshub.wire import Token, parse_login_response, parse_send_response
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.sandbox.simulators.smshub import LIFETIME_SECONDS, SmshubSimulator, refusal
from tests.providers.smshub_provider import ACCEPTED, KEY, MESSAGE, NOW, SID, hub, jwt_of, new_config, request_counts


def invalid(member: str) -> bytes:
    """Return the body of a 400 as ASP.NET writes it."""
    return json.dumps({"Message": "The request is invalid.", "ModelState": {member: ["It is wrong."]}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, b"Texts to this country are not supported", Outcome.DESTINATION_UNSUPPORTED),
        (403, b"Permission to send has not been enabled for the region", Outcome.DESTINATION_UNSUPPORTED),
        (200, b'"Message sent"', Outcome.ACCEPTED),
        (200, b"", Outcome.ACCEPTED),
        (201, b"{}", Outcome.ACCEPTED),
        (204, b"", Outcome.ACCEPTED),
        (200, b'<string xmlns="http://schemas.example.com/">Message sent</string>', Outcome.ACCEPTED),
        (200, b"\xef\xbb\xbf\r\n<!DOCTYPE HTML><p>", Outcome.AMBIGUOUS),
        (200, b"<html lang=en>", Outcome.AMBIGUOUS),
        (302, b"", Outcome.AMBIGUOUS),
        (400, b"", Outcome.RECIPIENT_INVALID),
        (400, invalid("textMessage.PhoneNumber"), Outcome.RECIPIENT_INVALID),
        (400, invalid("textMessage.Message"), Outcome.CONTENT_REJECTED),
        (400, b"Message is too long", Outcome.CONTENT_REJECTED),
        (400, b"The number has unsubscribed", Outcome.RECIPIENT_BLOCKED),
        (400, b"Insufficient credit", Outcome.FUNDS),
        (401, b"", Outcome.CONFIG_ERROR),
        (408, b"", Outcome.AMBIGUOUS),
        (429, b"", Outcome.THROTTLED),
        (500, b"Insufficient credit", Outcome.AMBIGUOUS),
        (502, b"", Outcome.AMBIGUOUS),
        (503, b"", Outcome.AMBIGUOUS),
        (504, b"", Outcome.AMBIGUOUS),
    ],
)
def test_response_has_its_outcome(status: int, body: bytes, outcome: Outcome) -> None:
    """A 2xx is acceptance unless it is an HTML page; a 5xx may follow the send and is ambiguous."""
    assert parse_send_response(GatewayResponse(status, {}, body)) == SendResult(outcome)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, invalid("textMessage.ProgramId")),
        (400, b"<h2>Bad Request - Invalid Hostname</h2>"),
        (403, b""),
        (404, b""),
        (415, b""),
    ],
)
def test_refusal_with_unknown_meaning(status: int, body: bytes) -> None:
    """A refusal with an unknown meaning has sent nothing, and does not open the circuit at once."""
    assert parse_send_response(GatewayResponse(status, {}, body)) == SendResult.undocumented()


def test_retry_after_is_returned() -> None:
    """`Retry-After` is returned for a 429, and makes a 503 transient."""
    assert parse_send_response(GatewayResponse(429, {"retry-after": "7"}, b"")) == SendResult(
        Outcome.THROTTLED, retry_after=7.0
    )
    assert parse_send_response(GatewayResponse(503, {"retry-after": "7"}, b"")) == SendResult(
        Outcome.TRANSIENT, retry_after=7.0
    )


TOKEN = jwt_of({"unique_name": SID, "exp": NOW})


@pytest.mark.parametrize(
    "body",
    [
        f'"{TOKEN}"',
        TOKEN,
        f" {TOKEN}\r\n",
        json.dumps(f'"{TOKEN}"'),
        f'\\"{TOKEN}\\"',
    ],
)
def test_token_is_read_with_any_quotes(body: str) -> None:
    """A JSON string is documented; a bare, doubly quoted or escaped token is read as well."""
    token = parse_login_response(GatewayResponse(200, {}, body.encode()))
    assert isinstance(token, Token)
    assert (token.jwt.reveal(), token.usable_until) == (TOKEN, NOW - 300)


@pytest.mark.parametrize(
    "body", [b"", b'""', b"null", b'"a.b"', b'"a.b.c.d"', b'"a. b.c"', b'"a.b\\r\\nX: 1.c"', b"\xff", b"{}"]
)
def test_response_without_a_token_is_refused(body: bytes) -> None:
    """An empty response, or one that would add a header, is not used as a token."""
    assert parse_login_response(GatewayResponse(200, {}, body)) == SendResult(Outcome.CONFIG_ERROR)


@pytest.mark.parametrize("claims", [b"{}", b'{"exp":"soon"}', b'{"exp":null}', b'{"exp":[1]}', b"[]", b"\xff", b""])
def test_token_without_expiry_is_used_until_refused(claims: bytes) -> None:
    """A token whose expiry cannot be read has no end of use."""
    middle = base64.urlsafe_b64encode(claims).rstrip(b"=") if claims else b"b"
    token = parse_login_response(GatewayResponse(200, {}, b'"a.' + middle + b'.c"'))
    assert isinstance(token, Token)
    assert token.usable_until == math.inf


@pytest.mark.parametrize("scheme", ["bearer", "raw"])
async def test_simulator_checks_tokens(scheme: Literal["bearer", "raw"]) -> None:
    """The simulator refuses a missing, foreign or expired token, and one in the wrong form."""
    clock = [float(NOW)]
    simulator = SmshubSimulator(scheme=scheme, clock=lambda: clock[0])
    async with simulator:
        client = GatewayClient(2.0)

        async def status(path: str, body: Any, **headers: str) -> tuple[int, bytes]:
            headers["Content-Type"] = "application/json"
            response = await client.call(
                "POST", simulator.url + path, headers=headers, content=json.dumps(body).encode()
            )
            assert isinstance(response, GatewayResponse)
            return response.status, response.body

        login = {"ProgramSID": SID, "ProgramKey": KEY}
        token = json.loads((await status("/Login", login))[1])
        right, wrong = (f"Bearer {token}", token) if scheme == "bearer" else (token, f"Bearer {token}")
        text = {"Message": "x", "PhoneNumber": "19706904544"}
        assert (await status("/TextMessages", text, Authorization=right))[0] == 200
        for authorization in (wrong, "", "Bearer", f"Bearer {TOKEN}", TOKEN):
            assert (await status("/TextMessages", text, Authorization=authorization))[0] == 401
        for number in ("+19706904544", "970 690 4544", "0812", ""):
            assert (await status("/TextMessages", text | {"PhoneNumber": number}, Authorization=right))[0] == 400
        assert (await status("/Login", login | {"ProgramSID": "another"}))[0] == 401
        assert (await status("/Login", {"ProgramSID": SID}))[0] == 400
        clock[0] += LIFETIME_SECONDS
        assert (await status("/TextMessages", text, Authorization=right))[0] == 401
        await client.close()
    assert len(simulator.messages) == 1


async def test_simulator_queues_messages() -> None:
    """Five messages to a hub that sends 20 a second take at least 0.2 seconds, and all are accepted."""
    simulator = SmshubSimulator(per_second=20)
    async with hub(simulator) as provider:
        started = time.monotonic()
        assert await asyncio.gather(*(provider.send(MESSAGE) for _ in range(5))) == [ACCEPTED] * 5
        assert time.monotonic() - started >= 4 / 20
    assert request_counts(simulator) == (1, 5, 5)


async def test_queued_message_is_sent_after_the_timeout() -> None:
    """The hub sends a queued message after the client's timeout, so a timeout is ambiguous."""
    simulator = SmshubSimulator(per_second=2)
    async with hub(simulator, seconds=0.3) as provider:
        results = await asyncio.gather(*(provider.send(MESSAGE) for _ in range(2)))
        assert sorted(result.outcome for result in results) == [Outcome.ACCEPTED, Outcome.AMBIGUOUS]
        assert request_counts(simulator) == (1, 2, 1)
        async with asyncio.timeout(5):
            while len(simulator.messages) < 2:
                await asyncio.sleep(0.01)
    assert request_counts(simulator) == (1, 2, 2)


async def test_secrets_do_not_appear_in_logs_or_reprs(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], log_events: list[EventDict]
) -> None:
    """No key, token, text or number appears in a `repr`, a URL, a log line of any library or the output."""
    for library in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, library)
    simulator = SmshubSimulator(login_as="form", scheme="raw")
    async with hub(simulator) as provider:
        await provider.send(MESSAGE)
        simulator.script(refusal(500, MESSAGE.text))
        await provider.send(MESSAGE)
        token = simulator.requests[-1].headers["authorization"]
        config = new_config(simulator.url, program_id="program")
        parsed = parse_login_response(GatewayResponse(200, {}, token.encode()))
        printed = capsys.readouterr()
    shown = f"{log_events} {caplog.text} {printed} {config!r} {vars(provider)!r} {parsed!r}"
    shown += "".join(request.target for request in simulator.requests)
    for secret in (SID, KEY, token, token.rpartition(".")[2], MESSAGE.text, MESSAGE.code, MESSAGE.national_digits):
        assert secret not in shown


async def test_close_cancels_a_login() -> None:
    """A send that waits for a cancelled login is transient."""
    simulator = SmshubSimulator()
    async with simulator:
        simulator.always = Hang()
        provider = Smshub("hub", new_config(simulator.url), GatewayClient(5.0))
        waiting = asyncio.create_task(provider.send(MESSAGE))
        while not simulator.requests:
            await asyncio.sleep(0.01)
        await provider.close()
        assert await waiting == SendResult(Outcome.TRANSIENT)


def test_capabilities_of_the_provider() -> None:
    """The provider only sends: it has no other capability and no idempotent send."""
    config = new_config("http://a")
    provider: Provider = Smshub("hub", config, GatewayClient(3.0))
    assert (provider.name, provider.timeout_seconds, provider.idempotent_send, provider.reports_delivery) == (
        "hub",
        3.0,
        False,
        False,
    )
    assert not any(
        isinstance(provider, port)
        for port in (ReceiptProvider, PollingProvider, BalanceProvider, AccountLimitsProvider)
    )
