"""EIMS gateways that cannot be reached or do not respond: what was definitely not sent, and what may have been."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from otp_service.domain.outcomes import Outcome
from otp_service.providers.http_transport import SingleUseTransport
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang, Raw, Respond, SimulatorResponse, Slow
from tests.providers.eims_provider import eims, outbound


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(gateway: EimsSimulator, second: EimsSimulator, status: int) -> None:
    """The message is sent to the configured address only."""
    gateway.script(Respond(SimulatorResponse(b"", status, {"Location": f"{second.url}/sendsms"})))
    async with eims(gateway) as provider:
        result = await provider.send(outbound())

    assert result.outcome is Outcome.AMBIGUOUS
    assert (len(gateway.requests), second.requests) == (1, [])


async def test_refused_connection_is_transient(gateway: EimsSimulator) -> None:
    """A refused connection is transient: the gateway cannot have sent the message."""
    await gateway.close()
    async with eims(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT


async def test_unknown_host_is_transient(gateway: EimsSimulator) -> None:
    """A host name without an address is transient."""
    async with eims(gateway, base_url="http://gateway.invalid:20003") as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT


@pytest.fixture
def unresponsive_port() -> Iterator[int]:
    """A port whose connection queue is full: a connection is neither accepted nor refused."""
    with socket.socket() as listener, socket.socket() as filler:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


async def test_connect_timeout_is_transient(gateway: EimsSimulator, unresponsive_port: int) -> None:
    """A timeout before anything was written is transient, and the timeout is kept."""
    started = time.monotonic()
    async with eims(gateway, base_url=f"http://127.0.0.1:{unresponsive_port}", seconds=0.3) as provider:
        result = await provider.send(outbound())

    assert result.outcome is Outcome.TRANSIENT
    assert 0.25 < time.monotonic() - started < 0.8


async def test_reset_while_connecting_is_transient(gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP client fails with an error of its own; nothing was written, so the outcome is transient."""

    async def fail(*_: object, **__: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    monkeypatch.setattr(SingleUseTransport, "handle_async_request", fail)
    async with eims(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT


@pytest.mark.parametrize("behavior", [Hang(), Hang(processed=False), Slow(1.0), Raw(b"HTTP/1.1 200 OK\r\n\r\n"), Cut()])
@pytest.mark.parametrize("post", [False, True])
async def test_no_response_is_ambiguous(gateway: EimsSimulator, behavior: Behavior, post: bool) -> None:
    """Without a response in time the message may have been sent: one request, and the timeout is kept."""
    gateway.always = behavior
    started = time.monotonic()
    async with eims(gateway, post=post, seconds=0.25) as provider:
        result = await provider.send(outbound())

    assert result.outcome is Outcome.AMBIGUOUS
    assert time.monotonic() - started < 0.7
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("post", [False, True])
async def test_closed_connection_is_not_retried(gateway: EimsSimulator, post: bool) -> None:
    """HTTP clients consider GET safe to repeat, but sending an SMS is not."""
    gateway.script(Cut())
    async with eims(gateway, post=post) as provider:
        result = await provider.send(outbound())

    assert result.outcome is Outcome.AMBIGUOUS
    assert (len(gateway.requests), len(gateway.messages)) == (1, 1)


async def test_slow_response_does_not_extend_the_timeout(gateway: EimsSimulator) -> None:
    """The timeout covers the whole call, not each read."""
    gateway.script(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), Hang())
    started = time.monotonic()
    async with eims(gateway, seconds=0.25) as provider:
        outcomes = [(await provider.send(outbound())).outcome for _ in range(2)]

    assert outcomes == [Outcome.AMBIGUOUS, Outcome.AMBIGUOUS]
    assert time.monotonic() - started < 1.0
