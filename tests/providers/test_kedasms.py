"""KedaSMS: what its answers mean, and how often it is asked."""

import asyncio
import base64
import json
import logging
import re
import time
from email.utils import formatdate
from typing import Any

import pytest

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import AccountLimitsProvider, PollingProvider, Provider, ReceiptProvider
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.kedasms.adapter import Kedasms, KedasmsAccount
from otp_service.providers.kedasms.wire import parse_send_response
from otp_service.sandbox.simulators.http_server import Behaviour, Cut, Hang, Raw, Say, Slow
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from otp_service.sandbox.simulators.kedasms import refusing
from tests.providers.kedasms_kit import API_KEY, KEY, NOW, SENDING, gateway, on_time


async def test_a_number_of_no_country_is_not_sent() -> None:
    """The wire names countries by two letters: a satellite number is left to another gateway."""
    simulator = on_time()
    async with gateway(simulator) as provider:
        satellite = OutboundMessage("m-1", "+881612345678", "001", "612345678", "x", "1", 300)
        assert (await provider.send(satellite)).outcome is Outcome.CONTENT_REJECTED
    assert simulator.requests == []


TAKEN = {"code": "0", "message": "Success", "data": {"taskId": "20240408-0001", "debitedAmount": 0.048}}
ANSWERS: list[tuple[int, Any, SendResult]] = [
    (200, TAKEN, SendResult(Outcome.ACCEPTED, "20240408-0001")),
    (200, {"code": 0, "data": {"taskId": 17}}, SendResult(Outcome.ACCEPTED, "17")),
    # success by halves
    (200, {"code": "0", "data": {}}, SendResult(Outcome.AMBIGUOUS)),
    (200, {"code": "0", "data": None}, SendResult(Outcome.AMBIGUOUS)),
    (200, {"code": "7", "data": {"taskId": "t"}}, SendResult(Outcome.AMBIGUOUS)),
    (200, {"success": True, "code": 200}, SendResult(Outcome.AMBIGUOUS)),
    (400, TAKEN, SendResult(Outcome.AMBIGUOUS)),
    (500, TAKEN, SendResult(Outcome.AMBIGUOUS)),
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
    # by words
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


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS)
def test_an_answer_has_one_meaning(status: int, body: Any, expected: SendResult) -> None:
    """Only "0" with a task in a 2xx is acceptance; what is not surely a refusal is ambiguous."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert parse_send_response(GatewayResponse(status, {}, raw), NOW) == expected


@pytest.mark.parametrize(
    ("behaviour", "outcome", "taken"),
    [
        (Hang(), Outcome.AMBIGUOUS, 1),
        (Cut(), Outcome.AMBIGUOUS, 1),
        (Raw(b"SMTP\r\n"), Outcome.AMBIGUOUS, 0),
        (refusing(500, "Timestamp out of window"), Outcome.AMBIGUOUS, 0),
        (refusing(400, "Decryption failed"), Outcome.CONFIG_ERROR, 0),
        (refusing(429, "Slow down", headers={"Retry-After": "7"}), Outcome.THROTTLED, 0),
        (Say(Answer(b"", 307, {"Location": "/elsewhere"})), Outcome.AMBIGUOUS, 0),
    ],
)
async def test_nothing_is_asked_twice(behaviour: Behaviour, outcome: Outcome, taken: int) -> None:
    """Whatever goes wrong, a send is one request."""
    simulator = on_time()
    simulator.always = behaviour
    async with gateway(simulator, seconds=0.3) as provider:
        answer = await provider.send(SENDING)
    assert (answer.outcome, len(simulator.requests), len(simulator.messages)) == (outcome, 1, taken)
    assert answer.retry_after == (7.0 if outcome is Outcome.THROTTLED else None)


async def test_nobody_listening_is_transient() -> None:
    """What failed before a byte was written has not been taken."""
    simulator = on_time()
    async with gateway(simulator) as provider:
        await simulator.close()
        assert await provider.send(SENDING) == SendResult(Outcome.TRANSIENT)


@pytest.mark.parametrize("wrong_by", [-7200, 301, 900])
async def test_a_wrong_clock_is_set_once(wrong_by: int) -> None:
    """The first send is refused and repeated by the gateway's clock, which is remembered: the next is one request."""
    simulator = on_time()
    async with gateway(simulator, ours=NOW + wrong_by) as provider:
        outcomes = [(await provider.send(SENDING)).outcome for _ in range(3)]
        assert provider.clock_offset == -wrong_by
    assert outcomes == [Outcome.ACCEPTED] * 3
    assert (len(simulator.requests), len(simulator.messages)) == (4, 3)


