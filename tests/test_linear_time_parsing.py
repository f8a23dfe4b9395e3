"""All external input is parsed in linear time; the tests compare ratios, not seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest

from otp_service.api.auth import ApiKeys, client_address, rate_limit_address
from otp_service.api.headers import check_content_type, request_id
from otp_service.api.request_bodies import decode_body
from otp_service.api.schemas import NormalizePhone, RequestCodeBody, VerifyCodeBody
from otp_service.crypto.codes import parse_code
from otp_service.crypto.keyring import Keyring
from otp_service.delivery.receipts import ReceiptTokens
from otp_service.domain.email_address import EmailInvalid, parse_address
from otp_service.domain.errors import Refused
from otp_service.domain.locale_matching import match_locale
from otp_service.domain.message import OutboundMessage, ReceiptForged, ReceiptRequest
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.domain.secret import Secret
from otp_service.domain.sms_segments import count_segments
from otp_service.domain.templates import TemplateInvalid, compile_template
from otp_service.observability import redact
from otp_service.providers import lenient_json as loose
from otp_service.providers import responses
from otp_service.providers.eims import wire as eims
from otp_service.providers.http.receipts import parse_call
from otp_service.providers.http.wire import build_request, parse_send_response
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.kedasms import wire as kedasms
from otp_service.providers.sendcloud import wire as sendcloud
from otp_service.providers.sendcloud.webhook import parse_webhook
from otp_service.providers.smshub import wire as smshub
from otp_service.providers.twilio import wire as twilio
from otp_service.providers.twilio.config import TwilioConfig
from otp_service.providers.twilio.webhook import parse_status_callback
from otp_service.providers.vonage import wire as vonage
from otp_service.providers.vonage.signing import is_signed
from otp_service.providers.whatsapp import wire as whatsapp
from otp_service.providers.whatsapp.webhook import parse_webhook as parse_whatsapp_webhook
from otp_service.settings import ConfigInvalid, load
from tests.api.api_requests import NORMALIZE_PHONE, VERIFICATIONS
from tests.providers import whatsapp_provider
from tests.providers.http_gateways import INFOBIP_LIKE, MESSAGE, RULED, http_table, load_http
from tests.providers.smpp_provider import read_delivery
from tests.running_service import RunningService

SMALL, LARGE = 8 * 1024, 64 * 1024
LIMIT = 24
"""The highest accepted ratio: eight times the input takes 8 times as long in linear time and 64 times in quadratic."""

LONG_ENOUGH = 20_000_000
"""Nanoseconds that can be measured reliably on a busy machine; a longer run is not repeated more often."""

PIECES = [
    " ", "\t\n", "a", "aA", "0", "1a", "-", "_", "+", ",", ", ", ".", ":", ";", "=", "&", "a=b&", "%", "%41", "/", "\\",
    '"', "'", "`", " - at `", "unknown field `a` - at `$.", "{", "}", "{}", "{a", "[", "]", "[[1],", "(", ")", "<",
    "<html ", "$", "é", "\u0660", "\u200b", "\U0001f600", "country ", "too ", "encrypt", "daily cap ", "id,",
    "en;q=0.9,", "a-", "10.0.0.1,", "[::1]:1,", "bearer ", "\\u0030", '"decoy":true,', '"a":1,', '{"a":', "\x00", "@",
]  # fmt: skip

Parser = Callable[[str], object]
KEYRING = Keyring({"k1": bytes(32)}, current="k1", index="k1")
TOKENS = ReceiptTokens(KEYRING, "https://otp.example.com")
WHATSAPP = whatsapp_provider.whatsapp_config()
TWILIO = TwilioConfig(account_sid="AC1", auth_token=Secret("t"), sender="Acme")
HTTP = load_http(RULED)
HTTP_RECEIPTS = load_http(http_table(INFOBIP_LIKE)).receipts
TRUSTED_ALL = [ip_network("0.0.0.0/0"), ip_network("::/0")]


def filled(piece: str, size: int) -> str:
    """Return a text of about `size` characters that repeats `piece`."""
    return piece * (size // len(piece))


def nanoseconds(parser: Parser, text: str, times: int) -> float:
    """Return the CPU time in ns for parsing a text `times` times."""
    before = time.thread_time_ns()
    for _ in range(times):
        with contextlib.suppress(Refused, PhoneInvalid, EmailInvalid, TemplateInvalid, ReceiptForged, ConfigInvalid):
            parser(text)
    return max(1.0, float(time.thread_time_ns() - before))


def ratio(parser: Parser, piece: str) -> float:
    """Return how much longer eight times the text takes; a high ratio is measured again with more repetitions."""
    found, times = float("inf"), 1
    small, large = filled(piece, SMALL), filled(piece, LARGE)
    for _ in range(4):
        took = nanoseconds(parser, large, times)
        found = min(found, took / nanoseconds(parser, small, times))
        if found < LIMIT:
            break
        times *= 4 if took < LONG_ENOUGH else 1
    return found


def reply(body: str, status: int = 400) -> GatewayResponse:
    """Return a gateway's response."""
    return GatewayResponse(status, {"date": body[:1000]}, body.encode())


