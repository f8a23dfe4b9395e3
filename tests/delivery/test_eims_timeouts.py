"""A gateway that cannot be reached, or does not answer: what surely was not sent, and what may have been."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Behaviour, Cut, Hang, Raw, Respond, SimulatorResponse, Slow
from tests.delivery.eims_adapter import eims_provider, outbound


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(gateway: EimsSimulator, second: EimsSimulator, status: int) -> None:
    """The message goes to one address, the configured one."""
    gateway.script(Respond(SimulatorResponse(b"", status, {"Location": f"{second.url}/sendsms"})))
    async with eims_provider(gateway) as provider:
        delivered = await provider.send(outbound())

    assert delivered.outcome is Outcome.AMBIGUOUS
    assert (len(gateway.requests), second.requests) == (1, [])


async def test_nobody_listens(gateway: EimsSimulator) -> None:
    """A refused connection is transient: the gateway cannot have acted."""
    await gateway.close()
    async with eims_provider(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT


async def test_no_such_host(gateway: EimsSimulator) -> None:
    """A name without an address is transient."""
    async with eims_provider(gateway, base="http://gateway.invalid:20003") as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: a connection is neither taken nor refused."""
    with socket.socket() as listener, socket.socket() as filler:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_connection_that_does_not_come_about(gateway: EimsSimulator, deaf_port: int) -> None:
    """A time-out before anything was written is transient, within the time."""
    started = time.monotonic()
    async with eims_provider(gateway, base=f"http://127.0.0.1:{deaf_port}", seconds=0.3) as provider:
        delivered = await provider.send(outbound())

    assert delivered.outcome is Outcome.TRANSIENT
    assert 0.25 < time.monotonic() - started < 0.8


async def test_a_reset_while_it_connects(gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client trips over it with an error of its own making: nothing was written, so it is transient."""

    async def trips(*_: object, **__: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    monkeypatch.setattr("anyio.connect_tcp", trips)
    async with eims_provider(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT


@pytest.mark.parametrize("silence", [Hang(), Hang(processed=False), Slow(1.0), Raw(b"HTTP/1.1 200 OK\r\n\r\n"), Cut()])
@pytest.mark.parametrize("post", [False, True])
async def test_silence_after_the_request_is_ambiguous(gateway: EimsSimulator, silence: Behaviour, post: bool) -> None:
    """Whatever was not answered in time may have been sent; it is asked for once, and the time is kept."""
    gateway.always = silence
    started = time.monotonic()
    async with eims_provider(gateway, post=post, seconds=0.25) as provider:
        delivered = await provider.send(outbound())

    assert delivered.outcome is Outcome.AMBIGUOUS
    assert time.monotonic() - started < 0.7
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("post", [False, True])
async def test_a_cut_connection_is_not_tried_again(gateway: EimsSimulator, post: bool) -> None:
    """GET is thought safe to repeat; a text is not."""
    gateway.script(Cut())
    async with eims_provider(gateway, post=post) as provider:
        delivered = await provider.send(outbound())

    assert delivered.outcome is Outcome.AMBIGUOUS
    assert (len(gateway.requests), len(gateway.messages)) == (1, 1)


async def test_a_drip_of_bytes_does_not_stretch_the_time(gateway: EimsSimulator) -> None:
    """The time is for the whole call, not for each read."""
    gateway.script(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), Hang())
    started = time.monotonic()
    async with eims_provider(gateway, seconds=0.25) as provider:
        outcomes = [(await provider.send(outbound())).outcome for _ in range(2)]

    assert outcomes == [Outcome.AMBIGUOUS, Outcome.AMBIGUOUS]
    assert time.monotonic() - started < 1.0
