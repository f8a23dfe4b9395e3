"""What the conditions of an `http` provider say about a response, and in which order they are asked."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from otp_service.domain.message import Balance, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.http.wire import balance_request, parse_balance_response, parse_send_response
from otp_service.providers.http_client import GatewayResponse
from tests.providers.http_gateways import MESSAGE, load_http

BASE = {"type": "http", "url": "https://sms.example.com/{to}?t={text}", "method": "GET"}
PAGE = b"<!DOCTYPE html><html><body>OK</body></html>"


def response(body: bytes, status: int = 200, **headers: str) -> GatewayResponse:
    """Return a gateway's response."""
    return GatewayResponse(status, headers, body)


def result(keys: dict[str, Any], body: bytes, status: int = 200) -> SendResult:
    """Return the result of a send with this response."""
    return parse_send_response(load_http({**BASE, **keys}), response(body, status), MESSAGE)


@pytest.mark.parametrize(
    ("accepted_when", "body", "status", "accepted"),
    [
        ("/ok", b'{"ok": true}', 200, True),
        ("/ok", b'{"ok": 0}', 200, True),
        ("/ok", b'{"ok": false}', 200, False),
        ("/ok", b'{"ok": null}', 200, False),
        ("/ok", b"{}", 200, False),
        ("/code=0", b'{"code": 0}', 200, True),
        ("/code=0", b'{"code": "0"}', 500, True),
        ("/code=0", b'{"code": 0.0}', 200, False),
        ("/code=0", b'{"code": [0]}', 200, False),
        ("/code=0", b'{"code": 00}', 200, False),
        ({"/code": [0, "ok"]}, b'{"code": "ok"}', 200, True),
        ({"/code": [0, "ok"]}, b'{"code": "OK"}', 200, False),
        ({"status": 202}, b"", 202, True),
        ({"status": 202}, b"", 200, False),
        ({"status": "2xx"}, b"", 299, True),
        ({"status": ["2xx", 409]}, b"", 409, True),
        ({"status": 200, "/code": 0}, b'{"code": 0}', 201, False),
        ({"text": "OK"}, b" OK\r\n", 200, True),
        ({"text": "OK"}, b"OK 1", 200, False),
        ({"text_contains": ["QUEUED", "SENT"]}, b"1701|SENT|42", 200, True),
        ({"text_contains": "SENT"}, b"x" * 1000 + b"SENT", 200, False),
        ({"/messages/0/status": "ok"}, b'{"messages": []}', 200, False),
        (["/a", "/b=2"], b'{"a": 1, "b": 2}', 200, True),
        (["/a", "/b=2"], b'{"b": 2}', 200, False),
    ],
)
def test_accepted_when(accepted_when: object, body: bytes, status: int, accepted: bool) -> None:
    """Every condition must be met; anything else is ambiguous, because no rule says that the message was refused."""
    expected = Outcome.ACCEPTED if accepted else Outcome.AMBIGUOUS
    assert result({"accepted_when": accepted_when}, body, status).outcome is expected


@pytest.mark.parametrize(
    ("keys", "body", "status", "accepted"),
    [
        ({}, b"", 200, True),
        ({}, b"whatever", 204, True),
        ({}, PAGE, 200, False),
        ({}, b"", 302, False),
        ({}, b"", 400, False),
        ({"message_id": "/id"}, b'{"id": 5}', 200, True),
        ({"message_id": "/id"}, b'{"error": 5}', 200, False),
        ({"message_id": "/id"}, b'{"id": null}', 200, False),
    ],
)
def test_without_accepted_when(keys: dict[str, Any], body: bytes, status: int, accepted: bool) -> None:
    """A 2xx is accepted, unless it is a page or has no message id where one is expected."""
    assert result(keys, body, status).outcome is (Outcome.ACCEPTED if accepted else Outcome.AMBIGUOUS)


RULES = [
    {"when": {"/code": 7, "/sub": 1}, "outcome": "recipient_blocked"},
    {"when": {"/code": 7}, "outcome": "recipient_invalid"},
    {"when": {"status": 400, "text_contains": "Credit"}, "outcome": "funds"},
    {"when": {"status": "4xx"}, "outcome": "content_rejected"},
    {"when": {"/duplicate": True}, "outcome": "accepted"},
    {"when": {"status": 503}, "outcome": "transient"},
    {"when": {"/code": 8}, "outcome": "ambiguous"},
]


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        (b'{"ok": true, "code": 7, "sub": 1}', 200, Outcome.RECIPIENT_BLOCKED),
        (b'{"ok": true, "code": 7}', 200, Outcome.RECIPIENT_INVALID),
        (b"No Credit left", 400, Outcome.FUNDS),
        (b"", 429, Outcome.CONTENT_REJECTED),
        (b'{"duplicate": true}', 200, Outcome.ACCEPTED),
        (b'{"ok": true, "code": 8}', 200, Outcome.AMBIGUOUS),
        (b'{"ok": true}', 200, Outcome.ACCEPTED),
        (b"{}", 200, Outcome.AMBIGUOUS),
        (b"", 500, Outcome.AMBIGUOUS),
    ],
)
def test_the_first_rule_decides(body: bytes, status: int, outcome: Outcome) -> None:
    """Rules are asked in their order, before `accepted_when` and before what HTTP defines."""
    assert result({"outcomes": RULES, "accepted_when": "/ok"}, body, status).outcome is outcome


