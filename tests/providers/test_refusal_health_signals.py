"""The health signal of a refusal: only one that certainly concerns the account opens the circuit at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.providers.eims import wire as eims
from otp_service.providers.eims.result_codes import ACCOUNT_ERRORS, ACCOUNT_ERRORS_V2
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.kedasms import wire as kedasms
from otp_service.providers.responses import describes_unsupported_destination, undocumented_response
from otp_service.providers.sendcloud import wire as sendcloud
from otp_service.providers.smshub import wire as smshub

TRIP, FAILURE, SUCCESS = HealthSignal.TRIP, HealthSignal.FAILURE, HealthSignal.SUCCESS
NONE: Final = HealthSignal.NONE
CONFIG, NOT_SERVED, FUNDS = Outcome.CONFIG_ERROR, Outcome.DESTINATION_UNSUPPORTED, Outcome.FUNDS
INVALID, BLOCKED = Outcome.RECIPIENT_INVALID, Outcome.RECIPIENT_BLOCKED


def classified(result: SendResult) -> tuple[Outcome, HealthSignal]:
    """Return the outcome and the health signal of a result."""
    return result.outcome, result.health


def body_of(value: Any) -> bytes:
    """Encode a string as it is, and anything else as JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@pytest.mark.parametrize("status", [*range(-45, 0), -99, -1000])
@pytest.mark.parametrize("signed", [False, True])
def test_eims_refusals(status: int, signed: bool) -> None:
    """Errors of the account open the circuit; other configuration errors are counted as failures."""
    expected = {-1, -2, -13} | ({-29, -30, -31, -32} if signed else set())
    account_errors = ACCOUNT_ERRORS_V2 if signed else ACCOUNT_ERRORS
    response = GatewayResponse(200, {}, body_of({"status": status}))
    outcome, signal = classified(eims.parse_send_response(response, "62812", "ID", account_errors))
    assert (signal is TRIP) == (status in expected or status == -10)
    if outcome is CONFIG and status not in expected:
        assert signal is FAILURE
    assert (outcome is NOT_SERVED) == (status == -19)


KEDASMS: Final[list[tuple[int, Any, Outcome, HealthSignal]]] = [
    (401, "", CONFIG, TRIP),
    (200, {"code": "401", "message": "x"}, CONFIG, TRIP),
    (402, "", FUNDS, TRIP),
    (400, {"message": "Invalid API key"}, CONFIG, TRIP),
    (403, {"message": "apiKey is not valid"}, CONFIG, TRIP),
    (403, {"code": "UNAUTHORIZED"}, CONFIG, TRIP),
    (403, {"message": "Account is suspended"}, CONFIG, TRIP),
    (403, {"message": "IP address 192.0.2.1 is not whitelisted"}, CONFIG, TRIP),
    (403, "", CONFIG, FAILURE),
    (403, "<html>Forbidden</html>", CONFIG, FAILURE),
    (403, {"message": "Forbidden"}, CONFIG, FAILURE),
    (403, {"message": "senderId is not approved"}, CONFIG, FAILURE),
    (404, "", CONFIG, FAILURE),
    (400, {"message": "Decryption failed"}, CONFIG, FAILURE),
    (200, {"code": "1042", "message": "?"}, Outcome.TRANSIENT, FAILURE),
    (400, {"message": "Country ID is not supported for this API key"}, NOT_SERVED, SUCCESS),
    (400, {"message": "Unsupported phone number"}, NOT_SERVED, SUCCESS),
    (200, {"code": "1043", "message": "No route to 62812"}, NOT_SERVED, SUCCESS),
    (200, {"code": "1043", "message": "NO_ROUTE"}, NOT_SERVED, SUCCESS),
    (400, {"message": "Operator not supported"}, NOT_SERVED, SUCCESS),
    (403, {"message": "This number is not open"}, NOT_SERVED, SUCCESS),
    (400, {"message": "该国家不支持"}, NOT_SERVED, SUCCESS),
    (400, {"message": "Invalid phone number"}, INVALID, SUCCESS),
    (400, {"message": "Number is in the blacklist of this country"}, BLOCKED, SUCCESS),
]


@pytest.mark.parametrize(("status", "body", "outcome", "signal"), KEDASMS)
def test_kedasms_refusals(status: int, body: Any, outcome: Outcome, signal: HealthSignal) -> None:
    """The signal follows from the status and the error text; a page of a proxy is only counted."""
    response = GatewayResponse(status, {}, body_of(body))
    assert classified(kedasms.parse_send_response(response, 0)) == (outcome, signal)


def refused_number(reason: str) -> dict[str, Any]:
    """Return a response that refuses our number for `reason`."""
    return {"statusCode": 312, "info": {"failedCount": 1, "items": [{"phone": "+6281210100055", "message": reason}]}}


