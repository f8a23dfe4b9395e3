"""Problem responses that the server sends without the application. Each ends its connection."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from otp_service.api.problems import MEDIA_TYPE, PROBLEMS, problem_body, problem_headers
from otp_service.domain.errors import Refused

__all__ = ["problem_parts", "problem_response"]

RawHeaders = list[tuple[bytes, bytes]]

_COMMON_HEADERS: Final[RawHeaders] = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"connection", b"close"),
]


def problem_parts(refused: Refused) -> tuple[int, RawHeaders, bytes]:
    """Return status, headers and body of a problem response, with a new request id."""
    request_id = secrets.token_urlsafe(12)
    body = problem_body(refused, request_id)
    generated = [(b"content-length", str(len(body)).encode()), (b"x-request-id", request_id.encode())]
    return PROBLEMS[refused.reason][0], [*_COMMON_HEADERS, *generated, *problem_headers(refused)], body


def problem_response(refused: Refused, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a problem response.

    Args:
        refused: What is wrong with the request.
        default_headers: The headers of every response, such as `Date`.
    """
    status, headers, body = problem_parts(refused)
    lines = [name + b": " + value + b"\r\n" for name, value in [*default_headers, *headers]]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])