def test_an_echoed_text_is_not_matched() -> None:
    """A gateway that echoes the message does not make a word in its text look like a reason."""
    keys = {"outcomes": [{"when": {"text_contains": "Kopi"}, "outcome": "content_rejected"}]}
    body = f'{{"sent": {MESSAGE.text!r}}}'.encode()
    assert result(keys, MESSAGE.text.encode()).outcome is Outcome.ACCEPTED
    assert result(keys, body).outcome is Outcome.CONTENT_REJECTED  # not our text: quoted in another way
    assert result(keys, b"Kopi").outcome is Outcome.CONTENT_REJECTED


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("throttled", 9.0), ("transient", 9.0), ("config_error", None), ("recipient_invalid", None)],
)
def test_retry_after(outcome: str, expected: float | None) -> None:
    """A retryable outcome has the gateway's Retry-After."""
    config = load_http({**BASE, "outcomes": [{"when": {"status": 500}, "outcome": outcome}]})
    answer = parse_send_response(config, response(b"", 500, **{"retry-after": "9"}), MESSAGE)
    assert (answer.outcome, answer.retry_after) == (Outcome(outcome), expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"data": {"id": "abc"}}', "abc"),
        (b'{"data": {"id": 12}}', "12"),
        (b'{"data": {"id": true}}', ""),
        (b'{"data": {"id": {"a": 1}}}', ""),
        (b'{"data": {"id": "1764_acme$81210100055"}}', ""),
        (b'{"data": {"id": "' + b"9" * 100 + b'"}}', "9" * 64),
        (b"{}", ""),
    ],
)
def test_message_id(body: bytes, expected: str) -> None:
    """The id is a string or an integer of at most 64 characters; one that contains the number is not kept."""
    keys = {"message_id": "/data/id", "accepted_when": {"status": 200}}
    assert result(keys, body) == SendResult(Outcome.ACCEPTED, expected)


@pytest.mark.parametrize(
    ("body", "amount", "currency"),
    [
        (b'{"cost": {"sum": "0.05", "in": "USD"}}', "0.05", "USD"),
        (b'{"cost": {"sum": 0.048, "in": " EUR "}}', "0.048", "EUR"),
        (b'{"cost": {"sum": 350}}', "350", "unknown"),
        (b'{"cost": {"sum": "0.05", "in": ["USD"]}}', "0.05", "unknown"),
        (b'{"cost": {"sum": "much", "in": "USD"}}', None, ""),
        (b'{"cost": {"sum": null, "in": "USD"}}', None, ""),
        (b'{"cost": {"sum": "1' + b"0" * 40 + b'"}}', None, ""),
        (b"[]", None, ""),
    ],
)
def test_charged(body: bytes, amount: str | None, currency: str) -> None:
    """The amount is a number or text; a currency that cannot be read is none that a provider has."""
    keys = {"charged": {"amount": "/cost/sum", "currency": "/cost/in"}, "accepted_when": {"status": 200}}
    charged = None if amount is None else Decimal(amount)
    assert result(keys, body) == SendResult(Outcome.ACCEPTED, charged=charged, charged_currency=currency)
    own = result({"charged": {"amount": "/cost/sum"}, "accepted_when": {"status": 200}}, body)
    assert own == SendResult(Outcome.ACCEPTED, charged=charged)


BALANCE = {"balance": {"url": "/balance", "amount": "/data/0/money", "currency": "IDR"}, "base_url": "http://h"}


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b'{"data": [{"money": 12.5}]}', 200, Decimal("12.5")),
        (b'{"data": [{"money": " 1,234,567.50 "}]}', 200, Decimal("1234567.50")),
        (b'{"data": [{"money": "-3"}]}', 200, Decimal(-3)),
        (b'{"data": [{"money": "1,23"}]}', 200, Outcome.AMBIGUOUS),
        (b'{"data": [{"money": "NaN"}]}', 200, Outcome.AMBIGUOUS),
        (b'{"data": [{"money": "1e5000000"}]}', 200, Outcome.AMBIGUOUS),
        (b'{"data": [{"money": true}]}', 200, Outcome.AMBIGUOUS),
        (b'{"data": [{"money": "' + b"9" * 100 + b'"}]}', 200, Outcome.AMBIGUOUS),
        (b"{}", 200, Outcome.AMBIGUOUS),
        (b'{"data": [{"money": 5}]}', 500, Outcome.AMBIGUOUS),
        (b"", 401, Outcome.CONFIG_ERROR),
        (b'{"code": 7}', 200, Outcome.FUNDS),
    ],
)
def test_balance(body: bytes, status: int, expected: Decimal | Outcome) -> None:
    """An amount is a number or text, with or without commas; a failure has the outcome of a rule or of HTTP."""
    config = load_http({**BASE, **BALANCE, "outcomes": [{"when": {"/code": 7}, "outcome": "funds"}]})
    assert config.balance is not None
    found = parse_balance_response(config, config.balance, response(body, status))
    assert found == (Balance(expected, "IDR") if isinstance(expected, Decimal) else expected)


def test_the_headers_of_a_balance_request() -> None:
    """It has the headers with secrets and constants, not those with facts of a message or about a body."""
    headers = {"X-Id": "{message_id}", "X-Key": "k {key}", "content-type": "application/json", "X-A": "b"}
    config = load_http({**BASE, **BALANCE, "headers": headers, "secrets": {"key": "s"}})
    assert config.balance is not None
    request = balance_request(config, config.balance)
    assert (request.method, request.url, request.content) == ("GET", "http://h/balance", None)
    assert request.headers == {"X-Key": "k s", "X-A": "b"}
