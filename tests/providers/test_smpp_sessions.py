"""SMPP sessions: binds that are refused, responses and their outcomes, lost connections, and binding again."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.smpp import binding
from otp_service.providers.smpp.adapter import Smpp, send_result
from otp_service.providers.smpp.binding import bind_refusal
from otp_service.providers.smpp.session import NotSent, ResponseLost, SubmitResponse
from otp_service.sandbox.simulators.http_server import Cut, Down, Hang
from otp_service.sandbox.simulators.smpp import SmppSimulator, refusal
from tests.providers.smpp_provider import PASSWORD, NotedReceipts, outbound, smpp, smsc
from tests.store.tls_proxy import CertificateAuthority, TlsProxy
from tests.waits import wait_until

OUTCOMES = {
    0x01: Outcome.CONTENT_REJECTED,
    0x02: Outcome.CONFIG_ERROR,
    0x03: Outcome.CONFIG_ERROR,
    0x04: Outcome.TRANSIENT,
    0x06: Outcome.CONFIG_ERROR,
    0x07: Outcome.CONFIG_ERROR,
    0x08: Outcome.TRANSIENT,
    0x0A: Outcome.CONFIG_ERROR,
    0x0B: Outcome.RECIPIENT_INVALID,
    0x14: Outcome.THROTTLED,
    0x15: Outcome.CONFIG_ERROR,
    0x43: Outcome.CONFIG_ERROR,
    0x45: Outcome.TRANSIENT,
    0x48: Outcome.CONFIG_ERROR,
    0x53: Outcome.CONFIG_ERROR,
    0x58: Outcome.THROTTLED,
    0x61: Outcome.CONFIG_ERROR,
    0x62: Outcome.CONFIG_ERROR,
    0x64: Outcome.TRANSIENT,
    0x65: Outcome.CONTENT_REJECTED,
    0x66: Outcome.CONTENT_REJECTED,
    0xC2: Outcome.CONFIG_ERROR,
    0xFE: Outcome.AMBIGUOUS,
    0xFF: Outcome.AMBIGUOUS,
    0x400: Outcome.AMBIGUOUS,
    0xFFFFFFFF: Outcome.AMBIGUOUS,
}
PATIENCE = 20.0
"""Seconds for a bind on a busy machine; nothing waits for them otherwise."""

NACK = struct.pack("!IIII", 16, 0x80000000, 0x03, 2)


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bind again sooner than in production, so that tests wait less."""
    monkeypatch.setattr(binding, "MIN_DELAY_SECONDS", 0.05)


async def test_every_status_has_its_outcome() -> None:
    """A refused message has the outcome of its `command_status`; a status that is not documented is ambiguous."""
    async with smsc() as gateway, smpp(gateway) as provider:
        for status, outcome in OUTCOMES.items():
            gateway.script(refusal(status))
            result = await provider.send(outbound())

            assert result.outcome is outcome, hex(status)
            assert result.health is not HealthSignal.TRIP, hex(status)
        assert count(gateway, "bind_transceiver") == 2  # a session that the SMSC holds for unbound is bound again
    assert not gateway.messages


