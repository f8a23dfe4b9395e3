"""KedaSMS: the outcome of each response, repetitions, and the correction of the clock."""

import asyncio
import base64
import json
import logging
import re
import time
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import pytest
from structlog.typing import EventDict

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.base import AccountLimitsProvider, PollingProvider, Provider, ReceiptProvider
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.kedasms.adapter import Kedasms
from otp_service.providers.kedasms.wire import parse_send_response
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang, Raw, Respond, Slow
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from otp_service.sandbox.simulators.kedasms import refusal
from tests.providers.kedasms_provider import API_KEY, KEY, MESSAGE, NOW, gateway, new_config, new_simulator


async def test_number_without_a_country_is_not_sent() -> None:
    """A request names countries by two letters, so a satellite number is left to another gateway."""
    simulator = new_simulator()
    async with gateway(simulator) as provider:
        satellite = OutboundMessage("m-1", "+881612345678", "001", "612345678", "x", "1", 300)
        assert (await provider.send(satellite)).outcome is Outcome.CONTENT_REJECTED
    assert simulator.requests == []


ACCEPTED_BODY = {"code": "0", "message": "Success", "data": {"taskId": "20240408-0001", "debitedAmount": 0.048}}
CHARGED = SendResult(Outcome.ACCEPTED, "20240408-0001", charged=Decimal("0.048"), charged_currency="USD")
RESPONSES: list[tuple[int, Any, SendResult]] = [
    (
        200,
        ACCEPTED_BODY,
        CHARGED,
    ),
    (
        200,
        {"code": "0", "data": {"taskId": "t", "debitedAmount": "0.05", "currency": "EUR"}},
        SendResult(Outcome.ACCEPTED, "t", charged=Decimal("0.05"), charged_currency="EUR"),
    ),
    (
        200,
        {"code": "0", "data": {"taskId": "t", "debitedAmount": "much"}},
        SendResult(Outcome.ACCEPTED, "t"),
    ),
    (200, {"code": 0, "data": {"taskId": 17}}, SendResult(Outcome.ACCEPTED, "17")),
    # contradictory or incomplete success
    (200, {"code": "0", "data": {}}, SendResult(Outcome.AMBIGUOUS)),
    (200, {"code": "0", "data": None}, SendResult(Outcome.AMBIGUOUS)),
    (200, {"code": "7", "data": {"taskId": "t"}}, SendResult(Outcome.AMBIGUOUS)),
    (200, {"success": True, "code": 200}, SendResult(Outcome.AMBIGUOUS)),
    (400, ACCEPTED_BODY, SendResult(Outcome.AMBIGUOUS)),
    (500, ACCEPTED_BODY, SendResult(Outcome.AMBIGUOUS)),
    (200, b"", SendResult(Outcome.AMBIGUOUS)),
    (200, b"<html>console</html>", SendResult(Outcome.AMBIGUOUS)),
    (200, [], SendResult(Outcome.AMBIGUOUS)),
    (200, b"[" * 9000, SendResult(Outcome.AMBIGUOUS)),
    (302, b"", SendResult(Outcome.AMBIGUOUS)),
    # refused under HTTP 200
    (200, {"code": "1234", "message": "?"}, SendResult(Outcome.TRANSIENT)),
    (200, {"code": "402"}, SendResult(Outcome.FUNDS)),
    (200, {"code": 500, "message": "Error"}, SendResult(Outcome.AMBIGUOUS)),
    (200, {"code": "INSUFFICIENT_BALANCE"}, SendResult(Outcome.FUNDS)),
    (200, {"success": False, "message": "invalid phoneNumbers"}, SendResult(Outcome.RECIPIENT_INVALID)),
    # by HTTP status
    (400, {"code": "400", "message": "Bad request"}, SendResult(Outcome.RECIPIENT_INVALID)),
    (422, b"Invalid phone number", SendResult(Outcome.RECIPIENT_INVALID)),
    (400, b"<html>Bad Request</html>", SendResult.undocumented()),
    (401, {"message": "Invalid API key"}, SendResult(Outcome.CONFIG_ERROR)),
    (402, b"", SendResult(Outcome.FUNDS)),
    (403, b"", SendResult.undocumented()),
    (404, b"", SendResult.undocumented()),
    (408, b"", SendResult(Outcome.AMBIGUOUS)),
    (429, b"", SendResult(Outcome.THROTTLED)),
    (500, {"code": "500", "message": "Insufficient balance"}, SendResult(Outcome.AMBIGUOUS)),
    (502, b"<html>", SendResult(Outcome.AMBIGUOUS)),
    (503, b"", SendResult(Outcome.TRANSIENT)),
    (504, b"", SendResult(Outcome.AMBIGUOUS)),
    # by error text
    (400, {"message": "Insufficient balance"}, SendResult(Outcome.FUNDS)),
    (403, {"message": "DAILY_CAP_REACHED"}, SendResult(Outcome.THROTTLED, retry_after=86_400 - NOW % 86_400)),
    (403, {"message": "dailySmsCap reached"}, SendResult(Outcome.THROTTLED, retry_after=86_400 - NOW % 86_400)),
    (400, {"message": "Too many requests"}, SendResult(Outcome.THROTTLED)),
    (400, {"message": "Decryption failed"}, SendResult.undocumented()),
    (400, {"message": "Timestamp out of range"}, SendResult.undocumented()),
    (400, {"message": "Sensitive words in content"}, SendResult(Outcome.CONTENT_REJECTED)),
    (400, {"message": "Recipient is blacklisted"}, SendResult(Outcome.RECIPIENT_BLOCKED)),
    (400, {"message": "senderId not registered"}, SendResult.undocumented()),
    (400, {"message": "Country XY is not supported"}, SendResult(Outcome.DESTINATION_UNSUPPORTED)),
    (400, {"data": {"message": "recipient number is not valid"}}, SendResult(Outcome.RECIPIENT_INVALID)),
]


