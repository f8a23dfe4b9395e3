"""Helpers for tests of the SMTP adapter: the provider, an e-mail, and a server that plays scripted replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from msgspec.structs import replace

from otp_service.domain.email_texts import render
from otp_service.domain.message import Channel, OutboundMessage
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.smtp.adapter import Smtp
from otp_service.providers.smtp.config import SmtpConfig

USER, PASSWORD = "smtp-user", "smtp password"
TO = "ana.putri+otp@example.co.id"
SENDER = "no-reply@acme.example"
NOW = 1_764_000_000.0


def smtp_config(port: int, **options: Any) -> SmtpConfig:
    """Return the table of a provider for a server on this machine, without TLS."""
    table: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "username": USER,
        "password": Secret(PASSWORD),
        "sender": SENDER,
    }
    return SmtpConfig(**table | options)


@contextlib.asynccontextmanager
async def smtp(port: int, *, seconds: float = 2.0, **options: Any) -> AsyncIterator[Smtp]:
    """Run a provider that sends to the server on this port."""
    provider = Smtp("first", smtp_config(port, **options), GatewayClient(seconds), clock=lambda: NOW)
    try:
        yield provider
    finally:
        await provider.close()


def outbound(brand: str = "Acme", locale: str = "en", **changes: Any) -> OutboundMessage:
    """Return an e-mail to send."""
    mail = render(brand, "123456", 5, "login", locale)
    message = OutboundMessage("v1-ABC_7", TO, "", "", mail.text, "123456", 300, brand=brand, channel=Channel.EMAIL)
    return replace(message, **{"subject": mail.subject, "html": mail.html, **changes})


@contextlib.asynccontextmanager
async def playing(*replies: str, hangs: bool = False) -> AsyncIterator[tuple[int, list[str]]]:
    """Run a server that answers the connection and then each line with the next reply; yield its port and the lines.

    After the last reply it closes the connection, or (`hangs`) says nothing more until the client closes it
    (the line `(closed)`), three seconds at most. A message is one line.
    """
    lines: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            for reply in replies:
                writer.write(f"{reply}\r\n".encode("latin-1"))
                end = b"\r\n.\r\n" if reply.startswith("354") else b"\r\n"
                lines.append((await reader.readuntil(end)).decode("latin-1").partition(" ")[0].strip())
            if hangs:
                async with asyncio.timeout(3):
                    await reader.read()
                lines.append("(closed)")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], lines
