"""One connection to a simulated SMTP server: commands in their order, and replies with enhanced codes (RFC 3463)."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang, Respond, Slow

__all__ = ["Account", "Delivery", "SmtpSession"]

MAX_COMMAND_BYTES: Final = 512
MAX_CONTENT_BYTES: Final = 1024 * 1024
_PATH: Final = re.compile(r"(?:MAIL FROM|RCPT TO):<([^<>\s]{1,254})>(?: SIZE=[0-9]{1,20})?", re.IGNORECASE)

Delivery = Callable[[bytes, str, str], str]
"""Takes the content, the sender and the recipient; returns the reply to the final dot."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the server requires: a user and password (None: no login), TLS before them, and its certificate."""

    username: str | None
    password: str
    tls: ssl.SSLContext | None = None
    requires_tls: bool = False


class SmtpSession:
    """Serves one client until it quits or the script ends the connection."""

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        account: Account,
        next_behavior: Callable[[str], Behavior | None],
        deliver: Delivery,
        log: list[str],
    ) -> None:
        """Serve the client of `streams`.

        Args:
            streams: The connection.
            account: What the server requires.
            next_behavior: Takes the scripted step of a message when it begins (by its sender).
            deliver: Checks and stores a message.
            log: Gets the verb of each command.
        """
        self._reader, self._writer = streams
        self._account = account
        self._next_behavior = next_behavior
        self._deliver = deliver
        self._log = log
        self._is_secure = False
        self._is_logged_in = account.username is None
        self._sender, self._recipient = "", ""
        self._behavior: Behavior | None = None
        self._commands: dict[str, Callable[[str], Awaitable[str]]] = {
            "EHLO": self._ehlo, "STARTTLS": self._starttls, "AUTH": self._auth, "MAIL": self._mail, "RCPT": self._rcpt,
            "DATA": self._data, "RSET": self._rset, "NOOP": self._noop,
        }  # fmt: skip

    async def run(self, *, is_secure: bool = False) -> None:
        """Greet the client, and answer its commands; returns when the connection is to be closed.

        `is_secure`: the connection has begun with TLS.
        """
        self._is_secure = is_secure
        await self._reply("220 smtp.sandbox.example ESMTP")
        while True:
            line = await self._line(MAX_COMMAND_BYTES)
            verb = line.partition(" ")[0].upper()
            self._log.append(verb)
            if verb == "QUIT":
                await self._reply("221 2.0.0 Bye")
                return
            command = self._commands.get(verb)
            reply = await command(line) if command else "502 5.5.1 Command not implemented"
            if not reply:
                return
            await self._reply(reply)
            if verb == "STARTTLS" and reply.startswith("220"):
                await self._secure()

    async def _line(self, limit: int) -> str:
        raw = await self._reader.readuntil(b"\n")
        if not raw.endswith(b"\r\n") or len(raw) > limit or not raw.isascii():
            raise ValueError("not a line of SMTP")
        return raw[:-2].decode()

    async def _reply(self, text: str) -> None:
        self._writer.write(f"{text}\r\n".encode())
        await self._writer.drain()

    async def _secure(self) -> None:
        """Continue with TLS, and forget what the client said before (RFC 3207, 4.2)."""
        assert self._account.tls is not None  # noqa: S101 - STARTTLS is refused without
        await self._writer.start_tls(self._account.tls)
        self._is_secure = True
        self._sender = self._recipient = ""

    async def _ehlo(self, line: str) -> str:
        if not re.fullmatch(r"EHLO [A-Za-z0-9.:\[\]-]{1,253}", line, re.IGNORECASE):
            return "501 5.5.4 Send EHLO and a name"
        extensions = ["SIZE 1048576", "ENHANCEDSTATUSCODES"]
        if self._account.tls is not None and not self._is_secure:
            extensions.append("STARTTLS")
        if self._account.username is not None and (self._is_secure or not self._account.requires_tls):
            extensions.append("AUTH PLAIN LOGIN")
        lines = ["smtp.sandbox.example", *extensions]
        return "\r\n".join(f"250-{one}" for one in lines[:-1]) + f"\r\n250 {lines[-1]}"

    async def _starttls(self, line: str) -> str:
        if line.upper() != "STARTTLS" or self._is_secure or self._account.tls is None:
            return "502 5.5.1 STARTTLS is not offered"
        return "220 2.0.0 Ready to start TLS"

    async def _auth(self, line: str) -> str:
        if self._account.requires_tls and not self._is_secure:
            return "538 5.7.11 Encryption required"
        _, _, rest = line.partition(" ")
        mechanism, _, initial = rest.partition(" ")
        if mechanism.upper() != "PLAIN" or not initial:
            return "504 5.5.4 Send AUTH PLAIN with the response"
        try:
            _, user, password = base64.b64decode(initial, validate=True).decode().split("\0")
        except ValueError:
            return "501 5.5.2 Cannot decode"
        self._is_logged_in = (user, password) == (self._account.username, self._account.password)
        return "235 2.7.0 Accepted" if self._is_logged_in else "535 5.7.8 Authentication credentials invalid"

    async def _mail(self, line: str) -> str:
        if not self._is_logged_in:
            return "530 5.7.0 Authentication required"
        match = _PATH.fullmatch(line)
        if match is None or self._sender:
            return "501 5.5.4 Send one MAIL FROM:<address>"
        self._sender, self._recipient = match[1], ""
        self._behavior = self._next_behavior(match[1])
        return self._refusal("mail") or "250 2.1.0 Ok"

    async def _rcpt(self, line: str) -> str:
        match = _PATH.fullmatch(line)
        if match is None or not self._sender:
            return "503 5.5.1 Send MAIL first, then RCPT TO:<address>"
        if self._recipient:
            return "452 4.5.3 Send one recipient"
        if refusal := self._refusal("rcpt"):
            return refusal
        self._recipient = match[1]
        return "250 2.1.5 Ok"

    async def _data(self, line: str) -> str:
        if line.upper() != "DATA" or not self._recipient:
            return "503 5.5.1 Send RCPT first"
        if refusal := self._refusal("data"):
            return refusal
        await self._reply("354 End data with <CR><LF>.<CR><LF>")
        content = await self._content()
        self._log.append(".")
        sender, recipient, behavior = self._sender, self._recipient, self._behavior
        await self._rset("")
        match behavior:
            case Slow(seconds):
                reply = self._deliver(content, sender, recipient)
                await asyncio.sleep(seconds)
                return reply
            case Hang(processed) | Cut(processed):
                if processed:
                    self._deliver(content, sender, recipient)
                if isinstance(behavior, Hang):
                    await self._reader.read()  # until the client closes the connection
                return ""
            case Respond(response):
                return f"{response.status} {response.body.decode()}"
        return self._deliver(content, sender, recipient)

    async def _content(self) -> bytes:
        """Read until the final dot; remove the dots that were added to lines (RFC 5321, 4.5.2)."""
        lines: list[bytes] = []
        size = 0
        while (line := await self._reader.readuntil(b"\n")) != b".\r\n":
            lines.append(line.removeprefix(b"."))
            size += len(line)
            if size > MAX_CONTENT_BYTES:
                raise ValueError("too much")
        return b"".join(lines)

    async def _rset(self, _line: str) -> str:
        self._sender, self._recipient, self._behavior = "", "", None
        return "250 2.0.0 Ok"

    async def _noop(self, _line: str) -> str:
        return "250 2.0.0 Ok"

    def _refusal(self, phase: str) -> str:
        """Return the scripted reply for this phase; "" if there is none. It ends the message."""
        behavior = self._behavior
        if not isinstance(behavior, Respond) or behavior.response.headers.get("phase") != phase:
            return ""
        if phase == "mail":
            self._sender = ""
        return f"{behavior.response.status} {behavior.response.body.decode()}"
