"""Parse a request to SendCloud, and reject what does not follow the document."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from otp_service.sandbox.simulators.http_server import Request

__all__ = ["MAX_REFERENCE_CHARS", "InvalidRequest", "check_reference", "parse_fields"]

FORM: Final = "application/x-www-form-urlencoded"
MAX_REFERENCE_CHARS: Final = 128
_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9&=._~+*-]|%[0-9A-F]{2})*")


class InvalidRequest(Exception):
    """The request does not follow the document; the text is the reason."""


def check_reference(text: str) -> None:
    """Check `customArgs` or `tag`: a JSON object of at most 128 characters."""
    try:
        fits = len(text) <= MAX_REFERENCE_CHARS and isinstance(json.loads(text), dict)
    except ValueError:
        fits = False
    if not fits:
        raise InvalidRequest("customArgs and tag must be JSON objects of at most 128 characters.")


def parse_fields(request: Request) -> dict[str, str]:
    """Parse the form of a POST, or the query of a GET."""
    if request.method == "POST":
        if request.query or request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
            raise InvalidRequest("Send a form and no query in a POST.")
        encoded = request.body.decode("latin-1")
    elif request.method == "GET":
        encoded = request.query
    else:
        raise InvalidRequest(f"Method {request.method}; use GET or POST.")
    if not _ENCODED.fullmatch(encoded):
        raise InvalidRequest("Percent-encode everything but letters, digits and -._~* in a form.")
    fields: dict[str, str] = {}
    for name, _, value in (pair.partition("=") for pair in encoded.split("&")):
        if name in fields:
            raise InvalidRequest(f"{name} is given twice.")
        try:
            fields[name] = unquote_to_bytes(value.replace("+", " ")).decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"{name} is not valid UTF-8.") from None
    return fields
