"""SMTP: TLS and its certificates, and connections that are kept."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.sandbox.simulators.smtp import SmtpSimulator, refusal
from tests.providers.certificates import server_certificate
from tests.providers.smtp_provider import outbound, playing, smtp
from tests.waits import wait_until

ACCEPTED = SendResult(Outcome.ACCEPTED)
NO_LOGIN: dict[str, Any] = {"username": None, "password": None}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ssl.SSLContext]:
    """The file of an authority, and a server's context with its certificate for `localhost`."""
    return server_certificate(tmp_path_factory.mktemp("certificates"))


def server_of(certificate: tuple[str, ssl.SSLContext], tls: str) -> SmtpSimulator:
    """Return a server with TLS, which requires it before the login."""
    return SmtpSimulator(tls=certificate[1], implicit_tls=tls == "implicit")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_message_and_password_go_through_tls(certificate: tuple[str, ssl.SSLContext], tls: str) -> None:
    """The server accepts a login only with TLS; a kept connection stays in it."""
    async with (
        server_of(certificate, tls) as server,
        smtp(server.port, host="localhost", tls=tls, ca_file=certificate[0]) as provider,
    ):
        assert [await provider.send(outbound()) for _ in range(2)] == [ACCEPTED] * 2

        hello = ["EHLO", "STARTTLS", "EHLO"] if tls == "starttls" else ["EHLO"]
        message = ["MAIL", "RCPT", "DATA", "."]
        assert server.commands == [*hello, "AUTH", *message, "RSET", *message]
        assert server.connections == 1


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("wrong", [{"host": "127.0.0.1"}, {"ca_file": None}])
async def test_wrong_certificate(certificate: tuple[str, ssl.SSLContext], tls: str, wrong: dict[str, Any]) -> None:
    """Another name or an unknown authority: nothing but STARTTLS is said, and the next provider is called."""
    options = {"host": "localhost", "ca_file": certificate[0], **wrong}
    async with server_of(certificate, tls) as server, smtp(server.port, tls=tls, **options) as provider:
        result = await provider.send(outbound())

    assert (result.outcome, result.health) == (Outcome.CONFIG_ERROR, HealthSignal.FAILURE)
    assert set(server.commands) <= {"EHLO", "STARTTLS"}


async def test_server_without_starttls_gets_no_password() -> None:
    """TLS is required and not tried only: whoever removes STARTTLS from the greeting learns nothing."""
    async with SmtpSimulator() as server, smtp(server.port, host="localhost", tls="starttls") as provider:
        result = await provider.send(outbound())

    assert (result.outcome, result.health) == (Outcome.CONFIG_ERROR, HealthSignal.FAILURE)
    assert server.commands == ["EHLO"]


async def test_connection_is_kept_and_closed() -> None:
    """Three messages take one connection, which ends with QUIT; without keepalive each has its own."""
    async with SmtpSimulator() as server:
        async with smtp(server.port) as provider:
            assert [await provider.send(outbound()) for _ in range(3)] == [ACCEPTED] * 3
            assert (server.connections, len(server.messages)) == (1, 3)
        await wait_until(lambda: server.commands[-1] == "QUIT")
        async with smtp(server.port, keepalive_seconds=0) as provider:
            assert [await provider.send(outbound()) for _ in range(3)] == [ACCEPTED] * 3
        await wait_until(lambda: server.commands.count("QUIT") == 4)
        assert (server.connections, len(server.messages)) == (4, 6)


async def test_idle_connection_is_closed() -> None:
    """After `keepalive_seconds`."""
    async with SmtpSimulator() as server, smtp(server.port, keepalive_seconds=0.05) as provider:
        await provider.send(outbound())
        await wait_until(lambda: server.commands[-1] == "QUIT")
        assert await provider.send(outbound()) == ACCEPTED
        assert (server.connections, len(server.messages)) == (2, 2)


async def test_connection_that_the_server_closed_is_replaced() -> None:
    """RSET shows it before anything is sent: one message, on a new connection."""
    async with SmtpSimulator() as server, smtp(server.port) as provider:
        await provider.send(outbound())
        port = server.port
        await server.close()
        await server.listen(port)
        assert await provider.send(outbound()) == ACCEPTED
        assert (server.connections, len(server.messages)) == (2, 2)


async def test_connection_that_does_not_answer_is_closed() -> None:
    """A kept connection on which RSET hangs until the message times out: it is not left open."""
    replies = ("220 Hi", "250 Hi", "250 Ok", "250 Ok", "354 Go on", "250 Ok")
    async with playing(*replies, hangs=True) as (port, lines), smtp(port, seconds=0.15, **NO_LOGIN) as provider:
        assert await provider.send(outbound()) == ACCEPTED
        assert await provider.send(outbound()) == SendResult(Outcome.TRANSIENT)
        await wait_until(lambda: lines[-2:] == ["RSET", "(closed)"])


async def test_refused_message_leaves_no_state() -> None:
    """After a refusal in the middle of a message, RSET begins the next one on the same connection."""
    async with SmtpSimulator() as server, smtp(server.port) as provider:
        server.script(refusal(550, "5.1.1 Unknown"))
        await provider.send(outbound())
        assert await provider.send(outbound()) == ACCEPTED
        assert server.commands[-7:] == ["MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "."]
        assert server.connections == 1


async def test_parallel_messages_have_their_own_connections() -> None:
    """20 messages at once: 20 accepted, each once, and at most 16 connections are kept."""
    async with SmtpSimulator() as server, smtp(server.port) as provider:
        messages = [outbound(message_id=f"v{number}") for number in range(20)]
        assert await asyncio.gather(*map(provider.send, messages)) == [ACCEPTED] * 20
        assert {one.message_id for one in server.messages} == {f"<v{number}@acme.example>" for number in range(20)}
        assert (server.connections, len(server.messages)) == (20, 20)
        await wait_until(lambda: server.commands.count("QUIT") == 4)


def test_certificate_file_is_readable(certificate: tuple[str, ssl.SSLContext]) -> None:
    """The helper makes an authority that TLS can use."""
    assert Path(certificate[0]).read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
