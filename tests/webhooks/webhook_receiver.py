"""A receiver of webhooks: a real HTTP server that verifies each call with the package `standardwebhooks`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook

from tests.waits import wait_until

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECOND_SECRET = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One call, which was verified."""

    id: str
    at: float
    body: bytes
    headers: Mapping[str, str]

    @property
    def type(self) -> str:
        """The type of the event."""
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        """The data of the event."""
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found


class WebhookReceiver:
    """Answers each call as the first of `answers` says, then as `answer` does: a status and more header lines."""

    def __init__(self, secret: str = SECRET, tls: ssl.SSLContext | None = None) -> None:
        self.secret = secret
        self.answer: tuple[int, Mapping[str, str]] = (204, {})
        self.answers: list[tuple[int, Mapping[str, str]]] = []
        self.delay_seconds = 0.0
        self.events: list[ReceivedEvent] = []
        self.at_once = 0
        self.most_at_once = 0
        self._tls = tls
        self._port = 0
        self._closing = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> WebhookReceiver:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def listen(self) -> None:
        """Listen, again on the same port after `close`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening."""
        self._server.close()
        await self._server.wait_closed()
        self._closing.set()
        await asyncio.gather(*self._calls)
        self._closing.clear()

    @property
    def url(self) -> str:
        """Where to send events."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/hooks?from=otp"

    @property
    def types(self) -> list[str]:
        """The types of the events that came, in their order."""
        return [event.type for event in self.events]

    def config(self, **members: Any) -> dict[str, Any]:
        """Return the config of an endpoint that sends here."""
        return {"url": self.url, "secret": self.secret, "allow_private_targets": True, **members}

    async def wait_for(self, *types: str, seconds: float = 8.0) -> list[ReceivedEvent]:
        """Wait until events of these types have come, and return the last of each."""
        await wait_until(lambda: set(types) <= set(self.types), seconds)
        return [[event for event in self.events if event.type == one][-1] for one in types]

    async def wait_for_calls(self, count: int, seconds: float = 8.0) -> Sequence[ReceivedEvent]:
        """Wait until `count` calls have come."""
        await wait_until(lambda: len(self.events) >= count, seconds)
        return self.events

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.ensure_future(self._answer(reader, writer))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            request_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            assert request_line == "POST /hooks?from=otp HTTP/1.1"
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines if one)}
            body = await reader.readexactly(int(headers["content-length"]))
            Webhook(self.secret).verify(body, headers)
            self.events.append(ReceivedEvent(headers["webhook-id"], asyncio.get_running_loop().time(), body, headers))
            status, more = self.answers.pop(0) if self.answers else self.answer
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self.delay_seconds)
            self.at_once -= 1
            text = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            writer.write(f"HTTP/1.1 {status} Any\r\nContent-Length: 2\r\n{text}\r\nok".encode())
            await writer.drain()
        writer.close()
