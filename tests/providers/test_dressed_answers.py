"""Whatever is around a gateway's words, and however they are encoded, they mean the same: refusals, reports, hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from otp_service.domain.message import Balance, SendResult
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
from otp_service.sandbox.simulators.http_server import Say
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from tests.providers import eims_kit
from tests.providers.test_sendcloud_hooks import APP_KEY, call, write

DRESSES: Final[dict[str, Callable[[str], bytes]]] = {
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "nuls": lambda text: text.encode() + b"\0\0\0",
    "space": lambda text: b" \r\n\t" + text.encode() + b"\r\n \0",
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-16-be-mark": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
}
dressed = pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES)

NUMBER, DIGITS = "+6281210100055", "6281210100055"
Read = Callable[[GatewayResponse], SendResult]
REFUSALS: Final[list[tuple[Read, int, str, Outcome]]] = [
    (lambda reply: eims.parse_send_response(reply, DIGITS, "ID"), 200, '{"status":-10}', Outcome.FUNDS),
    (lambda reply: eims.parse_send_response(reply, DIGITS, "ID"), 200, '{"status":"-9"}', Outcome.RECIPIENT_INVALID),
    (lambda reply: eims.parse_send_response(reply, DIGITS, "ID"), 200, '{"status":-1}', Outcome.CONFIG_ERROR),
    (lambda reply: kedasms.parse_send_response(reply, 0), 200, '{"code":"7","message":"余额不足"}', Outcome.FUNDS),
    (lambda reply: kedasms.parse_send_response(reply, 0), 400, "Invalid phone number", Outcome.RECIPIENT_INVALID),
    (lambda reply: sendcloud.parse_send_response(reply, NUMBER, "ID"), 200, '{"statusCode":499}', Outcome.FUNDS),
    (
        lambda reply: sendcloud.parse_send_response(reply, NUMBER, "ID"),
        200,
        '{"statusCode":312,"info":{"items":[{"phone":"0812-1010-0055","message":"黑名单"}]}}',
        Outcome.RECIPIENT_BLOCKED,
    ),
    (smshub.parse_send_response, 400, "The number has unsubscribed", Outcome.RECIPIENT_BLOCKED),
    (smshub.parse_send_response, 400, '{"Message":"Message is too long"}', Outcome.CONTENT_REJECTED),
    (smshub.parse_send_response, 200, "<!DOCTYPE html><p>Sign in</p>", Outcome.AMBIGUOUS),
]


@dressed
@pytest.mark.parametrize(("read", "status", "text", "outcome"), REFUSALS)
def test_a_refusal_is_read_as_the_refusal(
    dress: Callable[[str], bytes], read: Read, status: int, text: str, outcome: Outcome
) -> None:
    """Bytes around it and another encoding make no ambiguous outcome of it, and no acceptance."""
    assert read(GatewayResponse(status, {}, dress(text))) == SendResult(outcome)


@dressed
async def test_reports_and_balances(dress: Callable[[str], bytes]) -> None:
    """EIMS tells both as JSON, which its gateways dress as they dress their answers."""
    report = '{"status":0,"success":1,"array":[["1620443","6281210100055","20261126120000",0,3]]}'
    balance = '{"status":0,"balance":"12.50","gift":"0.50"}'
    async with eims_kit.eims_gateway() as gateway, eims_kit.eims(gateway) as provider:
        gateway.script(*(Say(Answer(dress(text))) for text in (report, balance)))
        assert (await provider.fetch_report("1620443")).status is DeliveryStatus.DELIVERED
        found = await provider.fetch_balance()
    assert isinstance(found, Balance) and found.amount == 13


@dressed
def test_a_hook_is_read_in_any_dress(dress: Callable[[str], bytes]) -> None:
    """SendCloud's JSON hook, signed as ever."""
    hook = write("Delivered", form="json")
    whole = call(type(hook)(dress(hook.body.decode()), hook.content_type))
    [receipt] = parse_webhook(whole, Secret(APP_KEY))
    assert receipt.status is DeliveryStatus.DELIVERED


@dressed
def test_a_token_is_read_in_any_dress(dress: Callable[[str], bytes]) -> None:
    """The hub's login answers with a JSON string, or with the bare token."""
    for text in ('"a.b.c"', "a.b.c"):
        token = smshub.parse_login_response(GatewayResponse(200, {}, dress(text)))
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
def test_what_is_no_json_stays_none(body: bytes, value: object) -> None:
    """Two values, a call around one, depth without end: nothing is read into it."""
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
        (6281210100055.0, None),
        ("6281299999999", "+6281299999999"),
        ("9" * 10_000, None),
    ],
)
def test_the_number_that_a_gateway_names(echoed: object, named: str | None) -> None:
    """Every spelling of ours is ours; what cannot be read may be; another number is another."""
    assert parse_echoed_number(echoed, NUMBER, "ID") == named


@pytest.mark.parametrize("country", ["ID", ""])
def test_a_spelling_without_its_country_is_not_read_as_another_country(country: str) -> None:
    """`812…` begins with the code of Japan."""
    assert parse_echoed_number("81210100055", NUMBER, country) == NUMBER
