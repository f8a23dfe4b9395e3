"""Receipts of an `http` provider: how they are authenticated, and what a mapping makes of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from structlog.typing import EventDict

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.http.adapter import HttpProvider
from otp_service.providers.http.receipts import parse_call
from otp_service.providers.http_client import GatewayClient
from otp_service.sandbox.simulators.infobip import InfobipMessage, InfobipSimulator
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from tests.providers.http_gateways import ENVIRON, INFOBIP_LIKE, KEDASMS_LIKE, MESSAGE, http_table, load_http

FORM = "application/x-www-form-urlencoded"
TOKEN = ENVIRON["INFOBIP_TOKEN"]
QUERY = (("token", TOKEN),)
REPORT: dict[str, Any] = {"messageId": "m-1", "to": "6281210100055", "status": {"name": "DELIVERED_TO_HANDSET"}}
ONE = {"results": [REPORT]}


def parse(toml: str, body: bytes | object = b"", changes: dict[str, Any] | None = None, **call: Any) -> list[Receipt]:
    """Read a call to the provider of a TOML table, with changed keys of its `receipts`."""
    table = http_table(toml)
    mapping = load_http({**table, "receipts": {**table["receipts"], **(changes or {})}}).receipts
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    members = {"method": "POST", "url": "https://otp.example.com/", "message_id": None, "now": 0.0, "body": content}
    return list(parse_call("it", mapping, ReceiptRequest(**{**members, **call})))


@pytest.mark.parametrize(
    ("call", "changes"),
    [
        ({"query": QUERY}, {}),
        ({"query": (("t", TOKEN),)}, {"token_parameter": "t"}),
        ({"headers": {"x-hook": TOKEN}}, {"token_header": "X-Hook"}),
        (
            {"headers": {"authorization": f"Bearer {TOKEN}"}},
            {"token_header": "Authorization", "token": f"Bearer {TOKEN}"},
        ),
    ],
)
def test_the_token_of_the_account(call: dict[str, Any], changes: dict[str, Any]) -> None:
    """The account's token is in a parameter or in a header."""
    [receipt] = parse(INFOBIP_LIKE, ONE, changes, **call)
    assert receipt == Receipt("m-1", DeliveryStatus.DELIVERED, to="6281210100055")


@pytest.mark.parametrize(
    ("call", "changes"),
    [
        ({}, {}),
        ({"query": (("token", ""),)}, {}),
        ({"query": (("token", TOKEN[:-1]),)}, {}),
        ({"query": (("token", TOKEN.upper()),)}, {}),
        ({"query": (("token", TOKEN + "\u00e9"),)}, {}),
        ({"query": (("token", "\udcff"),)}, {}),
        ({"query": (*QUERY, ("token", "x"))}, {}),
        ({"query": (("Token", TOKEN),)}, {}),
        ({"headers": {"x-hook": TOKEN}}, {}),
        ({"query": QUERY}, {"token_header": "X-Hook"}),
        ({"headers": {"x-hook": f"Bearer {TOKEN}"}}, {"token_header": "X-Hook"}),
    ],
)
def test_another_token_is_forged(call: dict[str, Any], changes: dict[str, Any]) -> None:
    """No token, a wrong one, two, or the right one in another place are refused, whatever the body is."""
    with pytest.raises(ReceiptForged):
        parse(INFOBIP_LIKE, ONE, changes, **call)


def test_without_receipts_every_call_is_forged() -> None:
    """A provider without the table `receipts` accepts none, not even with the token of a message."""
    call = ReceiptRequest("POST", "/", "m-1", 0.0, body=b"{}")
    with pytest.raises(ReceiptForged):
        parse_call("it", None, call)


def test_the_url_of_a_message_needs_no_token() -> None:
    """`ReceiptHandler` has checked the token of the URL: the message is the one that it names."""
    body = {"msgid": "id-9", "status": "DELIVERED", "recipient": "+6281210100055"}
    assert parse(KEDASMS_LIKE, body, message_id="m-1") == [
        Receipt("m-1", DeliveryStatus.DELIVERED, provider_message_id="id-9", to="+6281210100055")
    ]
    with pytest.raises(ReceiptForged):
        parse(KEDASMS_LIKE, body)


