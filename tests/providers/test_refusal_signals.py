"""What a refusal says of the provider: only what surely concerns the account opens its circuit at once."""

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


def judged(answer: SendResult) -> tuple[Outcome, HealthSignal]:
    """Give the two things that follow from an answer."""
    return answer.outcome, answer.health


def body_of(value: Any) -> bytes:
    """Write text as it is, and anything else as JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@pytest.mark.parametrize("status", [*range(-45, 0), -99, -1000])
@pytest.mark.parametrize("signed", [False, True])
def test_every_status_of_eims(status: int, signed: bool) -> None:
    """A refused password, address or user trips; of the rest what is not known is counted; verdicts are healthy."""
    account = {-1, -2, -13} | ({-29, -30, -31, -32} if signed else set())
    sure = ACCOUNT_ERRORS_V2 if signed else ACCOUNT_ERRORS
    outcome, signal = judged(
        eims.parse_send_response(GatewayResponse(200, {}, body_of({"status": status})), "62812", "ID", sure)
    )
    assert (signal is TRIP) == (status in account or status == -10)
    if outcome is CONFIG and status not in account:
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
def test_refusals_of_kedasms(status: int, body: Any, outcome: Outcome, signal: HealthSignal) -> None:
    """By status and words; a page of a proxy is nobody's word."""
    assert judged(kedasms.parse_send_response(GatewayResponse(status, {}, body_of(body)), 0)) == (outcome, signal)


def item(words: str) -> dict[str, Any]:
    """Write the refusal of one number."""
    return {"statusCode": 312, "info": {"failedCount": 1, "items": [{"phone": "+6281210100055", "message": words}]}}


SENDCLOUD: Final[list[tuple[int, Any, Outcome, HealthSignal]]] = [
    *[(200, {"statusCode": code}, CONFIG, TRIP) for code in (40005, 401, 422, 471, 473, 474, 601, 6001)],
    *[(200, {"statusCode": code}, CONFIG, FAILURE) for code in (413, 421, 451, 452, 461, 50001, 40099, 4999, 7)],
    *[(200, {"statusCode": code}, FUNDS, TRIP) for code in (499, 40912)],
    (200, {"statusCode": 601, "message": "no permission for this country"}, NOT_SERVED, SUCCESS),
    (200, {"statusCode": 40777, "message": "The region of the number is not supported"}, NOT_SERVED, SUCCESS),
    (200, item("country not supported"), NOT_SERVED, SUCCESS),
    (200, item("unsupported"), NOT_SERVED, SUCCESS),
    (200, item("不支持的手机号段"), NOT_SERVED, SUCCESS),
    (200, item("unsubscribed in this country"), BLOCKED, SUCCESS),
    (200, item("手机号格式错误"), INVALID, SUCCESS),
    (200, item("?"), Outcome.TRANSIENT, FAILURE),
]


@pytest.mark.parametrize(("status", "body", "outcome", "signal"), SENDCLOUD)
def test_refusals_of_sendcloud(status: int, body: Any, outcome: Outcome, signal: HealthSignal) -> None:
    """By code, and by words where the code does not say what is meant."""
    reply = GatewayResponse(status, {}, body_of(body))
    assert judged(sendcloud.parse_send_response(reply, "+6281210100055", "ID")) == (outcome, signal)


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
def test_refusals_of_the_hub(status: int, body: Any, outcome: Outcome, signal: HealthSignal) -> None:
    """A 403 for a number is not about the program, and no verdict about the recipient: another gateway may reach it."""
    assert judged(smshub.parse_send_response(GatewayResponse(status, {}, body_of(body)))) == (outcome, signal)


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
def test_refused_logins_at_the_hub(status: int, body: bytes, signal: HealthSignal) -> None:
    """A 401, and an answer without a token, are how the hub refuses a program; a page or a 404 is somebody else's."""
    answer = smshub.parse_login_response(GatewayResponse(status, {}, body))
    assert isinstance(answer, SendResult)
    assert judged(answer) == (CONFIG, signal)


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
def test_an_answer_of_somebody_else(status: int, outcome: Outcome, signal: HealthSignal) -> None:
    """A proxy's 403 or 404 may be about one request; a 401 is about who asks."""
    assert judged(undocumented_response(GatewayResponse(status, {}, b"<html>"))) == (outcome, signal)


Answer = Callable[[GatewayResponse, str], SendResult]
ANSWERS: Final[list[Answer]] = [
    smshub.parse_send_response,
    lambda reply, text: kedasms.parse_send_response(reply, 0, text),
]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("brand", ["Credit Union", "Country Bank", "Balance Funds", "API key's"])
def test_the_text_of_a_message_is_no_word_about_the_account(answer: Answer, brand: str) -> None:
    """A refusal that echoes the text, bare or in JSON, is judged without it: the brand opens no circuit."""
    text = f'{brand}: your "code" is 123456'
    for body in (f"Message is too long: {text}", json.dumps({"message": f"Message is too long: {text}"})):
        assert answer(GatewayResponse(400, {}, body.encode()), text) == SendResult(Outcome.CONTENT_REJECTED)


@pytest.mark.parametrize("words", ["Network error", "channel busy", "not supported", "Phone is required", "timeout"])
def test_words_that_say_nothing_of_a_destination(words: str) -> None:
    """A platform's trouble is not taken for a number that is not served: it has to count."""
    assert not describes_unsupported_destination(words)
