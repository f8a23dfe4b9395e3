"""An SMTP submission server: STARTTLS or implicit TLS, AUTH PLAIN, one recipient for each message.

The simulator is stricter than servers are: a message that is not the documented form (7 bits, CRLF, each header once,
the addresses of the envelope, one plain text and one HTML) gets 554 and the reason, and a line that is not SMTP ends
the connection.

A scripted `Respond` is a reply of SMTP: `status` is its code, `body` its text, and the header `phase` says to what it
replies: `mail`, `rcpt`, `data`, or (without one) the final dot. `Hang` and `Cut` begin after the final dot.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

from otp_service.sandbox.simulators.http_server import Behavior, Request, Respond, Simulator, SimulatorResponse
from otp_service.sandbox.simulators.listening_port import LOOPBACK, ListeningPort
from otp_service.sandbox.simulators.smtp_messages import InvalidMessage, SmtpMessage, read_message
from otp_service.sandbox.simulators.smtp_session import Account, SmtpSession

__all__ = ["SmtpMessage", "SmtpSimulator", "refusal"]

Phase = Literal["mail", "rcpt", "data", "content"]
MESSAGE: Final = "MESSAGE"


def refusal(code: int, text: str = "Refused", phase: Phase = "rcpt") -> Respond:
    """Return the behavior that refuses a message with a reply in this phase."""
    return Respond(SimulatorResponse(text.encode(), code, {"phase": phase}))


class SmtpSimulator(Simulator):
    """One account at a server.

    Attributes:
        messages: The accepted messages, oldest first.
        commands: The verbs of all commands of all clients, in order; `.` is the end of a message.
        connections: How many connections were opened.
    """

    def __init__(
        self,
        username: str | None = "smtp-user",
        password: str = "smtp password",  # noqa: S107 - only the simulator accepts it
        *,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create an account.

        Args:
            username: Its user; None: no login.
            password: Its password.
            tls: The certificate of the server; with one, a login needs TLS. None: TLS is not offered.
            implicit_tls: TLS begins with the connection.
            clock: The server's Unix time in seconds.
        """
        super().__init__()
        self.messages: list[SmtpMessage] = []
        self.commands: list[str] = []
        self.connections = 0
        self._account = Account(username, password, tls, requires_tls=tls is not None)
        self._implicit_tls = implicit_tls
        if implicit_tls:
            self._port = ListeningPort(self._connected, tls)
        self._clock = clock

    @property
    def url(self) -> str:
        """The address; valid after `bind` or `listen`."""
        return f"smtp://{LOOPBACK}:{self.port}"

    def answer(self, request: Request) -> SimulatorResponse:
        """Serve no HTTP; what is sent to this server goes through `_serve`."""
        raise NotImplementedError(request.method)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        session = SmtpSession((reader, writer), self._account, self._begin, self._deliver, self.commands)
        try:
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
                await session.run(is_secure=self._implicit_tls)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    def _begin(self, sender: str) -> Behavior | None:
        return self._next_behavior(Request(MESSAGE, sender, {}, b""))

    def _deliver(self, content: bytes, sender: str, recipient: str) -> str:
        self.requests.append(Request(MESSAGE, recipient, {}, content))
        number = len(self.messages) + 1
        try:
            message = read_message(content, sender, recipient, number, datetime.fromtimestamp(self._clock(), UTC))
        except InvalidMessage as problem:
            return f"554 5.6.0 {problem}"
        self.messages.append(message)
        return f"250 2.0.0 Ok: queued as {message.id}"