@pytest.mark.parametrize(
    ("state", "status", "error"),
    [
        ("DELIVERED", DeliveryStatus.DELIVERED, None),
        ("UNDELIVERED", DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT),
        ("REJECTED", DeliveryStatus.UNDELIVERED, Outcome.CONTENT_REJECTED),
        ("SENT", None, None),
        ("delivered", None, None),
        ("LOST IN +6281210100055", None, None),
    ],
)
def test_states(state: str, status: DeliveryStatus | None, error: Outcome | None, log_events: list[EventDict]) -> None:
    """A state has the meaning of its list; an unknown one changes nothing and is logged, if it is a word."""
    [receipt] = parse(KEDASMS_LIKE, {"status": state}, message_id="m-1")
    assert (receipt.status, receipt.error) == (status, error)
    unknown = {"delivered": "delivered", "LOST IN +6281210100055": "other"}
    expected = [
        {"event": "receipt_state_unknown", "provider": "it", "log_level": "warning", "state": unknown.get(state)}
    ]
    assert log_events == (expected if state in unknown else [])


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ({"content_type": FORM}, urlencode({"status": "1", "id": "m-1", "text": "a=b&c"}).encode()),
        ({}, b"id=m-1&status=1"),
        ({"method": "GET", "query": (("id", "m-1"), ("status", "1"), *QUERY)}, b""),
        ({"content_type": "application/json"}, b'\xef\xbb\xbf {"id": "m-1", "status": 1}'),
    ],
)
def test_forms_and_queries(call: dict[str, Any], body: bytes) -> None:
    """A form, the query of a call without a body, and JSON are read by the same pointers."""
    changes = {"items": None, "message_id": "/id", "to": None, "status": "/status", "delivered": ["1"]}
    table = http_table(INFOBIP_LIKE)["receipts"] | changes
    kept = {name: value for name, value in table.items() if value is not None}
    mapping = load_http({**http_table(INFOBIP_LIKE), "receipts": kept}).receipts
    request = ReceiptRequest(**{"method": "POST", "url": "/", "message_id": None, "now": 0.0, "query": QUERY, **call,
                                "body": body})  # fmt: skip
    assert parse_call("it", mapping, request) == [Receipt("m-1", DeliveryStatus.DELIVERED)]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"\xff\xfe", b"[" * 50_000, b"a=" + b"&b=" * 200, {"results": {}},
        {"results": ["x", None, 5]},
        {"results": [{"messageId": "m-1"}]}, {"results": [{"status": {"name": "DELIVERED_TO_HANDSET"}}]},
        {"results": [{"messageId": "../../x", "status": {"name": "DELIVERED_TO_HANDSET"}}]},
        {"results": [{"messageId": "m" * 37, "status": {"name": "DELIVERED_TO_HANDSET"}}]},
        {"results": [{"messageId": ["m-1"], "status": {"name": "DELIVERED_TO_HANDSET"}}]},
    ],
)  # fmt: skip
def test_unreadable_calls_give_no_receipt(body: bytes | object) -> None:
    """An authentic call without a message or without a state is answered and changes nothing."""
    assert parse(INFOBIP_LIKE, body, query=QUERY) == []


def test_a_batch_is_read_to_its_limit() -> None:
    """The reports of one call become receipts in their order, and at most 200 are read."""
    names = ["DELIVERED_TO_OPERATOR", "DELIVERED_TO_HANDSET", "EXPIRED_EXPIRED"]
    results = [{"messageId": f"m-{number}", "status": {"name": names[number % 3]}} for number in range(300)]
    receipts = parse(INFOBIP_LIKE, {"results": results}, query=QUERY)
    assert [receipt.message_id for receipt in receipts] == [f"m-{number}" for number in range(200)]
    assert [receipt.status for receipt in receipts[:3]] == [None, DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED]


def test_a_receipt_about_another_message_is_ignored() -> None:
    """With the URL of one message, a report that names another one gives no receipt."""
    assert parse(INFOBIP_LIKE, ONE, message_id="m-1") != []
    assert parse(INFOBIP_LIKE, ONE, message_id="m-2") == []


def test_the_price_in_a_receipt() -> None:
    """It is read where `charged` says; the provider tells what it charged if a response or a receipt does."""
    body = {"results": [{**REPORT, "price": {"sum": 0.01, "currency": "EUR"}}]}
    charged = {"amount": "/price/sum", "currency": "/price/currency"}
    [receipt] = parse(INFOBIP_LIKE, body, {"charged": charged}, message_id="m-1")
    assert (receipt.charged, receipt.charged_currency) == (Decimal("0.01"), "EUR")
    [without] = parse(INFOBIP_LIKE, body, message_id="m-1")
    assert (without.charged, without.charged_currency) == (None, "")

    table = http_table(INFOBIP_LIKE)
    for config, expected in (
        (table, False),
        ({**table, "charged": charged}, True),
        ({**table, "receipts": {**table["receipts"], "charged": charged}}, True),
    ):
        assert HttpProvider("it", load_http(config), GatewayClient(1.0)).reports_charge is expected


@pytest.mark.parametrize("to", ["081210100055", "unknown", "", 5, None, ["6281210100055"], "+" + "6" * 20])
def test_only_international_numbers_are_compared(to: object) -> None:
    """A recipient in another form than digits with the country code cannot be compared, so it is left out."""
    body = {"results": [{"messageId": "m-1", "to": to, "status": {"name": "DELIVERED_TO_HANDSET"}}]}
    assert [receipt.to for receipt in parse(INFOBIP_LIKE, body, query=QUERY)] == [""]


def test_the_reports_of_the_simulator() -> None:
    """A report as Infobip documents it is read; one from the operator only is not final."""
    gateway = InfobipSimulator()
    sent = InfobipMessage("m-1", "6281210100055", MESSAGE.text, "Acme", "", datetime.now(UTC))
    for state, status in (("sent", None), ("delivered", "delivered"), ("undelivered", "undelivered")):
        webhook = gateway.build_webhook(sent, ScriptedReceipt(state))  # type: ignore[arg-type]  # a literal in a loop
        [receipt] = parse(INFOBIP_LIKE, webhook.body, query=QUERY)
        assert (receipt.message_id, receipt.status) == ("m-1", status)
