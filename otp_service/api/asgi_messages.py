"""Read a request body from the ASGI server, and write responses to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from litestar.types import HTTPScope, Message, Receive, Send

from otp_service.api.endpoints import MAX_BODY_BYTES
from otp_service.api.headers import Headers
from otp_service.api.request_context import RequestContext
from otp_service.domain.errors import Reason, Refused

__all__ = [
    "MAX_BODY_BYTES",
    "ClientDisconnected",
    "ResponseWriter",
    "allow_header",
    "is_large",
    "read_body",
    "replay_body",
    "response_of",
    "set_response",
]

_RESPONSE: Final = "otp.response"

_MAX_CONTENT_LENGTH_DIGITS: Final = 18
"""A Content-Length with more digits is too large; it is not parsed, because parsing takes time."""

RawHeader = tuple[bytes, bytes]
_JSON: Final[RawHeader] = (b"content-type", b"application/json")
_TEXT: Final[RawHeader] = (b"content-type", b"text/plain; charset=utf-8")
_RESPONSE_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""In every response."""


class ClientDisconnected(Exception):
    """The client closed the connection before its request body was complete."""


class ResponseWriter:
    """Sends responses with the headers that every response has, and remembers the status (0 until it is sent)."""

    def __init__(
        self,
        send: Send,
        context: RequestContext,
        delay_seconds: Callable[[RequestContext, int], float],
        added_headers: Callable[[RequestContext], Iterable[RawHeader]] | None,
        *,
        omit_body: bool,
    ) -> None:
        """Write to `send`.

        Args:
            send: The ASGI server's callable.
            context: The request that is answered.
            delay_seconds: Called with the status before a response starts, and returns how long to delay it.
            added_headers: Called before a response starts, and returns headers to add to it; None: there are none.
            omit_body: Whether to send responses without their body, as HEAD requires.
        """
        self._send = send
        self._context = context
        self._delay_seconds = delay_seconds
        self._added_headers = added_headers
        self._omit_body = omit_body
        self.status = 0

    async def send(self, message: Message) -> None:
        """Send an ASGI message of another application."""
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message["headers"] if name.lower() != b"cache-control"]
            await self._start(message["status"], kept)
            return
        if self._omit_body and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)

    async def send_json(self, status: int, body: bytes) -> None:
        """Send a JSON body."""
        headers = [_JSON, (b"content-length", b"%d" % len(body)), *self._context.headers_to_send]
        await self._send_whole(status, headers, body)

    async def send_text(self, status: int, text: str) -> None:
        """Send plain text."""
        body = text.encode()
        await self._send_whole(status, [_TEXT, (b"content-length", b"%d" % len(body))], body)

    async def send_problem(self, refused: Refused) -> None:
        """Send the response of a refusal in the form of the endpoint, and record the reason for the log line."""
        self._context.log_fields["outcome"] = str(refused.logged_reason)
        error_format = self._context.endpoint.rules.error_format
        error = error_format(refused, self._context.headers, self._context.request_id)
        length = b"%d" % len(error.body)
        headers = [(b"content-type", error.media_type.encode()), (b"content-length", length), *error.headers]
        await self._send_whole(error.status, headers, error.body)

    async def send_empty(self, status: int) -> None:
        """Send a response without a body."""
        await self._send_whole(status, [*self._context.headers_to_send], b"")

    async def send_options(self, methods: Iterable[str]) -> None:
        """Send the response to OPTIONS."""
        allow = (b"allow", allow_header(methods).encode())
        await self._send_whole(204, [allow, *self._context.headers_to_send], b"")

    async def _send_whole(self, status: int, headers: list[RawHeader], body: bytes) -> None:
        await self._start(status, headers)
        await self._send({"type": "http.response.body", "body": b"" if self._omit_body else body, "more_body": False})

    async def _start(self, status: int, headers: list[RawHeader]) -> None:
        self.status = status
        if delay := self._delay_seconds(self._context, status):
            await asyncio.sleep(delay)
        headers += (*_RESPONSE_HEADERS, (b"x-request-id", self._context.request_id.encode()))
        if self._added_headers is not None:
            headers += self._added_headers(self._context)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def set_response(scope: HTTPScope, response: ResponseWriter) -> None:
    """Keep `response` in the ASGI scope of its request."""
    cast("dict[str, Any]", scope)[_RESPONSE] = response


def response_of(scope: Mapping[str, Any]) -> ResponseWriter:
    """Return what sends the response to the request with this ASGI scope."""
    response: ResponseWriter = scope[_RESPONSE]
    return response


def allow_header(methods: Iterable[str]) -> str:
    """Return the value of the `Allow` header."""
    return ", ".join(sorted(methods))


def is_large(headers: Headers) -> bool:
    """Return whether a request announces a body of more than `MAX_BODY_BYTES`."""
    length = headers.get(b"content-length", b"0")
    return length.isdigit() and (len(length) > _MAX_CONTENT_LENGTH_DIGITS or int(length) > MAX_BODY_BYTES)


async def read_body(headers: Headers, receive: Receive, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Read the whole request body.

    Raises:
        Refused: `body_too_large`, as soon as it is known that the body exceeds `max_bytes`, or `MAX_BODY_BYTES` if its
            length was not announced.
        ClientDisconnected: The body is not complete and never will be.
    """
    length = headers.get(b"content-length", b"0")
    if not is_large(headers):
        max_bytes = MAX_BODY_BYTES
    elif len(length) > _MAX_CONTENT_LENGTH_DIGITS or int(length) > max_bytes:
        raise _too_large(max_bytes)
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
        if size > max_bytes:
            raise _too_large(max_bytes)
    return b"".join(parts)


def _too_large(max_bytes: int) -> Refused:
    return Refused(Reason.BODY_TOO_LARGE, f"Send a body of at most {max_bytes} bytes.")


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
