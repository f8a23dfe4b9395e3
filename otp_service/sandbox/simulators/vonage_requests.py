"""Parse and authenticate a request to Vonage, and reject what does not follow the document."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Final, Literal

from otp_service.sandbox.simulators.form_decoding import FORM, InvalidRequest, decode_form
from otp_service.sandbox.simulators.http_server import Request

__all__ = ["CLOCK_WINDOW_SECONDS", "FORM", "JSON", "InvalidRequest", "Method", "credentials", "parse_fields", "sign"]

JSON: Final = "application/json"
CLOCK_WINDOW_SECONDS: Final = 300
Method = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]


def sign(fields: Mapping[str, str], secret: str, method: Method) -> str:
    """Return the signature of all fields but `sig`, as Vonage's libraries compute it."""
    signed = sorted((name, value) for name, value in fields.items() if name != "sig")
    text = "".join("&" + name + "=" + re.sub("[&=]", "_", value) for name, value in signed)
    if method == "md5hash":
        return hashlib.md5((text + secret).encode(), usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), text.encode(), method).hexdigest().upper()


def parse_fields(request: Request) -> dict[str, str]:
    """Parse the form or the JSON object of a POST."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if request.method != "POST" or request.query:
        raise InvalidRequest("Send a POST without a query.")
    if media_type == JSON:
        return _parse_json(request.body)
    if media_type != FORM:
        raise InvalidRequest("Send a form or JSON.")
    return decode_form(request.body.decode("latin-1"))


def credentials(authorization: str) -> tuple[str, str]:
    """Return key and secret of a Basic `Authorization` header; empty ones for anything else."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (key, secret) if scheme.lower() == "basic" else ("", "")


def _parse_json(body: bytes) -> dict[str, str]:
    try:
        fields = json.loads(body)
    except ValueError:
        raise InvalidRequest("The body is not JSON.") from None
    if not isinstance(fields, dict) or not all(isinstance(value, str | int) for value in fields.values()):
        raise InvalidRequest("Send a JSON object of strings and integers.")
    return {name: str(value) for name, value in fields.items()}
