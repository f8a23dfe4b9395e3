"""CSU SMS Hub: what its answers mean, what is shown of it, and the queue that holds texts back."""

import asyncio
import base64
import json
import logging
import math
import time
from typing import Any, Literal

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import (
    AccountLimitsProvider,
    BalanceProvider,
    PollingProvider,
    Provider,
    ReceiptProvider,
)
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.smshub.adapter import Smshub, SmshubAccount
from otp_service.providers.smshub.wire import Token, parse_login_response, parse_send_response
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.sandbox.simulators.smshub import LIFETIME_SECONDS, SmshubSimulator, refusing
from tests.providers.smshub_kit import ACCEPTED, KEY, NOW, SENDING, SID, count, hub, jwt_of


def invalid(member: str) -> bytes:
    """Write a 400 as ASP.NET does."""
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
def test_an_answer_has_one_meaning(status: int, body: bytes, outcome: Outcome) -> None:
    """A 2xx is acceptance unless it is a page of somebody else's; a 5xx may be the hub's trouble after it has sent."""
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
def test_a_refusal_of_unknown_meaning_is_counted(status: int, body: bytes) -> None:
    """It surely sent nothing, and does not open the circuit by itself."""
    assert parse_send_response(GatewayResponse(status, {}, body)) == SendResult.undocumented()


def test_a_time_to_wait_is_passed_on() -> None:
    """`Retry-After` counts for a 429, and makes a refusal of a 503."""
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
def test_a_token_is_read_with_whatever_quotes(body: str) -> None:
    """A JSON string is documented; bare, doubly quoted and escaped ones are borne."""
    token = parse_login_response(GatewayResponse(200, {}, body.encode()))
    assert isinstance(token, Token)
    assert (token.jwt.reveal(), token.usable_until) == (TOKEN, NOW - 300)


@pytest.mark.parametrize(
    "body", [b"", b'""', b"null", b'"a.b"', b'"a.b.c.d"', b'"a. b.c"', b'"a.b\\r\\nX: 1.c"', b"\xff", b"{}"]
)
def test_what_is_no_token_is_refused(body: bytes) -> None:
    """An error page, an empty answer or one that would add to a header is not used as a token."""
    assert parse_login_response(GatewayResponse(200, {}, body)) == SendResult(Outcome.CONFIG_ERROR)


@pytest.mark.parametrize("claims", [b"{}", b'{"exp":"soon"}', b'{"exp":null}', b'{"exp":[1]}', b"[]", b"\xff", b""])
def test_a_token_without_an_end_is_used_until_it_is_refused(claims: bytes) -> None:
    """The end only saves a refusal: that it cannot be read does not matter."""
    middle = base64.urlsafe_b64encode(claims).rstrip(b"=") if claims else b"b"
    token = parse_login_response(GatewayResponse(200, {}, b'"a.' + middle + b'.c"'))
    assert isinstance(token, Token)
    assert token.usable_until == math.inf


@pytest.mark.parametrize("scheme", ["bearer", "raw"])
async def test_the_simulator_judges_a_token(scheme: Literal["bearer", "raw"]) -> None:
    """A missing, foreign or ended token, or one in the wrong form, sends nothing."""
    clock = [float(NOW)]
    simulator = SmshubSimulator(scheme=scheme, clock=lambda: clock[0])
    async with simulator:
        client = GatewayClient(2.0)

        async def status(path: str, body: Any, **headers: str) -> tuple[int, bytes]:
            headers["Content-Type"] = "application/json"
            reply = await client.call("POST", simulator.url + path, headers=headers, content=json.dumps(body).encode())
            assert isinstance(reply, GatewayResponse)
            return reply.status, reply.body

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


async def test_texts_wait_for_their_turn() -> None:
    """Five texts to a hub that sends twenty a second take at least four turns; all are taken."""
    simulator = SmshubSimulator(per_second=20)
    async with hub(simulator) as provider:
        started = time.monotonic()
        assert await asyncio.gather(*(provider.send(SENDING) for _ in range(5))) == [ACCEPTED] * 5
        assert time.monotonic() - started >= 4 / 20
    assert count(simulator) == (1, 5, 5)


async def test_a_text_in_the_queue_is_sent_though_nobody_waits() -> None:
    """That is why a timeout is ambiguous here, and never repeated."""
    simulator = SmshubSimulator(per_second=2)
    async with hub(simulator, seconds=0.3) as provider:
        answers = await asyncio.gather(*(provider.send(SENDING) for _ in range(2)))
        assert sorted(answer.outcome for answer in answers) == [Outcome.ACCEPTED, Outcome.AMBIGUOUS]
        assert count(simulator) == (1, 2, 1)
        async with asyncio.timeout(5):
            while len(simulator.messages) < 2:
                await asyncio.sleep(0.01)
    assert count(simulator) == (1, 2, 2)


async def test_nothing_secret_is_shown(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """No key, token, text or number stands in a `repr`, an address, a log line of any library or on the screen."""
    for library in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, library)
    simulator = SmshubSimulator(login_as="form", scheme="raw")
    async with hub(simulator) as provider:
        await provider.send(SENDING)
        simulator.script(refusing(500, SENDING.text))
        await provider.send(SENDING)
        token = simulator.requests[-1].headers["authorization"]
        account = SmshubAccount(simulator.url, Secret(SID), Secret(KEY), "program")
        held = parse_login_response(GatewayResponse(200, {}, token.encode()))
        printed = capsys.readouterr()
    shown = caplog.text + printed.out + printed.err + repr(account) + repr(vars(provider)) + repr(held)
    shown += "".join(request.target for request in simulator.requests)
    for secret in (SID, KEY, token, token.rpartition(".")[2], SENDING.text, SENDING.code, SENDING.national_digits):
        assert secret not in shown


async def test_closing_breaks_a_login_off() -> None:
    """What waits for it is told that nothing was sent."""
    simulator = SmshubSimulator()
    async with simulator:
        simulator.always = Hang()
        provider = Smshub("hub", SmshubAccount(simulator.url, Secret(SID), Secret(KEY)), GatewayClient(5.0))
        waiting = asyncio.create_task(provider.send(SENDING))
        while not simulator.requests:
            await asyncio.sleep(0.01)
        await provider.close()
        assert await waiting == SendResult(Outcome.TRANSIENT)


def test_it_is_what_the_ports_ask_for() -> None:
    """It sends, and that is all: it tells nothing later, and nothing is ever asked for again."""
    account = SmshubAccount("http://a", Secret(SID), Secret(KEY))
    provider: Provider = Smshub("hub", account, GatewayClient(3.0))
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
