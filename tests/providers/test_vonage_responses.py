"""How Vonage's response to a message is classified: one status for each part."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

import pytest
from msgspec.structs import replace

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.vonage.result_codes import ACCOUNT_ERRORS, STATUS_OUTCOMES
from otp_service.providers.vonage.wire import parse_send_response
from tests.providers.vonage_provider import outbound, vonage, vonage_gateway

ACCEPTED: Final = {
    "to": "6281210100055", "message-id": "0A0000000123ABCD1", "status": "0", "remaining-balance": "3.14159265",
    "message-price": "0.03330000", "network": "12345",
}  # fmt: skip
TRANSIENT, AMBIGUOUS, CONFIG = Outcome.TRANSIENT, Outcome.AMBIGUOUS, Outcome.CONFIG_ERROR


def answer(*parts: Any, count: object = None, status: int = 200) -> GatewayResponse:
    """Return a response with these parts; an integer is a part with that status and no other member but a text."""
    written = [{"status": str(part), "error-text": "x"} if isinstance(part, int) else part for part in parts]
    body = {"message-count": str(len(parts)) if count is None else count, "messages": written}
    return GatewayResponse(status, {}, json.dumps(body).encode())


ROWS: Final[dict[int, tuple[Outcome, str]]] = {
    # each row: the outcome, and what "Troubleshooting SMS" says of the status (* a source named in `result_codes`)
    1: (Outcome.THROTTLED, "sending faster than the account limit"),
    2: (CONFIG, "missing one of the required parameters"),
    3: (CONFIG, "value of one or more parameters is invalid"),
    4: (CONFIG, "key and/or secret are incorrect, invalid or disabled"),
    5: (TRANSIENT, "error in the platform whilst processing this message"),
    6: (Outcome.RECIPIENT_INVALID, "unable to process, for example an unrecognized number prefix"),
    7: (Outcome.RECIPIENT_BLOCKED, "number is on the list of barred numbers"),
    8: (CONFIG, "account has been suspended"),
    9: (Outcome.FUNDS, "not sufficient credit"),
    10: (Outcome.THROTTLED, "simultaneous connections exceed the allocation"),
    11: (CONFIG, "account is not provisioned for the SMS API"),
    12: (Outcome.CONTENT_REJECTED, "length exceeds the maximum allowed"),
    13: (TRANSIENT, "* not submitted: communication failure"),
    14: (CONFIG, "signature could not be verified"),
    15: (CONFIG, "non-authorized sender ID"),
    16: (CONFIG, "* invalid ttl"),
    17: (Outcome.CONTENT_REJECTED, "* blocked by the provider"),
    19: (CONFIG, "* facility not allowed"),
    20: (CONFIG, "* invalid message class"),
    22: (CONFIG, "network code not recognized"),
    23: (CONFIG, "callback URL too long or with illegal characters"),
    29: (CONFIG, "account in demo mode"),
    32: (CONFIG, "signed request with api_secret"),
    33: (Outcome.RECIPIENT_INVALID, "number is de-activated"),
    34: (Outcome.RECIPIENT_INVALID, "* invalid or missing number"),
}


@pytest.mark.parametrize("status", range(1, 100))
def test_every_status(status: int) -> None:
    """A listed status has its outcome, and any other one is ambiguous; only errors of the account open the circuit."""
    outcome, _ = ROWS.get(status, (AMBIGUOUS, ""))
    result = parse_send_response(answer(status))
    assert result.outcome is outcome
    opens = status in (4, 8, 9, 11, 14)
    assert (result.health is HealthSignal.TRIP) is opens
    if outcome is CONFIG and not opens:
        assert result.health is HealthSignal.FAILURE


def test_the_table_has_no_other_rows() -> None:
    """Each row of the table is shown above, and only errors of the account are among its exceptions."""
    assert {status: outcome for status, (outcome, _) in ROWS.items()} == STATUS_OUTCOMES
    assert {STATUS_OUTCOMES[status] for status in ACCOUNT_ERRORS} == {CONFIG}


@pytest.mark.parametrize(
    ("error_text", "outcome"),
    [
        ("Invalid value for param: to", Outcome.RECIPIENT_INVALID),
        ("to address is not numeric", Outcome.RECIPIENT_INVALID),
        ("Invalid or missing MSISDN", Outcome.RECIPIENT_INVALID),
        ("Invalid value for parameter: ttl", CONFIG),
        ("unable to read param", CONFIG),
        ("", CONFIG),
    ],
)
def test_an_invalid_parameter_may_be_the_recipient(error_text: str, outcome: Outcome) -> None:
    """Status 3 concerns the recipient if its text names `to`; otherwise it is counted as a failure."""
    result = parse_send_response(answer({"status": "3", "error-text": error_text}))
    assert result.outcome is outcome
    assert result.health is (HealthSignal.FAILURE if outcome is CONFIG else HealthSignal.SUCCESS)


@pytest.mark.parametrize(
    ("error_text", "retry_after"),
    [("Throughput Rate Exceeded - please wait [ 250 ] and retry", 0.25), ("please wait [1500] and retry", 1.5),
     ("Throttled", None), ("please wait [ 9999999 ] and retry", None)],
)  # fmt: skip
def test_throttling_says_when_to_retry(error_text: str, retry_after: float | None) -> None:
    """The text of status 1 has the milliseconds to wait."""
    result = parse_send_response(answer({"status": "1", "error-text": error_text}))
    assert result == SendResult(Outcome.THROTTLED, retry_after=retry_after)


ID, PRICE = ACCEPTED["message-id"], Decimal("0.03330000")
CHARGED: Final[dict[str, Any]] = {"charged": PRICE, "charged_currency": "EUR"}
PARTS: Final[list[tuple[GatewayResponse, SendResult]]] = [
    (answer(ACCEPTED), SendResult(Outcome.ACCEPTED, ID, **CHARGED)),
    (
        answer(ACCEPTED, ACCEPTED | {"message-id": "2"}),
        SendResult(Outcome.ACCEPTED, ID, charged=2 * PRICE, charged_currency="EUR"),
    ),
    (
        answer(ACCEPTED | {"status": 0}, count=1),
        SendResult(Outcome.ACCEPTED, ID, **CHARGED),
    ),
    (answer({"status": "0"}), SendResult(Outcome.ACCEPTED)),
    (answer({"status": "0", "message-price": "x"}), SendResult(Outcome.ACCEPTED)),
    # some parts accepted, others refused: never a plain refusal
    (answer(ACCEPTED, 1), SendResult(AMBIGUOUS, ID, **CHARGED)),
    (answer(9, ACCEPTED), SendResult(AMBIGUOUS, ID, **CHARGED)),
    (answer(ACCEPTED, 42), SendResult(AMBIGUOUS, ID, **CHARGED)),
    # fewer or more parts than counted
    (answer(ACCEPTED, count="2"), SendResult(AMBIGUOUS, ID, **CHARGED)),
    (answer(ACCEPTED, count="0"), SendResult(AMBIGUOUS, ID, **CHARGED)),
    (answer(9, count="2"), SendResult(AMBIGUOUS)),
    (answer(ACCEPTED, None), SendResult(AMBIGUOUS, ID, **CHARGED)),
    (answer(9, "x"), SendResult(AMBIGUOUS)),
    # no part accepted
    (answer(9, 9), SendResult(Outcome.FUNDS)),
    (answer(1, 9), SendResult(Outcome.THROTTLED)),
    (answer(9, 42), SendResult(AMBIGUOUS)),
    (answer({"status": "x"}), SendResult(AMBIGUOUS)),
    (answer({}), SendResult(AMBIGUOUS)),
    # not in the documented form
    (answer(ACCEPTED, status=500), SendResult(AMBIGUOUS, ID, **CHARGED)),
    (answer(), SendResult(AMBIGUOUS)),
    (answer("0"), SendResult(AMBIGUOUS)),
    (GatewayResponse(200, {}, b'{"messages":"0"}'), SendResult(AMBIGUOUS)),
    (GatewayResponse(200, {}, b"<html>It works!</html>"), SendResult(AMBIGUOUS)),
    (GatewayResponse(200, {}, b""), SendResult(AMBIGUOUS)),
    (GatewayResponse(401, {}, b""), SendResult(CONFIG)),
    (GatewayResponse(403, {}, b"<html>"), SendResult.undocumented()),
    (GatewayResponse(429, {"retry-after": "3"}, b""), SendResult(Outcome.THROTTLED, retry_after=3)),
    (GatewayResponse(502, {}, b""), SendResult(AMBIGUOUS)),
    (GatewayResponse(503, {"retry-after": "1"}, b""), SendResult(TRANSIENT, retry_after=1)),
]


@pytest.mark.parametrize(("response", "expected"), PARTS)
def test_parts(response: GatewayResponse, expected: SendResult) -> None:
    """Accepted in every part, refused in every part, or ambiguous."""
    assert replace(parse_send_response(response), parts=()) == expected


@pytest.mark.parametrize(
    ("response", "parts"),
    [
        (answer(ACCEPTED), (ID,)),
        (answer(ACCEPTED, ACCEPTED | {"message-id": "2"}), (ID, "2")),
        (answer(9, ACCEPTED), ("", ID)),
        (answer({"status": "0"}), ("",)),
        (answer(9, 9), ()),
        (GatewayResponse(502, {}, b""), ()),
    ],
)
def test_each_part_has_an_id(response: GatewayResponse, parts: tuple[str, ...]) -> None:
    """A part that was refused, or has no id, counts as one without an id."""
    assert parse_send_response(response).parts == parts


def test_a_count_may_be_missing() -> None:
    """Without `message-count` the parts themselves decide."""
    body = json.dumps({"messages": [ACCEPTED]}).encode()
    assert parse_send_response(GatewayResponse(200, {}, body)).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("refused", "outcome", "accepted"),
    [({}, "accepted", 2), ({1: 1}, "ambiguous", 1), ({0: 9}, "ambiguous", 1), ({0: 9, 1: 9}, "funds", 0)],
)
async def test_a_gateway_that_refuses_some_parts(refused: dict[int, int], outcome: str, accepted: int) -> None:
    """A long text of which the gateway accepts one part may arrive in part, so it is not a refusal."""
    async with vonage_gateway() as gateway, vonage(gateway) as provider:
        gateway.refused_parts = refused
        assert (await provider.send(outbound("x" * 161))).outcome.value == outcome
    assert sum(len(message.ids) for message in gateway.messages) == accepted