@pytest.mark.parametrize(
    ("status", "outcome", "signal"),
    [
        (0x04, Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (0x05, Outcome.TRANSIENT, HealthSignal.NONE),
        (0x08, Outcome.TRANSIENT, HealthSignal.FAILURE),
        (0x0D, Outcome.CONFIG_ERROR, HealthSignal.TRIP),
        (0x0E, Outcome.CONFIG_ERROR, HealthSignal.TRIP),
        (0x0F, Outcome.CONFIG_ERROR, HealthSignal.TRIP),
        (0x58, Outcome.THROTTLED, HealthSignal.NONE),
        (0x64, Outcome.TRANSIENT, HealthSignal.FAILURE),
        (0x401, Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
    ],
)
def test_the_outcome_of_a_refused_bind(status: int, outcome: Outcome, signal: HealthSignal) -> None:
    """Wrong credentials open the circuit at once; another process that is bound says nothing about the account."""
    result = bind_refusal(status)

    assert (result.outcome, result.health) == (outcome, signal)


async def send_until_accepted(provider: Smpp) -> None:
    """Send messages until one is accepted: the SMSC knows of a bind before the provider does."""
    async with asyncio.timeout(PATIENCE):
        while (await provider.send(outbound())).outcome is not Outcome.ACCEPTED:
            await asyncio.sleep(0.001)


async def test_a_refused_bind_answers_at_once_and_is_repeated() -> None:
    """Messages do not wait while the SMSC refuses; they are sent as soon as it accepts a bind."""
    async with smsc() as gateway, smpp(gateway) as provider:
        gateway.bind_status = 0x0E
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert (await provider.send(outbound())).outcome is Outcome.CONFIG_ERROR
        assert loop.time() - started < 1
        gateway.bind_status = 0
        await wait_until(lambda: gateway.bound_sessions == 1, PATIENCE)
        await send_until_accepted(provider)


async def test_wrong_credentials_open_the_circuit() -> None:
    """The SMSC refuses another system_id and another password."""
    for account in ({"system_id": "other"}, {"password": Secret("other")}):
        async with smsc() as gateway, smpp(gateway, **account) as provider:
            result = await provider.send(outbound())

        assert (result.outcome, result.health) == (Outcome.CONFIG_ERROR, HealthSignal.TRIP)


async def test_tls(tmp_path: Path) -> None:
    """With `tls`, the SMSC's certificate is verified before anything is sent to it."""
    authority, other = CertificateAuthority(tmp_path, "authority"), CertificateAuthority(tmp_path, "other")
    async with smsc() as gateway, TlsProxy(gateway.port, authority.context()).running() as proxy:
        async with smpp(gateway, port=proxy.port, tls=True, ca_file=str(other.file), timeout_seconds=0.5) as provider:
            assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT
        assert proxy.heard == b""
        async with smpp(gateway, port=proxy.port, tls=True, ca_file=str(authority.file)) as provider:
            assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED
        assert PASSWORD.encode() in proxy.heard


async def test_one_bind_of_an_account() -> None:
    """With one bind per account, the second process is refused, and takes over when the first one has gone."""
    async with smsc() as gateway:
        gateway.max_binds = 1
        async with smpp(gateway) as second:
            async with smpp(gateway, NotedReceipts()) as first:
                await wait_until(lambda: gateway.bound_sessions == 1, PATIENCE)
                refused = await second.send(outbound())
                assert (await first.send(outbound())).outcome is Outcome.ACCEPTED
            assert refused == SendResult(Outcome.TRANSIENT, signal=HealthSignal.NONE)
            await send_until_accepted(second)


@pytest.mark.parametrize("step", [Hang(), Cut()], ids=["no response", "connection closed"])
async def test_a_missing_response_is_ambiguous(step: Hang | Cut) -> None:
    """The SMSC may have accepted the message; the next one is sent, over a new connection if there is none."""
    async with smsc() as gateway, smpp(gateway, timeout_seconds=1.0) as provider:
        gateway.script(step)

        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)
        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED
    assert len(gateway.messages) == 2


async def test_every_unacknowledged_message_of_a_lost_connection_is_ambiguous() -> None:
    """A connection that breaks leaves the outcome of all messages in the window open."""
    async with smsc() as gateway, smpp(gateway) as provider:
        gateway.script(*[Hang()] * 4, Cut())
        results = await asyncio.gather(*(provider.send(outbound()) for _ in range(5)))

    assert {result.outcome for result in results} == {Outcome.AMBIGUOUS}


async def test_no_connection_is_transient() -> None:
    """Nothing was sent while the port is closed; the provider binds again by itself afterwards."""
    async with smsc() as gateway, smpp(gateway, NotedReceipts(), timeout_seconds=1.0) as provider:
        await wait_until(lambda: gateway.bound_sessions == 1, PATIENCE)
        gateway.always = Down()
        await wait_until(lambda: gateway.bound_sessions == 0)
        assert await provider.send(outbound()) == SendResult(Outcome.TRANSIENT)
        gateway.always = None
        await wait_until(lambda: gateway.bound_sessions == 1, PATIENCE)

        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED


async def test_a_silent_smsc_is_left() -> None:
    """Without a response to enquire_link, the connection is dropped and a new one is bound."""
    async with smsc() as gateway:
        handled = gateway._handle

        def ignore_enquire_link(*args: object) -> None:
            if getattr(args[1], "command_id", 0) != 0x15:
                handled(*args)  # type: ignore[arg-type]  # as they come

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(gateway, "_handle", ignore_enquire_link)
            async with smpp(gateway, NotedReceipts(), enquire_link_seconds=0.05, timeout_seconds=0.5):
                await wait_until(lambda: count(gateway, "bind_transceiver") == 2, PATIENCE)


async def test_enquire_link_keeps_the_session() -> None:
    """The provider asks at each interval, and stays bound while the SMSC answers."""
    async with smsc() as gateway, smpp(gateway, NotedReceipts(), enquire_link_seconds=0.02):
        await wait_until(lambda: count(gateway, "enquire_link") >= 3)

        assert count(gateway, "bind_transceiver") == 1


def count(gateway: SmppSimulator, name: str) -> int:
    """Return how many requests of this name the SMSC has received."""
    return sum(request.method == name for request in gateway.requests)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!IIII", 0x7FFFFFFF, 0x05, 0, 9),
        struct.pack("!IIII", 70_001, 0x05, 0, 9),
        struct.pack("!IIII", 15, 0x05, 0, 9),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        struct.pack("!IIII", 16, 0x06, 0, 9),
    ],
    ids=["2 GB", "too long", "too short", "not SMPP", "unbind"],
)
async def test_the_smsc_ends_the_session(data: bytes) -> None:
    """Bytes that are no PDU, before any body is read, and an unbind end the session; a new one is bound."""
    async with smsc() as gateway, smpp(gateway, NotedReceipts()):
        await wait_until(lambda: gateway.bound_sessions == 1, PATIENCE)
        gateway.write(data)
        await wait_until(lambda: count(gateway, "bind_transceiver") == 2, PATIENCE)