@pytest.mark.parametrize(("status", "body", "expected"), RESPONSES)
def test_response_has_its_outcome(status: int, body: Any, expected: SendResult) -> None:
    """Only code "0" with a task id in a 2xx is acceptance; what is not clearly a refusal is ambiguous."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert parse_send_response(GatewayResponse(status, {}, raw), NOW) == expected


@pytest.mark.parametrize(
    ("behavior", "outcome", "accepted"),
    [
        (Hang(), Outcome.AMBIGUOUS, 1),
        (Cut(), Outcome.AMBIGUOUS, 1),
        (Raw(b"SMTP\r\n"), Outcome.AMBIGUOUS, 0),
        (refusal(500, "Timestamp out of window"), Outcome.AMBIGUOUS, 0),
        (refusal(400, "Decryption failed"), Outcome.CONFIG_ERROR, 0),
        (refusal(429, "Slow down", headers={"Retry-After": "7"}), Outcome.THROTTLED, 0),
        (Respond(Answer(b"", 307, {"Location": "/elsewhere"})), Outcome.AMBIGUOUS, 0),
    ],
)
async def test_failed_send_is_not_repeated(behavior: Behavior, outcome: Outcome, accepted: int) -> None:
    """A send is one request, whatever the failure."""
    simulator = new_simulator()
    simulator.always = behavior
    async with gateway(simulator, seconds=0.3) as provider:
        result = await provider.send(MESSAGE)
    assert (result.outcome, len(simulator.requests), len(simulator.messages)) == (outcome, 1, accepted)
    assert result.retry_after == (7.0 if outcome is Outcome.THROTTLED else None)


async def test_refused_connection_is_transient() -> None:
    """A failure before the first byte is written is transient: the gateway cannot have accepted the message."""
    simulator = new_simulator()
    async with gateway(simulator) as provider:
        await simulator.close()
        assert await provider.send(MESSAGE) == SendResult(Outcome.TRANSIENT)


@pytest.mark.parametrize("wrong_by", [-7200, 301, 900])
async def test_wrong_clock_is_corrected_once(wrong_by: int) -> None:
    """The first send is repeated with the gateway's time; later sends use it and are one request each."""
    simulator = new_simulator()
    async with gateway(simulator, our_time=NOW + wrong_by) as provider:
        outcomes = [(await provider.send(MESSAGE)).outcome for _ in range(3)]
        assert provider.clock_offset == -wrong_by
    assert outcomes == [Outcome.ACCEPTED] * 3
    assert (len(simulator.requests), len(simulator.messages)) == (4, 3)