SENDCLOUD: Final[list[tuple[int, Any, Outcome, HealthSignal]]] = [
    *[(200, {"statusCode": code}, CONFIG, TRIP) for code in (40005, 401, 422, 471, 473, 474, 601, 6001)],
    *[(200, {"statusCode": code}, CONFIG, FAILURE) for code in (413, 421, 451, 452, 461, 50001, 40099, 4999, 7)],
    *[(200, {"statusCode": code}, FUNDS, TRIP) for code in (499, 40912)],
    (200, {"statusCode": 601, "message": "no permission for this country"}, NOT_SERVED, SUCCESS),
    (200, {"statusCode": 40777, "message": "The region of the number is not supported"}, NOT_SERVED, SUCCESS),
    (200, refused_number("country not supported"), NOT_SERVED, SUCCESS),
    (200, refused_number("unsupported"), NOT_SERVED, SUCCESS),
    (200, refused_number("不支持的手机号段"), NOT_SERVED, SUCCESS),
    (200, refused_number("unsubscribed in this country"), BLOCKED, SUCCESS),
    (200, refused_number("手机号格式错误"), INVALID, SUCCESS),
    (200, refused_number("?"), Outcome.TRANSIENT, FAILURE),
]


@pytest.mark.parametrize(("status", "body", "outcome", "signal"), SENDCLOUD)
def test_sendcloud_refusals(status: int, body: Any, outcome: Outcome, signal: HealthSignal) -> None:
    """The signal follows from the code, and from the error text if the code is general."""
    response = GatewayResponse(status, {}, body_of(body))
    assert classified(sendcloud.parse_send_response(response, "+6281210100055", "ID")) == (outcome, signal)


SMSHUB: Final[list[tuple[int, Any, Outcome, HealthSignal]]] = [
    (401, "", CONFIG, TRIP),
    (400, "Insufficient credit", FUNDS, TRIP),
    (403, "", CONFIG, FAILURE),
    (404, "", CONFIG, FAILURE),
    (422, "", CONFIG, FAILURE),
    (400, "<html>", CONFIG, FAILURE),
    (400, "Insufficient permission", CONFIG, FAILURE),
    (403, "You may not send to this phone number", NOT_SERVED, SUCCESS),
    (403, "+6281210100055: recipient forbidden", NOT_SERVED, SUCCESS),
    (400, "Unroutable message - rejected", NOT_SERVED, SUCCESS),
    (400, "The 'To' phone number is not currently reachable via SMS", NOT_SERVED, SUCCESS),
    (400, "This country's recipient has unsubscribed", BLOCKED, SUCCESS),
    (403, "The number has opted out", BLOCKED, SUCCESS),
    (400, "The PhoneNumber field is required", INVALID, SUCCESS),
    (429, "", Outcome.THROTTLED, NONE),
]


@pytest.mark.parametrize(("status", "body", "outcome", "signal"), SMSHUB)
def test_smshub_refusals(status: int, body: Any, outcome: Outcome, signal: HealthSignal) -> None:
    """A 403 about a number concerns neither the program nor the recipient: another gateway may reach it."""
    response = GatewayResponse(status, {}, body_of(body))
    assert classified(smshub.parse_send_response(response)) == (outcome, signal)


@pytest.mark.parametrize(
    ("status", "body", "signal"),
    [
        (401, b"", TRIP),
        (200, b'""', TRIP),
        (200, b"<html>Maintenance", FAILURE),
        (403, b"", FAILURE),
        (404, b"", FAILURE),
        (400, b"", FAILURE),
    ],
)
def test_smshub_login_refusals(status: int, body: bytes, signal: HealthSignal) -> None:
    """The hub refuses a program with a 401 or without a token; a page or a 404 is only counted."""
    result = smshub.parse_login_response(GatewayResponse(status, {}, body))
    assert isinstance(result, SendResult)
    assert classified(result) == (CONFIG, signal)


@pytest.mark.parametrize(
    ("status", "outcome", "signal"),
    [
        (401, CONFIG, TRIP),
        (403, CONFIG, FAILURE),
        (404, CONFIG, FAILURE),
        (429, Outcome.THROTTLED, NONE),
        (400, Outcome.AMBIGUOUS, FAILURE),
        (500, Outcome.AMBIGUOUS, FAILURE),
    ],
)
def test_undocumented_response(status: int, outcome: Outcome, signal: HealthSignal) -> None:
    """A 401 of a proxy concerns the account; a 403 or 404 may concern one request."""
    assert classified(undocumented_response(GatewayResponse(status, {}, b"<html>"))) == (outcome, signal)


Parse = Callable[[GatewayResponse, str], SendResult]
PARSERS: Final[list[Parse]] = [
    smshub.parse_send_response,
    lambda response, text: kedasms.parse_send_response(response, 0, text),
]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("brand", ["Credit Union", "Country Bank", "Balance Funds", "API key's"])
def test_echoed_message_is_not_matched(parse: Parse, brand: str) -> None:
    """A refusal that echoes the message text is classified without it, so a brand cannot open the circuit."""
    text = f'{brand}: your "code" is 123456'
    for body in (f"Message is too long: {text}", json.dumps({"message": f"Message is too long: {text}"})):
        assert parse(GatewayResponse(400, {}, body.encode()), text) == SendResult(Outcome.CONTENT_REJECTED)


@pytest.mark.parametrize(
    "error_text", ["Network error", "channel busy", "not supported", "Phone is required", "timeout"]
)
def test_error_texts_that_do_not_name_a_destination(error_text: str) -> None:
    """A failure of the platform is not taken for an unsupported number: it must count as a failure."""
    assert not describes_unsupported_destination(error_text)
