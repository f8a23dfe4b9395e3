"""Parse a request to EIMS, and reject what does not follow the document."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from otp_service.sandbox.simulators.form_decoding import InvalidRequest, decode_pairs
from otp_service.sandbox.simulators.http_server import Request

__all__ = ["JSON", "InvalidRequest", "parse_fields"]

JSON: Final = "application/json;charset=utf-8"
BARE_JSON: Final = "application/json"

_AUTHENTICATION_FIELDS: Final = {"": ("account", "password"), "V2": ("account", "sign", "datetime")}
_SEND_FIELDS: Final = ("numbers", "content")
_OPTIONAL_FIELDS: Final = {
    "": frozenset({"version", "sender", "smstype", "mmstitle", "sendtime"}),
    "V2": frozenset({"senderid", "smstype", "mmstitle", "sendtime"}),
}
_REQUIRED_FIELDS: Final = {
    "sendsms": _SEND_FIELDS,
    "getreport": ("ids",),
    "getbalance": (),
    "getsms": ("start_time",),
    "getsentrcd": ("date", "begintime", "endtime", "startindex"),
}
_QUERY: Final = re.compile(r"(?:[A-Za-z0-9&=._~,-]|%[0-9A-F]{2})*")


def parse_fields(request: Request, command: str, variant: str) -> dict[str, str]:
    """Parse the query of a GET or the JSON object of a POST; a POST in V2 has the authentication in its query."""
    media_type = request.headers.get("content-type", JSON)
    if media_type.replace(" ", "").lower() not in (JSON, BARE_JSON):  # a sample of the document has no charset
        raise InvalidRequest(f"Content-Type is {media_type}; send {JSON}")
    required = _REQUIRED_FIELDS[command]
    match request.method:
        case "GET":
            fields = _query_fields(request.query)
        case "POST" if command == "sendsms":
            fields = _post_fields(request, variant)
        case other:
            raise InvalidRequest(f"Method {other}; use {'GET or POST' if command == 'sendsms' else 'GET'}")
    optional = _OPTIONAL_FIELDS[variant] if command == "sendsms" else frozenset()
    known = {*_AUTHENTICATION_FIELDS[variant], *required, *optional}
    if unknown := fields.keys() - known:
        raise InvalidRequest(f"Unknown parameters: {', '.join(sorted(unknown))}")
    return dict.fromkeys((*_AUTHENTICATION_FIELDS[variant], *required), "") | fields


def _post_fields(request: Request, variant: str) -> dict[str, str]:
    body = _json_object(request.body)
    if not variant:
        if request.query:
            raise InvalidRequest("Send no query in a POST.")
        return body
    authentication = _query_fields(request.query)
    if authentication.keys() != set(_AUTHENTICATION_FIELDS[variant]) or body.keys() & authentication.keys():
        names = ", ".join(_AUTHENTICATION_FIELDS[variant])
        raise InvalidRequest(f"Send {names} in the query of a signed POST, and only there.")
    return authentication | body


def _query_fields(query: str) -> dict[str, str]:
    if not _QUERY.fullmatch(query):
        raise InvalidRequest("Percent-encode the query (a space is %20, never +).")
    return decode_pairs(query)


def _json_object(body: bytes) -> dict[str, str]:
    try:
        return msgspec.json.decode(body, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("Send a JSON object of strings in UTF-8.") from None
