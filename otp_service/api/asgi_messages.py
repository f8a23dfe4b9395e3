"""Read a request body from the ASGI server, and write responses to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from litestar.types import Message, Receive, Send

from otp_service.api.headers import Headers
from otp_service.api.problems import MEDIA_TYPE, PROBLEMS, problem_body, problem_headers
from otp_service.domain.errors import Reason, Refused

__all__ = ["MAX_BODY_BYTES", "ClientDisconnected", "ResponseWriter", "allow_header", "read_body", "replay_body"]

MAX_BODY_BYTES: Final = 64 * 1024
_MAX_CONTENT_LENGTH_DIGITS: Final = 18
"""A Content-Length with more digits is too large; it is not parsed, because parsing takes time."""

_RESPONSE_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""In every response."""


class ClientDisconnected(Exception):
    """The client closed the connection before its request body was complete."""


class ResponseWriter:
    """Sends responses with the headers that every response has, and remembers the status (0 until it is sent)."""

    def __init__(
        self, send: Send, request_id: str, before_start: Callable[[int], Awaitable[None]], *, omit_body: bool
    ) -> None:
        """Write to `send`.

        Args:
            send: The ASGI server's callable.
            request_id: The value of `X-Request-Id`.
            before_start: Awaited with the status before a response starts.
            omit_body: Whether to send responses without their body, as HEAD requires.
        """
        self._send = send
        self._request_id = request_id
        self._before_start = before_start
        self._omit_body = omit_body
        self.status = 0

    async def send(self, message: Message) -> None:
        """Send an ASGI message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await self._before_start(self.status)
            common = [*_RESPONSE_HEADERS, (b"x-request-id", self._request_id.encode())]
            kept = [(name, value) for name, value in message["headers"] if name.lower() != b"cache-control"]
            message["headers"] = [*kept, *common]
        elif self._omit_body and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)

    async def send_problem(self, refused: Refused) -> None:
        """Send the problem response of a refusal."""
        body = problem_body(refused, self._request_id)
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem_headers(refused)}
        await self._send_response(PROBLEMS[refused.reason][0], headers, body)

    async def send_options(self, methods: Iterable[str]) -> None:
        """Send the response to OPTIONS."""
        await self._send_response(204, {"allow": allow_header(methods)}, b"")

    async def _send_response(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw_headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def allow_header(methods: Iterable[str]) -> str:
    """Return the value of the `Allow` header."""
    return ", ".join(sorted(methods))


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """Read the whole request body.

    Raises:
        Refused: `body_too_large`, as soon as it is known that the body exceeds `MAX_BODY_BYTES`.
        ClientDisconnected: The body is not complete and never will be.
    """
    length = headers.get(b"content-length", b"0")
    too_large = Refused(Reason.BODY_TOO_LARGE, f"Send a body of at most {MAX_BODY_BYTES} bytes.")
    if length.isdigit() and (len(length) > _MAX_CONTENT_LENGTH_DIGITS or int(length) > MAX_BODY_BYTES):
        raise too_large
    if length == b"0" and b"transfer-encoding" not in headers:
        return b""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        more = message.get("more_body", False)
        if size > MAX_BODY_BYTES:
            raise too_large
    return b"".join(parts)


def replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, and after it the messages of the server."""
    is_sent = False

    async def replayed() -> Any:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