async def test_parallel_sends_each_correct_the_clock_once() -> None:
    """50 sends with a wrong clock make 100 requests and send 50 messages; the next send is one request."""
    simulator = new_simulator()
    async with gateway(simulator, our_time=NOW - 900) as provider:
        results = await asyncio.gather(*(provider.send(MESSAGE) for _ in range(50)))
        assert {result.outcome for result in results} == {Outcome.ACCEPTED}
        assert (len(simulator.requests), len(simulator.messages)) == (100, 50)
        await provider.send(MESSAGE)
        assert len(simulator.requests) == 101


def out_of_window(status: int = 400, date: str | None = None) -> Respond:
    """Return the behavior that refuses the timestamp; the default `Date` is an hour ahead."""
    stamp = formatdate(NOW + 3600, usegmt=True) if date is None else date
    return refusal(status, "Timestamp out of window", headers={"Date": stamp} if stamp else {})


@pytest.mark.parametrize(
    ("behavior", "requests", "outcome"),
    [
        (out_of_window(), 2, Outcome.CONFIG_ERROR),
        (out_of_window(401), 2, Outcome.CONFIG_ERROR),
        (out_of_window(500), 1, Outcome.AMBIGUOUS),
        (out_of_window(200), 1, Outcome.AMBIGUOUS),
        (out_of_window(date=formatdate(NOW, usegmt=True)), 1, Outcome.CONFIG_ERROR),
        (out_of_window(date=""), 1, Outcome.CONFIG_ERROR),
        (out_of_window(date="yesterday"), 1, Outcome.CONFIG_ERROR),
    ],
)
async def test_send_is_repeated_only_for_its_timestamp(behavior: Behavior, requests: int, outcome: Outcome) -> None:
    """A send is repeated once, after a 4xx that refuses the timestamp and has a different `Date`."""
    simulator = new_simulator()
    simulator.always = behavior
    async with gateway(simulator) as provider:
        assert (await provider.send(MESSAGE)).outcome is outcome
    assert len(simulator.requests) == requests


async def test_repetition_shares_the_timeout() -> None:
    """A second request that hangs ends at the timeout of the send, and is ambiguous."""
    simulator = new_simulator()
    simulator.script(Slow(0.8), Hang())
    async with gateway(simulator, our_time=NOW - 900, seconds=1.0) as provider:
        started = time.monotonic()
        assert await provider.send(MESSAGE) == SendResult(Outcome.AMBIGUOUS)
        assert time.monotonic() - started < 1.5
    assert len(simulator.requests) == 2


async def test_secrets_do_not_appear_in_logs_or_reprs(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], log_events: list[EventDict]
) -> None:
    """No key, code, text or number appears in a `repr`, a log line of any library or the output."""
    for library in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, library)
    simulator = new_simulator()
    simulator.script(None, None, Cut(), refusal(400, MESSAGE.text))
    async with gateway(simulator, our_time=NOW - 900) as provider:
        for _ in range(3):
            await provider.send(MESSAGE)
        config = new_config(simulator.url, simulator.url)
        printed = capsys.readouterr()
        target = simulator.requests[0].target
        shown = f"{log_events} {caplog.text} {printed} {config!r} {provider!r} {target!r}"
    assert "gateway_clock_differs" in shown
    for secret in (API_KEY, repr(KEY), KEY.hex(), base64.b64encode(KEY).decode(), MESSAGE.text, "739251", "1210100055"):
        assert not re.search(re.escape(secret), shown)


def test_key_of_wrong_length_is_refused_without_showing_it() -> None:
    """Only a key of AES-256 is accepted, and the error does not show the key."""
    with pytest.raises(ValueError, match="32 bytes") as caught:
        new_config("http://a", "http://b", key=b"sixteen bytes!!!")
    assert "sixteen" not in str(caught.value)


def test_capabilities_of_the_provider() -> None:
    """The provider supports receipts, status queries and account limits, and no idempotent send."""
    config = new_config("http://a", "http://b")
    provider: Provider = Kedasms("keda", config, GatewayClient(3.0))
    assert (provider.name, provider.timeout_seconds, provider.idempotent_send, provider.reports_delivery) == (
        "keda",
        3.0,
        False,
        True,
    )
    assert (
        isinstance(provider, ReceiptProvider)
        and isinstance(provider, PollingProvider)
        and isinstance(provider, AccountLimitsProvider)
    )
