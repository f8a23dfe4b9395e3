"""SMTP: the outcome of each reply by its phase, and of a connection that is lost in each phase."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
from structlog.testing import capture_logs

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.providers.smtp.result_codes import ENHANCED_OUTCOMES, Phase, result_of_reply
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Down, Hang, Slow
from otp_service.sandbox.simulators.smtp import SmtpSimulator, refusal
from tests.providers.smtp_provider import TO, outbound, playing, smtp

FAILURE, TRIP, NONE, SUCCESS = HealthSignal.FAILURE, HealthSignal.TRIP, HealthSignal.NONE, HealthSignal.SUCCESS
Row = tuple[Phase, int, str, str, HealthSignal]

REPLIES: Final[list[Row]] = [
    # RFC 5321, 4.2.3 and 4.3.2: reply codes without an enhanced code
    (Phase.CONNECT, 421, "Service not available", "transient", FAILURE),
    (Phase.CONNECT, 554, "No SMTP service here", "config_error", FAILURE),
    (Phase.CONNECT, 521, "Host does not accept mail", "config_error", FAILURE),  # RFC 7504
    (Phase.CONNECT, 454, "TLS not available due to temporary reason", "transient", FAILURE),  # RFC 3207, 4
    (Phase.LOGIN, 535, "5.7.8 Authentication credentials invalid", "config_error", TRIP),  # RFC 4954, 6
    (Phase.LOGIN, 534, "5.7.9 Authentication mechanism is too weak", "config_error", TRIP),
    (Phase.LOGIN, 538, "Encryption required", "config_error", TRIP),
    (Phase.LOGIN, 454, "4.7.0 Temporary authentication failure", "transient", FAILURE),
    (Phase.SENDER, 530, "5.7.0 Authentication required", "config_error", TRIP),
    (Phase.SENDER, 550, "5.7.1 Sender address rejected", "config_error", FAILURE),
    (Phase.SENDER, 553, "Mailbox name not allowed", "config_error", FAILURE),
    (Phase.SENDER, 451, "Local error in processing", "transient", FAILURE),
    (Phase.SENDER, 454, "Throttling failure: Maximum sending rate exceeded.", "throttled", NONE),  # Amazon SES
    (Phase.RECIPIENT, 450, "Mailbox unavailable", "transient", FAILURE),
    (Phase.RECIPIENT, 450, "4.2.1 Mailbox busy", "transient", NONE),
    (Phase.RECIPIENT, 451, "4.7.1 Greylisted", "transient", FAILURE),
    (Phase.RECIPIENT, 452, "4.2.2 Mailbox full", "transient", NONE),
    (Phase.RECIPIENT, 550, "No such user here", "recipient_invalid", SUCCESS),
    (Phase.RECIPIENT, 550, "5.0.0 No such user here", "recipient_invalid", SUCCESS),
    (Phase.RECIPIENT, 550, "4.7.1 of another class is ignored", "recipient_invalid", SUCCESS),
    (Phase.RECIPIENT, 550, "5.1.100 not the code 5.1.10", "recipient_invalid", SUCCESS),
    (Phase.RECIPIENT, 550, "5.7.1 Relaying denied", "config_error", FAILURE),
    (Phase.RECIPIENT, 551, "User not local", "recipient_invalid", SUCCESS),
    (Phase.RECIPIENT, 552, "Exceeded storage allocation", "transient", NONE),  # 4.5.3.1.10: to be treated as 452
    (Phase.RECIPIENT, 553, "Mailbox name not allowed", "recipient_invalid", SUCCESS),
    (Phase.RECIPIENT, 554, "Transaction failed", "config_error", FAILURE),
    (Phase.RECIPIENT, 556, "Domain does not accept mail", "recipient_invalid", SUCCESS),  # RFC 7504
    (Phase.DATA, 503, "Bad sequence of commands", "config_error", FAILURE),
    (Phase.DATA, 451, "Local error", "transient", FAILURE),
    (Phase.CONTENT, 550, "Looks like spam", "content_rejected", SUCCESS),
    (Phase.CONTENT, 554, "5.7.1 Message rejected", "content_rejected", SUCCESS),
    (Phase.CONTENT, 552, "5.3.4 Message too big for system", "content_rejected", SUCCESS),
    (Phase.CONTENT, 550, "5.1.1 Unknown after all", "recipient_invalid", SUCCESS),
    (Phase.CONTENT, 421, "4.3.2 Shutting down", "transient", FAILURE),
    (Phase.CONTENT, 454, "Throttling failure: Daily message quota exceeded.", "throttled", NONE),
    # not replies of SMTP
    (Phase.RECIPIENT, -1, "Malformed SMTP response line", "transient", FAILURE),
    (Phase.CONTENT, -1, "Malformed SMTP response line", "ambiguous", FAILURE),
    (Phase.CONTENT, 354, "more", "ambiguous", FAILURE),
    (Phase.CONTENT, 600, "", "ambiguous", FAILURE),
]

ENHANCED: Final[dict[str, list[str]]] = {
    "recipient_invalid": ["1.1", "1.2", "1.3", "1.6", "1.10", "2.1"],
    "transient": ["2.2"],
    "content_rejected": ["2.3", "3.4", "6.1", "6.3"],
    "destination_unsupported": ["4.4"],
    "throttled": ["4.5", "7.28"],
    "config_error": ["1.7", "1.8", "7.8", "7.9", "7.13", "7.20", "7.23", "7.25", "7.26", "7.27"],
}
"""The outcomes of enhanced status codes; source: the IANA registry, "SMTP Enhanced Status Codes"."""


@pytest.mark.parametrize(("phase", "code", "text", "outcome", "health"), REPLIES)
def test_reply(phase: Phase, code: int, text: str, outcome: str, health: HealthSignal) -> None:
    """Each reply has one outcome in its phase; what concerns one mailbox does not count as a failure."""
    result = result_of_reply(phase, code, text)
    assert (result.outcome.value, result.health) == (outcome, health)


@pytest.mark.parametrize(
    ("outcome", "code"), [(outcome, code) for outcome, codes in ENHANCED.items() for code in codes]
)
def test_enhanced_code(outcome: str, code: str) -> None:
    """An enhanced code decides before the reply code, in every phase after the login."""
    for phase in (Phase.SENDER, Phase.RECIPIENT, Phase.CONTENT):
        for text in (f"5.{code} text", f"5.{code}\nsecond line", f"5.{code}"):
            result = result_of_reply(phase, 550, text)
            assert result.outcome.value == outcome
            assert (result.health is TRIP) == (code in ("7.8", "7.9", "7.13"))


def test_table_has_no_untested_codes() -> None:
    """Every code in the table is covered by a test."""
    assert ENHANCED_OUTCOMES.keys() == {code for codes in ENHANCED.values() for code in codes}


@pytest.fixture
async def server() -> AsyncIterator[SmtpSimulator]:
    """A simulated server that accepts every message."""
    async with SmtpSimulator() as running:
        yield running


async def test_refusal_in_each_phase(server: SmtpSimulator) -> None:
    """Nothing was accepted, the connection stays usable, and the next message is accepted on it."""
    server.script(
        refusal(451, "4.3.0 Later", "mail"),
        refusal(550, "5.1.1 <ana.putri+otp@example.co.id>: unknown"),
        refusal(451, "4.3.0 Later", "data"),
        refusal(554, "5.7.1 Spam", "content"),
    )
    async with smtp(server.port) as provider:
        with capture_logs() as logs:
            results = [await provider.send(outbound()) for _ in range(4)]
        assert server.messages == []
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED)

    outcomes = [result.outcome.value for result in results]
    assert outcomes == ["transient", "recipient_invalid", "transient", "content_rejected"]
    assert (server.connections, len(server.messages)) == (1, 1)
    assert [(line["phase"], line["code"]) for line in logs] == [
        ("sender", 451), ("recipient", 550), ("data", 451), ("content", 554)
    ]  # fmt: skip
    for hidden in (TO, "ana", "123456", "smtp password"):
        assert hidden not in str(logs)


async def test_wrong_password(server: SmtpSimulator) -> None:
    """The circuit opens at once; no message is begun."""
    async with smtp(server.port, username="other") as provider:
        result = await provider.send(outbound())

    assert (result.outcome, result.health) == (Outcome.CONFIG_ERROR, TRIP)
    assert "MAIL" not in server.commands


@pytest.mark.parametrize("behavior", [Hang(), Cut(), Hang(processed=False), Cut(processed=False), Slow(1.0)])
async def test_lost_reply_to_the_message_is_ambiguous(server: SmtpSimulator, behavior: Behavior) -> None:
    """After the final dot the server may have accepted it; it is sent once."""
    server.always = behavior
    async with smtp(server.port, seconds=0.5) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)

    assert server.commands.count(".") == 1


HELLO: Final = ("220 Hi", "250-Hi\r\n250 AUTH PLAIN", "235 2.7.0 Ok")


@pytest.mark.parametrize(
    "replies",
    [
        (),
        ("220 Hi",),
        HELLO[:2],
        HELLO,
        (*HELLO, "250 Ok"),
        (*HELLO, "250 Ok", "250 Ok"),
        (*HELLO, "250 Ok", "250 Ok", "nonsense"),
        ("220 Hi", "x" * 40_000),
    ],
)
@pytest.mark.parametrize("hangs", [False, True])
async def test_connection_lost_before_the_content(replies: tuple[str, ...], *, hangs: bool) -> None:
    """Until the message is written the failure is definite, whether the server closes or says nothing."""
    async with playing(*replies, hangs=hangs) as (port, lines), smtp(port, seconds=0.15) as provider:
        result = await provider.send(outbound())

    assert result.outcome is Outcome.TRANSIENT
    assert "From:" not in lines


@pytest.mark.parametrize("last", ["nonsense", "250", "250-2.0.0 Ok\r\n250 2.0.0 Ok"])
async def test_reply_to_the_content(last: str) -> None:
    """A reply without a text and one of several lines is a success; one that is not SMTP leaves it open."""
    replies = (*HELLO, "250 Ok", "250 Ok", "354 Go", last)
    async with playing(*replies) as (port, _), smtp(port) as provider:
        result = await provider.send(outbound())

    assert result.outcome is (Outcome.AMBIGUOUS if last == "nonsense" else Outcome.ACCEPTED)


@pytest.mark.parametrize(
    ("greeting", "outcome"), [("421 4.3.2 Busy", "transient"), ("554 5.7.1 Blocked", "config_error")]
)
async def test_greeting_that_refuses(greeting: str, outcome: str) -> None:
    """A busy server is transient; one that refuses us is not tried again."""
    async with playing(greeting) as (port, _), smtp(port) as provider:
        assert (await provider.send(outbound())).outcome.value == outcome


async def test_refused_connection_is_transient(server: SmtpSimulator) -> None:
    """Nothing listens."""
    server.always = Down()
    async with smtp(server.port) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.TRANSIENT)


async def test_server_without_login() -> None:
    """A configured login that the server does not offer is a mistake of the config, and nothing is sent."""
    async with playing("220 Hi", "250 Hi") as (port, lines), smtp(port) as provider:
        result = await provider.send(outbound())

    assert (result.outcome, result.health) == (Outcome.CONFIG_ERROR, FAILURE)
    assert lines == ["EHLO"]


async def test_relay_without_login() -> None:
    """Without credentials no login is tried."""
    async with SmtpSimulator(username=None) as server, smtp(server.port, username=None, password=None) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED)
        assert "AUTH" not in server.commands
