"""Responses with stray bytes around them, or in another encoding, have the same outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from otp_service.domain.message import Balance, Receipt, SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.eims import wire as eims
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.kedasms import wire as kedasms
from otp_service.providers.lenient_json import json_value
from otp_service.providers.responses import parse_echoed_number
from otp_service.providers.sendcloud import wire as sendcloud
from otp_service.providers.sendcloud.webhook import parse_webhook
from otp_service.providers.smshub import wire as smshub
from otp_service.providers.twilio import wire as twilio
from otp_service.providers.vonage import wire as vonage
from otp_service.providers.vonage.webhook import parse_webhook as parse_vonage_webhook
from otp_service.providers.whatsapp import wire as whatsapp
from otp_service.sandbox.simulators.http_server import Respond
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from tests.providers import eims_provider, vonage_provider
from tests.providers.test_sendcloud_webhooks import APP_KEY, call, signed_webhook

ENCODINGS: Final[dict[str, Callable[[str], bytes]]] = {
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "NUL bytes": lambda text: text.encode() + b"\0\0\0",
    "white space": lambda text: b" \r\n\t" + text.encode() + b"\r\n \0",
    "wide white space": lambda text: f"\u00a0{text}\u200b\ufeff".encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-16-be with byte order mark": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
}
each_encoding = pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)

NUMBER, DIGITS = "+6281210100055", "6281210100055"
Read = Callable[[GatewayResponse], SendResult]
REFUSALS: Final[list[tuple[Read, int, str, Outcome]]] = [
    (lambda response: eims.parse_send_response(response, DIGITS, "ID"), 200, '{"status":-10}', Outcome.FUNDS),
    (lambda response: eims.parse_send_response(response, DIGITS), 200, '{"status":"-9"}', Outcome.RECIPIENT_INVALID),
    (lambda response: eims.parse_send_response(response, DIGITS, "ID"), 200, '{"status":-1}', Outcome.CONFIG_ERROR),
    (lambda response: kedasms.parse_send_response(response, 0), 200, '{"code":7,"message":"余额不足"}', Outcome.FUNDS),
    (lambda response: kedasms.parse_send_response(response, 0), 400, "Invalid phone number", Outcome.RECIPIENT_INVALID),
    (lambda response: sendcloud.parse_send_response(response, NUMBER, "ID"), 200, '{"statusCode":499}', Outcome.FUNDS),
    (
        lambda response: sendcloud.parse_send_response(response, NUMBER, "ID"),
        200,
        '{"statusCode":312,"info":{"items":[{"phone":"0812-1010-0055","message":"黑名单"}]}}',
        Outcome.RECIPIENT_BLOCKED,
    ),
    (vonage.parse_send_response, 200, '{"messages":[{"status":"9"}]}', Outcome.FUNDS),
    (vonage.parse_send_response, 200, '{"messages":[{"status":33,"error-text":"é"}]}', Outcome.RECIPIENT_INVALID),
    (smshub.parse_send_response, 400, "The number has unsubscribed", Outcome.RECIPIENT_BLOCKED),
    (smshub.parse_send_response, 400, '{"Message":"Message is too long"}', Outcome.CONTENT_REJECTED),
    (twilio.parse_send_response, 400, '{"code":21610,"status":400}', Outcome.RECIPIENT_BLOCKED),
    (twilio.parse_send_response, 201, '{"sid":"SM1","status":"failed","error_code":"30007"}', Outcome.CONTENT_REJECTED),
    (whatsapp.parse_send_response, 400, '{"error":{"code":131026,"message":"é"}}', Outcome.DESTINATION_UNSUPPORTED),
    (smshub.parse_send_response, 200, "<!DOCTYPE html><p>Sign in</p>", Outcome.AMBIGUOUS),
]


@each_encoding
@pytest.mark.parametrize(("read", "status", "text", "outcome"), REFUSALS)
def test_refusal_has_the_same_outcome(
    encode: Callable[[str], bytes], read: Read, status: int, text: str, outcome: Outcome
) -> None:
    """Stray bytes and another encoding do not make a refusal ambiguous or accepted."""
    assert read(GatewayResponse(status, {}, encode(text))) == SendResult(outcome)


@each_encoding
async def test_eims_report_and_balance_have_the_same_values(encode: Callable[[str], bytes]) -> None:
    """A report and a balance of EIMS are read in any encoding."""
    report = '{"status":0,"success":1,"array":[["1620443","6281210100055","20261126120000",0,3]]}'
    balance = '{"status":0,"balance":"12.50","gift":"0.50"}'
    async with eims_provider.eims_gateway() as gateway, eims_provider.eims(gateway) as provider:
        gateway.script(*(Respond(Answer(encode(text))) for text in (report, balance)))
        assert (await provider.fetch_report("1620443")).status is DeliveryStatus.DELIVERED
        found = await provider.fetch_balance()
    assert isinstance(found, Balance) and found.amount == 13


@each_encoding
def test_sendcloud_webhook_has_the_same_receipt(encode: Callable[[str], bytes]) -> None:
    """A signed JSON webhook of SendCloud is read in any encoding."""
    hook = signed_webhook("Delivered", form="json")
    request = call(type(hook)(encode(hook.body.decode()), hook.content_type))
    [receipt] = parse_webhook(request, Secret(APP_KEY))
    assert isinstance(receipt, Receipt)
    assert receipt.status is DeliveryStatus.DELIVERED


@each_encoding
def test_vonage_receipt_is_the_same(encode: Callable[[str], bytes]) -> None:
    """A signed JSON receipt of Vonage is read in any encoding."""
    sent = vonage_provider.receipt()
    config = vonage_provider.vonage_config(signature_secret=Secret(vonage_provider.SIGNATURE_SECRET))
    request = vonage_provider.as_call(type(sent)(encode(sent.body.decode()), sent.content_type))
    [receipt] = parse_vonage_webhook(request, config)
    assert receipt.status is DeliveryStatus.DELIVERED


@each_encoding
def test_smshub_token_is_the_same(encode: Callable[[str], bytes]) -> None:
    """A token is read in any encoding, as a JSON string or bare."""
    for text in ('"a.b.c"', "a.b.c"):
        token = smshub.parse_login_response(GatewayResponse(200, {}, encode(text)))
        assert isinstance(token, smshub.Token)
        assert token.jwt.reveal() == "a.b.c"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", None),
        (b"\0\0", None),
        (b"\xef\xbb\xbf", None),
        (b"\xff\xfe", None),
        (b"<html>", None),
        (b'{"a":1}{"a":2}', None),
        (b'callback({"a":1})', None),
        ('{"a":"é"}'.encode("latin-1"), {"a": "é"}),
        (b"[" * 60_000, None),
        (b'{"a":' * 12_000, None),
    ],
)
def test_other_bodies_are_not_json(body: bytes, value: object) -> None:
    """Two values, a JSONP call and excessive depth are not JSON."""
    assert json_value(body) == value


@pytest.mark.parametrize(
    ("echoed", "named"),
    [
        (6281210100055, NUMBER),
        (81210100055, NUMBER),
        ("081210100055", NUMBER),
        ("0062 812-1010-0055", NUMBER),
        ("+62 (0)812 1010 0055", NUMBER),
        ("62812****0055", None),
        ("*****10100055", None),
        ("x", None),
        ("", None),
        (None, None),
        (True, None),
        (6281210100055.0, NUMBER),
        (6281210100055.5, None),
        (float("nan"), None),
        ("6281299999999", "+6281299999999"),
        ("9" * 10_000, None),
    ],
)
def test_echoed_number(echoed: object, named: str | None) -> None:
    """Every spelling of our number is recognized; an unreadable one gives None; another number is returned."""
    assert parse_echoed_number(echoed, NUMBER, "ID") == named


@pytest.mark.parametrize("country", ["ID", ""])
def test_national_number_is_not_read_as_international(country: str) -> None:
    """`812…` starts with the calling code of Japan, and is still our number."""
    assert parse_echoed_number("81210100055", NUMBER, country) == NUMBER
