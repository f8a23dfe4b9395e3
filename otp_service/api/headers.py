"""Read request headers, in time proportional to their length and without regular expressions."""

from __future__ import annotations

import base64
import os
import string
from collections.abc import Mapping
from typing import Final

from litestar.types import HTTPScope

from otp_service.api.problems import RefusedWithHeaders
from otp_service.domain.errors import FieldError, Reason, Refused

__all__ = [
    "AUTHORIZATION",
    "IDEMPOTENCY_KEY",
    "MAX_IDEMPOTENCY_KEY_CHARACTERS",
    "Headers",
    "check_content_type",
    "header_error",
    "idempotency_key",
    "is_form",
    "request_id",
    "single_header",
]

Headers = Mapping[bytes, bytes]

AUTHORIZATION: Final = b"authorization"
IDEMPOTENCY_KEY: Final = b"idempotency-key"
MAX_IDEMPOTENCY_KEY_CHARACTERS: Final = 255
_CONTENT_TYPE: Final = b"content-type"
_CONTENT_ENCODING: Final = b"content-encoding"
_REQUEST_ID: Final = b"x-request-id"

_JSON: Final = b"application/json"
_FORM: Final = b"application/x-www-form-urlencoded"
_DIGITS: Final = string.digits.encode()
_ID_CHARACTERS: Final = (string.ascii_letters + string.digits + "._-").encode()
_MAX_ID_CHARACTERS: Final = 64
_MAX_ID_DIGITS: Final = 5
"""The log masks all digits of a text with more of them, because it may be a phone number."""

_ID_ALPHABET: Final = bytes.maketrans(b"0123456789+/", b"bcdfghjkmn-_")
"""Replaces the characters of base64 that an id must not contain."""


def is_repeated(scope: HTTPScope, name: bytes) -> bool:
    """Return whether a header was sent more than once."""
    return sum(found == name for found, _ in scope["headers"]) > 1


def single_header(scope: HTTPScope, headers: Headers, name: bytes) -> bytes:
    """Return a header that may be sent once only, or b"" if it was not sent.

    Two parsers of a repeated header might use different values. `headers` are the headers of `scope`, by name: as many,
    if none is repeated.

    Raises:
        Refused: `request_malformed`, if the header was sent more than once.
    """
    sent = scope["headers"]
    if len(sent) != len(headers) and is_repeated(scope, name):  # type: ignore[arg-type]  # servers give a list
        errors = (header_error(name.decode(), "Send this header once."),)
        raise Refused(Reason.REQUEST_MALFORMED, "Correct the headers: `errors` says what to send.", field_errors=errors)
    return headers.get(name, b"")


def header_error(name: str, detail: str) -> FieldError:
    """Describe an error in a header. Its pointer is empty, because a JSON pointer refers to the body."""
    return FieldError("", f"{name}: {detail}")


def idempotency_key(headers: Headers) -> str:
    """Return the `Idempotency-Key`, which was sent. Raises `Refused` (`request_malformed`)."""
    sent = headers[IDEMPOTENCY_KEY]
    if not 0 < len(sent) <= MAX_IDEMPOTENCY_KEY_CHARACTERS:
        detail = f"Send 1-{MAX_IDEMPOTENCY_KEY_CHARACTERS} characters, or leave this header out."
        raise Refused(Reason.REQUEST_MALFORMED, field_errors=(header_error(IDEMPOTENCY_KEY.decode(), detail),))
    return sent.decode("latin-1")


def request_id(scope: HTTPScope, headers: Headers) -> str:
    """Return the caller's `X-Request-Id`, or a new one if the caller's might contain a phone number.

    A new id has no digits, because the log masks the digits of a text with six or more of them.
    """
    sent = headers.get(_REQUEST_ID, b"")
    if 0 < len(sent) <= _MAX_ID_CHARACTERS and not sent.translate(None, _ID_CHARACTERS):
        digits = len(sent) - len(sent.translate(None, _DIGITS))
        if digits <= _MAX_ID_DIGITS and not is_repeated(scope, _REQUEST_ID):
            return sent.decode()
    return base64.b64encode(os.urandom(12)).translate(_ID_ALPHABET).decode()


def is_form(headers: Headers) -> bool:
    """Return whether the body is declared as a form."""
    return _media_type(headers.get(_CONTENT_TYPE, b"")) == _FORM


def check_content_type(scope: HTTPScope, headers: Headers, *, accepts_form: bool = False) -> None:
    """Raise `Refused` (`media_type_unsupported`) unless the body is declared as JSON without a content encoding.

    Parameters of the media type are ignored: RFC 8259 defines none. With `accepts_form` the body may be a form, too.
    """
    content_type = single_header(scope, headers, _CONTENT_TYPE)
    if content_type != _JSON and _media_type(content_type) not in ((_JSON, _FORM) if accepts_form else (_JSON,)):
        allowed = " or ".join(one.decode() for one in (_JSON, *([_FORM] if accepts_form else [])))
        raise Refused(Reason.MEDIA_TYPE_UNSUPPORTED, f"Send `Content-Type: {allowed}`.")
    if _CONTENT_ENCODING not in headers:
        return
    if single_header(scope, headers, _CONTENT_ENCODING).strip().lower() not in (b"", b"identity"):
        detail = "Send the body without Content-Encoding."
        raise RefusedWithHeaders([(b"accept-encoding", b"identity")], Reason.MEDIA_TYPE_UNSUPPORTED, detail)


def _media_type(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()