async def test_parallel_sends_set_the_clock_once_each() -> None:
    """50 sends under a wrong clock are 50 refusals and 50 messages, and no request more."""
    simulator = on_time()
    async with gateway(simulator, ours=NOW - 900) as provider:
        answers = await asyncio.gather(*(provider.send(SENDING) for _ in range(50)))
        assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
        assert (len(simulator.requests), len(simulator.messages)) == (100, 50)
        await provider.send(SENDING)
        assert len(simulator.requests) == 101


def out_of_window(status: int = 400, date: str | None = None) -> Say:
    """Refuse for the timestamp's sake, with a `Date` an hour ahead unless told otherwise."""
    stamp = formatdate(NOW + 3600, usegmt=True) if date is None else date
    return refusing(status, "Timestamp out of window", headers={"Date": stamp} if stamp else {})


@pytest.mark.parametrize(
    ("behaviour", "requests", "outcome"),
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
async def test_the_clock_is_never_set_more_than_once(behaviour: Behaviour, requests: int, outcome: Outcome) -> None:
    """Only a 4xx for the timestamp's sake with another time is repeated, and only once."""
    simulator = on_time()
    simulator.always = behaviour
    async with gateway(simulator) as provider:
        assert (await provider.send(SENDING)).outcome is outcome
    assert len(simulator.requests) == requests


async def test_the_repetition_stays_within_the_time() -> None:
    """A second request that hangs ends with the send's own time, and is ambiguous."""
    simulator = on_time()
    simulator.script(Slow(0.8), Hang())
    async with gateway(simulator, ours=NOW - 900, seconds=1.0) as provider:
        started = time.monotonic()
        assert await provider.send(SENDING) == SendResult(Outcome.AMBIGUOUS)
        assert time.monotonic() - started < 1.5
    assert len(simulator.requests) == 2


async def test_nothing_secret_is_shown(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """No key, code, text or number stands in a `repr`, a log line of any library, or what is printed."""
    for library in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, library)
    simulator = on_time()
    simulator.script(None, None, Cut(), refusing(400, SENDING.text))
    async with gateway(simulator, ours=NOW - 900) as provider:
        for _ in range(3):
            await provider.send(SENDING)
        account = KedasmsAccount(simulator.url, simulator.url, Secret(API_KEY), KEY)
        printed = capsys.readouterr()
        shown = (
            caplog.text
            + printed.out
            + printed.err
            + repr(account)
            + repr(provider)
            + repr(simulator.requests[0].target)
        )
    assert "gateway_clock_differs" in shown
    for secret in (API_KEY, repr(KEY), KEY.hex(), base64.b64encode(KEY).decode(), SENDING.text, "739251", "1210100055"):
        assert not re.search(re.escape(secret), shown)


def test_a_key_of_another_length_is_refused_unseen() -> None:
    """AES-256 alone is meant, and the mistake does not show the key."""
    with pytest.raises(ValueError, match="32 bytes") as caught:
        KedasmsAccount("http://a", "http://b", Secret("k"), b"sixteen bytes!!!")
    assert "sixteen" not in str(caught.value)


def test_it_is_what_the_ports_ask_for() -> None:
    """It sends, is called, can be asked and takes caps; a message that may have gone is never asked for again."""
    account = KedasmsAccount("http://a", "http://b", Secret("k"), KEY)
    provider: Provider = Kedasms("keda", account, GatewayClient(3.0))
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