def scope(name: str, value: str) -> Any:
    """Return the ASGI scope of a request with one header."""
    return {"headers": [(name.encode(), value.encode())]}


def headers(name: str, value: str) -> dict[bytes, bytes]:
    """Return the headers of a request with one header."""
    return {name.encode(): value.encode()}


def call(body: str) -> ReceiptRequest:
    """Return a receipt request from a gateway."""
    return ReceiptRequest("POST", "/", None, 0.0, "", {}, [], body.encode())


def outbound(text: str) -> OutboundMessage:
    """Return a message with this text, brand and code."""
    return OutboundMessage("m-1", "+6281210100055", "ID", "81210100055", text, text, 300, text)


def quoted(text: str) -> str:
    """Return a text as a JSON string."""
    return msgspec.json.encode(text).decode()


PARSERS: dict[str, Parser] = {
    "request-code": lambda text: decode_body(RequestCodeBody, text.encode()),
    "request-code, a member's name": lambda text: decode_body(RequestCodeBody, f"{{{quoted(text)}: 1}}".encode()),
    "request-code, a member": lambda text: decode_body(RequestCodeBody, f'{{"phone": {quoted(text)}}}'.encode()),
    "request-code, a bare member": lambda text: decode_body(RequestCodeBody, f'{{"phone": {text}}}'.encode()),
    "request-code, members": lambda text: decode_body(RequestCodeBody, f'{{{text}"decoy": true}}'.encode()),
    "request-code, good": lambda text: decode_body(
        RequestCodeBody, f'{{"phone":"1","purpose":"a"{" " * len(text)}}}'.encode()
    ),
    "verify-code": lambda text: decode_body(
        VerifyCodeBody, f'{{"code": {quoted(text)}, "verification_id": "\\n"}}'.encode()
    ),
    "normalize-phone": lambda text: decode_body(
        NormalizePhone, f'{{"country": {quoted(text)}, "phone": "1"}}'.encode()
    ),
    "X-Request-Id": lambda text: request_id(scope("x-request-id", text), headers("x-request-id", text)),
    "Content-Type": lambda text: check_content_type(scope("content-type", text), headers("content-type", text)),
    "Content-Type, parameters": lambda text: check_content_type(
        scope("content-type", "application/json" + text), headers("content-type", "application/json" + text)
    ),
    "Authorization": lambda text: ApiKeys(()).authenticate(text.encode()),
    "Authorization, the key": lambda text: ApiKeys(()).authenticate(f"Bearer {text}".encode()),
    "X-Forwarded-For": lambda text: client_address("10.0.0.1", text, TRUSTED_ALL),
    "client_ip": rate_limit_address,
    "a number": lambda text: parse(text, "ID"),
    "an address": parse_address,
    "an address, its domain": lambda text: parse_address(f"a@{text}"),
    "a code": parse_code,
    "a locale": lambda text: match_locale({}, text, "login"),
    "a log line": redact,
    "a template": compile_template,
    "a template's length": count_segments,
    "a receipt's token": lambda text: TOKENS.read("jakarta", text),
    "a hook": lambda text: parse_webhook(call(text), Secret("key")),
    "a hook, JSON": lambda text: parse_webhook(call(f'{{"event": {quoted(text)}}}'), Secret("key")),
    "loose JSON": loose.json_object,
    "a loose number": loose.parse_integer,
    "kedasms": lambda text: kedasms.parse_send_response(reply(text), 0.0),
    "kedasms, a message": lambda text: kedasms.parse_send_response(
        reply(f'{{"code": "1", "message": {quoted(text)}}}'), 0.0
    ),
    "kedasms, limits": lambda text: kedasms.parse_limits_response(reply(text)),
    "kedasms, a clock": lambda text: kedasms.rejects_timestamp(reply(text)),
    "kedasms, a date": responses.parse_date,
    "kedasms, a status": kedasms.parse_delivery_status,
    "smshub": lambda text: smshub.parse_send_response(reply(text)),
    "smshub, a page": lambda text: smshub.parse_send_response(reply(text, 200)),
    "smshub, a token": lambda text: smshub.parse_login_response(reply(text, 200)),
    "smshub, a token in quotes": lambda text: smshub.parse_login_response(reply(f'"a.{text}.c"', 200)),
    "sendcloud": lambda text: sendcloud.parse_send_response(reply(text, 200), "+6281210100055"),
    "sendcloud, a reason": lambda text: sendcloud.parse_send_response(
        reply(f'{{"statusCode": 312, "info": {{"items": [{{"phone": "1", "message": {quoted(text)}}}]}}}}', 200), "+1"
    ),
    "smpp, a receipt": read_delivery,
    "twilio": lambda text: twilio.parse_send_response(reply(text)),
    "twilio, a message": lambda text: twilio.parse_message_response(reply(f'{{"sid": {quoted(text)}}}', 200), "SM1"),
    "twilio, a callback": lambda text: parse_status_callback(call(text), TWILIO),
    "twilio, a callback's URL": lambda text: parse_status_callback(replace(call("a=b"), url=f"https://{text}"), TWILIO),
    "twilio, a callback's key": lambda text: parse_status_callback(
        replace(call("a=b"), headers={"x-twilio-webhooks-signature-settings": text, "x-twilio-signature": text}), TWILIO
    ),
    "vonage": lambda text: vonage.parse_send_response(reply(text, 200)),
    "vonage, a reason": lambda text: vonage.parse_send_response(
        reply(f'{{"messages": [{{"status": "3", "error-text": {quoted(text)}}}]}}', 200)
    ),
    "vonage, a signature": lambda text: is_signed({"sig": text, "text": text}, Secret("key"), "sha256"),
    "whatsapp": lambda text: whatsapp.parse_send_response(reply(text)),
    "whatsapp, a webhook": lambda text: parse_whatsapp_webhook(whatsapp_provider.signed_call(text), WHATSAPP),
    "whatsapp, statuses": lambda text: parse_whatsapp_webhook(
        whatsapp_provider.signed_call(f'{{"entry": [{{"changes": [{text}1]}}, {quoted(text)}]}}'), WHATSAPP
    ),
    "whatsapp, a locale": WHATSAPP.template_for,
    "eims": lambda text: eims.parse_send_response(reply(text, 200), "6281210100055"),
    "eims, rows": lambda text: eims.parse_send_response(
        reply(f'{{"status": 0, "array": [{text}1]}}', 200), "6281210100055"
    ),
    "eims, a report": lambda text: eims.parse_report({"array": [["1", text, "", "0"]]}, "1", zero_is_delivered=False),
    "http, a request": lambda text: build_request(HTTP, outbound(text)),
    "http, a response": lambda text: parse_send_response(HTTP, reply(text), MESSAGE),
    "http, JSON": lambda text: parse_send_response(HTTP, reply(f'{{"code": {quoted(text)}}}'), MESSAGE),
    "http, a receipt": lambda text: parse_call("a", HTTP_RECEIPTS, replace(call(text), message_id="m-1")),
    "http, a state": lambda text: parse_call(
        "a",
        HTTP_RECEIPTS,
        replace(call(f'{{"results": [{{"status": {{"name": {quoted(text)}}}}}]}}'), message_id="m-1"),
    ),
    "http, a body's template": lambda text: load_http({**RULED, "body": f"to={{to}}&t={{text}}{text}"}),
    "http, an XML template": lambda text: load_http({**RULED, "body": f"<a>{{to}}{{text}}{text}</a>"}),
    "http, a pointer": lambda text: load_http({**RULED, "accepted_when": f"/{text}"}),
    "a config's key": lambda text: load({"server": {text: 1}}, {}),
    "a config's value": lambda text: load({"server": {"host": text, "public_url": text}, "redis": {"url": text}}, {}),
    "a config's lists": lambda text: load({"limits": {"recipient": [text]}, "routes": [{"prefix": text}]}, {}),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_linear_time(name: str) -> None:
    """Eight times the text takes about eight times as long, for every repeated piece."""
    slow = {piece: found for piece in PIECES if (found := ratio(PARSERS[name], piece)) >= LIMIT}
    assert slow == {}


def request_with(method: str, path: str, header: str, body: bytes) -> Callable[[str], Any]:
    """Return a function that puts a text into a request: into a header, or after the path if `header` is empty."""

    def scope_of(text: str) -> Any:
        lines = {"authorization": b"Bearer dev-key", "content-type": b"application/json"}
        lines |= {header: text.encode()} if header else {}
        return {
            "type": "http",
            "method": method,
            "path": path if header else path + text,
            "raw_path": b"/",
            "root_path": "",
            "query_string": text.encode() if header == "?" else b"",
            "headers": [(name.encode(), value) for name, value in lines.items() if name != "?"],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
            "scheme": "http",
            "body": body,
        }

    return scope_of


GOOD = b'{"phone": "0812-1010-0055"}'
REQUESTS = {
    "a path": request_with("GET", "/", "", b""),
    "an id": request_with("GET", VERIFICATIONS, "", b""),
    "a receipt's path": request_with("POST", "/v1/receipts/inbox/", "", b""),
    "an OPTIONS": request_with("OPTIONS", VERIFICATIONS, "", b""),
    "a query": request_with("POST", NORMALIZE_PHONE, "?", GOOD),
    "a receipt's query": request_with("GET", "/v1/receipts/inbox/a", "?", b""),
} | {
    name: request_with("POST", NORMALIZE_PHONE, name, GOOD)
    for name in (
        "host", "cookie", "accept", "accept-language", "authorization", "content-type", "content-encoding",
        "content-length", "idempotency-key", "x-forwarded-for", "x-request-id", "origin", "if-none-match", "x-nobody",
    )
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_takes_linear_time(service: RunningService, name: str) -> None:
    """A whole request takes linear time in the path, the query and every header."""
    answered: set[str] = set()

    def call(text: str) -> None:
        scope = REQUESTS[name](text)
        body = scope.pop("body")

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(_message: Any) -> None:
            answered.add(name)

        running = service.app(scope, receive, send).__await__()  # type: ignore[arg-type]  # Litestar's types of ASGI are narrower
        with contextlib.suppress(StopIteration):
            next(running)  # until it waits for the store, if it does
        running.close()

    slow = {piece: found for piece in PIECES if (found := ratio(call, piece)) >= LIMIT}
    assert slow == {}
    assert answered
