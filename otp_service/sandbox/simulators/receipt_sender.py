"""What a gateway tells of a message later, as scripted: which word, when, how often, in which order, and whom.

A script is a row of `Told`, each with its own time since the message was taken, so a late word is one with a long
time, a doubled one has `times` 2, and one out of order is a `sent` that comes after its `delivered`. The script that
stands when a message is taken is that message's; another one later is for later messages.

A simulator that calls (`Telling`) keeps every call that it made, with what was answered, in `sent_receipts`. What it
still has to tell ends with it: `close` leaves no timer behind. The calls are written on bare streams, as the
simulators' answers are: a gateway is not our HTTP client, which refuses, repeats and logs by rules of its own.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from otp_service.sandbox.simulators.http_server import Simulator

__all__ = ["ReceiptSender", "ScriptedReceipt", "SentReceipt", "Webhook", "Word", "send_webhook"]

Word = Literal["sent", "delivered", "undelivered"]
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_Message = TypeVar("_Message")


@dataclass(frozen=True, slots=True)
class ScriptedReceipt:
    """One word about a message, `after` so many seconds since it was taken, `times` over.

    `reason` is the gateway's own way of saying why it did not arrive; None: what it says of most. `url` goes before
    the address that the gateway has for its calls.
    """

    say: Word = "delivered"
    after: float = 0.0
    times: int = 1
    reason: int | str | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One call: what stands in its body, and how it is written."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class SentReceipt:
    """A call that was made, and the HTTP status that it was answered with; 0: with none."""

    url: str
    hook: Webhook
    status: int
    at: datetime


class ReceiptSender(Simulator, Generic[_Message]):
    """A simulator that calls back: `receipts` says what it will tell of each message that it takes from now on."""

    answer_seconds: float = 5.0
    """A receiver that takes longer has not answered."""

    def __init__(self, retries_after: Sequence[float] = ()) -> None:
        """Call again, so many seconds after each call whose answer is not 200."""
        super().__init__()
        self.receipts: Sequence[ScriptedReceipt] = ()
        self.sent_receipts: list[SentReceipt] = []
        self._retries_after = tuple(retries_after)
        self._telling: set[asyncio.Task[list[int]]] = set()

    @abstractmethod
    def receipt_url(self, message: _Message) -> str:
        """Give the address to call about a message, "" if there is none."""

    @abstractmethod
    def build_webhook(self, message: _Message, told: ScriptedReceipt) -> Webhook:
        """Write the call that tells a word, and remember it as told."""

    async def send_receipt(self, message: _Message, told: ScriptedReceipt) -> list[int]:
        """Tell a word when its time has come: the HTTP status that each of its `times` got in the end."""
        await asyncio.sleep(told.after)
        hook, url = self.build_webhook(message, told), told.url or self.receipt_url(message)
        return [await self._call(url, hook) for _ in range(told.times)] if url else []

    def schedule_receipts(self, message: _Message) -> None:
        """Tell of a message by itself, whatever the script says now."""
        for told in self.receipts:
            task = asyncio.get_running_loop().create_task(self.send_receipt(message, told))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Listen no more, and tell nothing more."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await super().close()

    async def _call(self, url: str, hook: Webhook) -> int:
        status = 0
        for wait in (0.0, *self._retries_after):
            await asyncio.sleep(wait)
            status = await send_webhook(url, hook, seconds=self.answer_seconds)
            self.sent_receipts.append(SentReceipt(url, hook, status, datetime.now(UTC)))
            if status == 200:
                break
        return status


async def send_webhook(url: str, hook: Webhook | None = None, method: str = "POST", *, seconds: float = 5.0) -> int:
    """Call a receiver once: the HTTP status of its answer, 0 for none. Without a hook it is a call without a body."""
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(url, hook, method)
    except (OSError, EOFError, ValueError, IndexError):  # a time-out is an OSError; the others: no HTTP, no URL
        return 0


async def _exchange(url: str, hook: Webhook | None, method: str) -> int:
    there, body = urlsplit(url), hook.body if hook else b""
    path = (there.path or "/") + (f"?{there.query}" if there.query else "")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {there.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"Content-Type: {hook.content_type}"] if hook else []
    port = there.port or _DEFAULT_PORTS.get(there.scheme, 0)
    reader, writer = await asyncio.open_connection(there.hostname, port, ssl=there.scheme == "https" or None)
    try:
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
        await writer.drain()
        return int((await reader.readline()).split(b" ")[1])
    finally:
        writer.close()
