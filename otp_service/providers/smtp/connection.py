"""Connections to one SMTP server: opened with TLS and login, and kept for a short time.

A new connection costs eleven round trips until the message is accepted, a kept one five: before it is used again, RSET
checks that it still works, and resets a transaction that a refusal has left open. A connection on which anything went
wrong is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator
from typing import ClassVar, Final

import aiosmtplib
import certifi
from aiosmtplib import SMTPDataError, SMTPException, SMTPServerDisconnected

from otp_service.providers.smtp.config import SmtpConfig
from otp_service.providers.smtp.result_codes import Phase

__all__ = ["Envelope", "SmtpConnections"]

MAX_IDLE: Final = 16
_READY_FOR_CONTENT: Final = 354
_ACCEPTED: Final = 250


class _Connection(aiosmtplib.SMTP):
    """One connection. Only mechanisms that servers check the same way; TLS protects the password."""

    AUTH_METHODS: ClassVar[tuple[str, ...]] = ("plain", "login")  # type: ignore[misc]  # the library declares no ClassVar


class Envelope:
    """One message on its way: sender, recipient, content, and the phase that was reached."""

    __slots__ = ("content", "phase", "recipient", "sender")

    def __init__(self, sender: str, recipient: str, content: bytes) -> None:
        """Begin with `Phase.CONNECT`; `content` ends with the final dot."""
        self.sender = sender
        self.recipient = recipient
        self.content = content
        self.phase = Phase.CONNECT


class SmtpConnections:
    """Submits messages to one server, each on a connection of its own for that time."""

    def __init__(self, config: SmtpConfig) -> None:
        """Connect as `config` says."""
        self._config = config
        self._idle: deque[tuple[_Connection, asyncio.TimerHandle]] = deque()
        self._tls: ssl.SSLContext | None = None

    async def submit(self, envelope: Envelope) -> None:
        """Send a message once; it is accepted when this returns. `envelope.phase` is the phase that was reached."""
        async with self._connection() as connection:
            envelope.phase = Phase.SENDER
            await connection.mail(envelope.sender)
            envelope.phase = Phase.RECIPIENT
            await connection.rcpt(envelope.recipient)
            envelope.phase = Phase.DATA
            _expect(await connection.execute_command(b"DATA"), _READY_FOR_CONTENT)
            if connection.protocol is None:
                raise SMTPServerDisconnected("closed before the content")
            envelope.phase = Phase.CONTENT
            connection.protocol.write(envelope.content)
            _expect(await connection.protocol.read_response(), _ACCEPTED)

    def close(self) -> None:
        """Close all kept connections."""
        while self._idle:
            connection, timer = self._idle.popleft()
            timer.cancel()
            _quit(connection)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        """Yield a connection; keep it after success or a reply that refuses, and close it after anything else."""
        connection = await self._kept() or await self._connect()
        try:
            yield connection
        except aiosmtplib.SMTPResponseException as refused:
            self._keep(connection, usable=refused.code > 0)
            raise
        except BaseException:
            connection.close()
            raise
        self._keep(connection, usable=True)

    async def _kept(self) -> _Connection | None:
        """Return a kept connection that still works; None if there is none."""
        while self._idle:
            connection, timer = self._idle.pop()
            timer.cancel()
            if connection.is_connected:
                try:
                    await connection.rset()
                except (SMTPException, OSError):
                    connection.close()
                except BaseException:  # the time of the call is over, and nothing else has this connection
                    connection.close()
                    raise
                else:
                    return connection
        return None

    def _keep(self, connection: _Connection, *, usable: bool) -> None:
        seconds = self._config.keepalive_seconds
        if not usable or not seconds or len(self._idle) >= MAX_IDLE or not connection.is_connected:
            _quit(connection)
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._expire, connection)
        self._idle.append((connection, timer))

    def _expire(self, connection: _Connection) -> None:
        self._idle = deque(entry for entry in self._idle if entry[0] is not connection)
        _quit(connection)

    async def _connect(self) -> _Connection:
        config = self._config
        if config.tls != "none" and self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=config.ca_file or certifi.where())
        connection = _Connection(
            hostname=config.host,
            port=config.port_number,
            username=config.username,
            password=config.password.reveal() if config.password else None,
            local_hostname=config.ehlo_name or config.domain,
            timeout=None,  # the caller limits the whole call
            use_tls=config.tls == "implicit",
            start_tls=config.tls == "starttls",
            tls_context=self._tls,
        )
        try:
            await connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection


def _expect(response: aiosmtplib.SMTPResponse, code: int) -> None:
    if response.code != code:
        raise SMTPDataError(response.code, response.message)


def _quit(connection: _Connection) -> None:
    """Say QUIT, do not wait for the reply, and close."""
    if connection.protocol is not None and connection.is_connected:
        with contextlib.suppress(SMTPServerDisconnected):
            connection.protocol.write(b"QUIT\r\n")
    connection.close()