async def test_a_generic_nack_refuses_the_message() -> None:
    """A generic_nack with the sequence number of a message is its response."""
    async with smsc() as gateway, smpp(gateway, NotedReceipts()) as provider:
        gateway.script(Hang(processed=False))
        sending = asyncio.create_task(provider.send(outbound()))
        await wait_until(lambda: count(gateway, "submit_sm") == 1)
        gateway.write(NACK)

        assert (await sending).outcome is Outcome.CONFIG_ERROR


OK, REFUSED, THROTTLED, UNKNOWN = (SubmitResponse(status, "7" * (not status)) for status in (0, 0x45, 0x58, 0xFF))


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ([OK, OK], Outcome.ACCEPTED),
        ([OK, REFUSED], Outcome.AMBIGUOUS),
        ([REFUSED, OK], Outcome.AMBIGUOUS),
        ([OK, ResponseLost()], Outcome.AMBIGUOUS),
        ([OK, NotSent()], Outcome.AMBIGUOUS),
        ([REFUSED, ResponseLost()], Outcome.AMBIGUOUS),
        ([NotSent(), ResponseLost()], Outcome.AMBIGUOUS),
        ([REFUSED, UNKNOWN], Outcome.AMBIGUOUS),
        ([THROTTLED, REFUSED], Outcome.THROTTLED),
        ([NotSent(), REFUSED], Outcome.TRANSIENT),
        ([NotSent(), NotSent()], Outcome.TRANSIENT),
    ],
)
def test_the_outcome_of_a_message_in_parts(
    parts: list[SubmitResponse | NotSent | ResponseLost], outcome: Outcome
) -> None:
    """Only all parts are a message; some of them may already show the code."""
    assert send_result(parts).outcome is outcome


async def test_parts_of_which_one_is_refused() -> None:
    """One accepted part and one refused part are ambiguous, and both were sent once."""
    async with smsc() as gateway, smpp(gateway) as provider:
        gateway.script(None, refusal(0x14))
        result = await provider.send(outbound("a" * 200))

    assert result.outcome is Outcome.AMBIGUOUS
    assert count(gateway, "submit_sm") == 2


async def test_a_host_that_is_no_name() -> None:
    """A name that cannot be encoded is a failed bind like any other: messages are not sent, and binding goes on."""
    async with smsc() as gateway, smpp(gateway, host="a..b", timeout_seconds=0.5) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT
