"""Delivery receipts as scripted: which status, when, how often, in which order, and to which URL.

A script is a list of `ScriptedReceipt`. Each has its own delay since the message was accepted: a late receipt has a
long delay, a duplicate has `times` 2, and in a script out of order `sent` has a longer delay than `delivered`. A
message keeps the script that was set when it was accepted; a new script is for later messages.

A `ReceiptSender` records every request that it made, with the status of the response, in `sent_receipts`. `close`
cancels the receipts that are still due. Requests are written on bare streams, as the simulators' responses are: the
service's own HTTP client rejects, retries and logs by rules that no gateway has.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from otp_service.sandbox.simulators.http_server import Simulator

__all__ = ["ReceiptSender", "ReceiptStatus", "ScriptedReceipt", "SentReceipt", "Webhook", "send_webhook"]

ReceiptStatus = Literal["sent", "delivered", "undelivered"]
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_Message = TypeVar("_Message")


@dataclass(frozen=True, slots=True)
class ScriptedReceipt:
    """One status of a message, sent `after` seconds since it was accepted, `times` times.

    `reason` is the gateway's own error code for `undelivered`; None is its most common one. `url` overrides the URL
    to which the gateway sends its receipts.
    """

    status: ReceiptStatus = "delivered"
    after: float = 0.0
    times: int = 1
    reason: int | str | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One receipt request: its body, media type and further headers, or the query that a GET adds to the URL."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    query: str = ""


@dataclass(frozen=True, slots=True)
class SentReceipt:
    """A request that was made, and the HTTP status of the response; 0 if there was none."""

    url: str
    webhook: Webhook
    status: int
    at: datetime


class ReceiptSender(Simulator, Generic[_Message]):
    """A simulator that sends receipts; `receipts` is the script for messages that it accepts from now on."""

    answer_seconds: float = 5.0
    """The timeout of a request; a later response counts as none."""

    def __init__(self, retries_after: Sequence[float] = ()) -> None:
        """Retry a request whose response is not 200 after each of these delays, in seconds."""
        super().__init__()
        self.receipts: Sequence[ScriptedReceipt] = ()
        self.sent_receipts: list[SentReceipt] = []
        self._retries_after = tuple(retries_after)
        self._sending: set[asyncio.Task[list[int]]] = set()

    @abstractmethod
    def receipt_url(self, message: _Message) -> str:
        """Return the URL for receipts of this message; "" if there is none."""

    @abstractmethod
    def build_webhook(self, message: _Message, receipt: ScriptedReceipt) -> Webhook:
        """Build the request that reports a receipt, and record the status as reported."""

    async def send_receipt(self, message: _Message, receipt: ScriptedReceipt) -> list[int]:
        """Send a receipt after its delay; return the last HTTP status of each of its `times`."""
        await asyncio.sleep(receipt.after)
        webhook, url = self.build_webhook(message, receipt), receipt.url or self.receipt_url(message)
        return [await self._post(url, webhook) for _ in range(receipt.times)] if url else []

    def schedule_receipts(self, message: _Message) -> None:
        """Start to send the receipts that `receipts` has now."""
        for receipt in self.receipts:
            self._track(self.send_receipt(message, receipt))

    def schedule(self, url: str, webhook: Webhook) -> None:
        """Start to send a request that is not about a message."""
        if url:
            self._track(self._post_all(url, webhook))

    async def close(self) -> None:
        """Stop listening, and cancel the receipts that are still due."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await super().close()

    def _track(self, sending: Coroutine[None, None, list[int]]) -> None:
        task = asyncio.get_running_loop().create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _post_all(self, url: str, webhook: Webhook) -> list[int]:
        return [await self._post(url, webhook)]

    async def _post(self, url: str, webhook: Webhook) -> int:
        status = 0
        for delay in (0.0, *self._retries_after):
            await asyncio.sleep(delay)
            status = await send_webhook(url, webhook, seconds=self.answer_seconds)
            self.sent_receipts.append(SentReceipt(url, webhook, status, datetime.now(UTC)))
            if status == 200:
                break
        return status


async def send_webhook(url: str, webhook: Webhook | None = None, method: str = "POST", *, seconds: float = 5.0) -> int:
    """Send one request; return the HTTP status of the response, 0 if none.

    If `webhook` is None, the request has no body, and `method` is its method.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(url, webhook, webhook.method if webhook else method)
    except (OSError, EOFError, ValueError, IndexError):  # a timeout is an OSError; the others: not HTTP, not a URL
        return 0


async def _exchange(url: str, webhook: Webhook | None, method: str) -> int:
    target, body = urlsplit(url), webhook.body if webhook else b""
    query = "&".join(filter(None, [target.query, webhook.query if webhook else ""]))
    path = (target.path or "/") + (f"?{query}" if query else "")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {target.netloc}", f"Content-Length: {len(body)}"]
    if webhook:
        headers = {"Content-Type": webhook.content_type, **webhook.headers}
        lines += [f"{name}: {value}" for name, value in headers.items() if value]
    port = target.port or _DEFAULT_PORTS.get(target.scheme, 0)
    reader, writer = await asyncio.open_connection(target.hostname, port, ssl=target.scheme == "https" or None)
    try:
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
        await writer.drain()
        return int((await reader.readline()).split(b" ")[1])
    finally:
        writer.close()
