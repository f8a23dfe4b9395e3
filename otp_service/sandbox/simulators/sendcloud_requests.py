"""Parse a request to SendCloud, and reject what does not follow the document."""

from __future__ import annotations

import json
from typing import Final

from otp_service.sandbox.simulators.form_decoding import FORM, InvalidRequest, decode_form
from otp_service.sandbox.simulators.http_server import Request

__all__ = ["MAX_REFERENCE_CHARS", "InvalidRequest", "check_reference", "parse_fields"]

MAX_REFERENCE_CHARS: Final = 128


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
    return decode_form(encoded)
