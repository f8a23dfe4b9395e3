"""The headers that the edge reads: bounded, in linear time, and without a regular expression on the way."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Final, cast

from litestar.types import HTTPScope

from otp_service.api.problems import RefusedWith
from otp_service.domain.errors import FieldError, Reason, Refused

__all__ = ["AUTHORIZATION", "IDEMPOTENCY_KEY", "Headers", "check_media", "header_mistake", "request_id", "single"]

Headers = Mapping[bytes, bytes]

AUTHORIZATION: Final = b"authorization"
IDEMPOTENCY_KEY: Final = b"idempotency-key"
_CONTENT_TYPE: Final = b"content-type"
_CONTENT_ENCODING: Final = b"content-encoding"
_REQUEST_ID: Final = b"x-request-id"

_JSON: Final = b"application/json"
_DIGITS: Final = string.digits.encode()
_ID_CHARACTERS: Final = (string.ascii_letters + string.digits + "._-").encode()
_MAX_ID_CHARACTERS: Final = 64
_MAX_ID_DIGITS: Final = 5
"""One digit more, and the log masks all of them: it may be a number."""

_LETTERS_FOR_DIGITS: Final = str.maketrans(string.digits, "bcdfghjkmn")


def is_repeated(scope: HTTPScope, headers: Headers, name: bytes) -> bool:
    """Say whether a header came more than once; `headers` are those of `scope`, by name."""
    lines = cast("Sequence[tuple[bytes, bytes]]", scope["headers"])
    return len(lines) != len(headers) and sum(found == name for found, _ in lines) > 1


def single(scope: HTTPScope, headers: Headers, name: bytes) -> bytes:
    """Give a header that must not come twice, because two readers might choose differently; raises `Refused`."""
    if is_repeated(scope, headers, name):
        mistakes = (header_mistake(name.decode(), "Send this header once."),)
        raise Refused(Reason.REQUEST_MALFORMED, "Correct the headers: `errors` says what to send.", mistakes=mistakes)
    return headers.get(name, b"")


def header_mistake(name: str, detail: str) -> FieldError:
    """Name a header with what is wrong: no pointer reaches it."""
    return FieldError("", f"{name}: {detail}")


def request_id(scope: HTTPScope, headers: Headers) -> str:
    """Keep the caller's id when it cannot hold a number, so that its log and ours can be read side by side.

    Ours have no digits: an id goes through the log's redaction like any other text.
    """
    given = headers.get(_REQUEST_ID, b"")
    if 0 < len(given) <= _MAX_ID_CHARACTERS and not given.translate(None, _ID_CHARACTERS):
        digits = len(given) - len(given.translate(None, _DIGITS))
        if digits <= _MAX_ID_DIGITS and not is_repeated(scope, headers, _REQUEST_ID):
            return given.decode()
    return secrets.token_urlsafe(12).translate(_LETTERS_FOR_DIGITS)


def check_media(scope: HTTPScope, headers: Headers) -> None:
    """Raise `Refused` for a body that is not plain JSON. Parameters mean nothing (RFC 8259): the body decides."""
    if single(scope, headers, _CONTENT_TYPE).partition(b";")[0].strip().lower() != _JSON:
        raise Refused(Reason.MEDIA_TYPE_UNSUPPORTED, "Send `Content-Type: application/json`.")
    if single(scope, headers, _CONTENT_ENCODING).strip().lower() not in (b"", b"identity"):
        detail = "Send the body as it is, without Content-Encoding."
        raise RefusedWith({"Accept-Encoding": "identity"}, Reason.MEDIA_TYPE_UNSUPPORTED, detail)
