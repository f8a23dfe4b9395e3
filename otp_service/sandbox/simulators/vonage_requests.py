"""Parse and authenticate a request to Vonage, and reject what does not follow the document."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from otp_service.sandbox.simulators.http_server import Request

__all__ = ["CLOCK_WINDOW_SECONDS", "FORM", "JSON", "InvalidRequest", "Method", "credentials", "parse_fields", "sign"]

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
CLOCK_WINDOW_SECONDS: Final = 300
Method = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]

_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9&=._~+*-]|%[0-9A-F]{2})*")


class InvalidRequest(Exception):
    """The request does not follow the document; the text is the reason."""


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
    return _parse_form(request.body.decode("latin-1"))


def credentials(authorization: str) -> tuple[str, str]:
    """Return key and secret of a Basic `Authorization` header; empty ones for anything else."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
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


def _parse_form(encoded: str) -> dict[str, str]:
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
