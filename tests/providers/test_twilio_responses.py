"""Twilio: the outcome of each response to a send, the status of each message, and the table of error codes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Final

import pytest

from otp_service.domain.message import DeliveryReport, SendResult
from otp_service.domain.outcomes import DeliveryStatus, HealthSignal, Outcome
from otp_service.providers.twilio.result_codes import ACCOUNT_ERRORS, ERROR_OUTCOMES
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang, Raw, Slow
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator, refusal
from tests.providers.twilio_provider import outbound, responding, twilio, twilio_gateway

SID = "SM" + "1" * 32


@pytest.fixture
async def gateway() -> AsyncIterator[TwilioSimulator]:
    """A simulated gateway that accepts every message."""
    async with twilio_gateway() as running:
        yield running


CODES: Final[dict[str, list[int]]] = {
    "funds": [10001, 20005],
    "throttled": [20429, 21611, 30001, 30022, 30023, 63038],
    "recipient_invalid": [21211, 21214, 21217, 21265, 21614, 21635, 30005, 30006],
    "recipient_blocked": [21610, 30004, 30450, 30453, 30454, 60410],
    "destination_unsupported": [21408, 21612],
    "content_rejected": [21602, 21617, 30007],
    "transient": [30003, 30008, 30017, 30036],
    "config_error": [20003, 20403, 21212, 21603, 21606, 21608, 21609, 21624, 21659, 21660, 21701, 21703, 21705, 30002,
                     30010, 30018, 30024, 30032, 30034, 30042, 70051],
}  # fmt: skip
ROWS: Final = [(code, outcome) for outcome, codes in CODES.items() for code in codes]


@pytest.mark.parametrize(("code", "outcome"), ROWS)
async def test_each_code_has_its_outcome(gateway: TwilioSimulator, code: int, outcome: str) -> None:
    """A refusal has one outcome; only errors of the account open the circuit at once."""
    gateway.script(refusal(code), responding(f'{{"code":"{code}","status":400}}', 400))
    async with twilio(gateway) as provider:
        results = [await provider.send(outbound()) for _ in range(2)]

    assert [result.outcome.value for result in results] == [outcome] * 2
    trips = outcome == "funds" or code in ACCOUNT_ERRORS
    assert [result.health is HealthSignal.TRIP for result in results] == [trips] * 2


@pytest.mark.parametrize(("code", "outcome"), ROWS)
async def test_each_code_explains_an_undelivered_message(gateway: TwilioSimulator, code: int, outcome: str) -> None:
    """The same codes are the reasons of undelivered and failed messages."""
    async with twilio(gateway) as provider:
        sid = (await provider.send(outbound())).provider_message_id
        for status in ("undelivered", "failed"):
            gateway.statuses[sid] = (status, code)
            report = await provider.fetch_report(sid)
            assert (report.status, report.error) == (DeliveryStatus.UNDELIVERED, outcome)


def test_result_code_table_has_no_untested_codes() -> None:
    """Every code in the table is covered by a test."""
    assert ERROR_OUTCOMES.keys() == {code for codes in CODES.values() for code in codes}


@pytest.mark.parametrize(
    ("code", "status", "outcome", "signal"),
    [
        (21999, 400, Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (20404, 404, Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (20999, 403, Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (20999, 401, Outcome.CONFIG_ERROR, HealthSignal.TRIP),
        (20999, 429, Outcome.THROTTLED, HealthSignal.NONE),
        (20999, 408, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (20500, 500, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (20503, 503, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (21211, 500, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (21211, 302, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
    ],
)
async def test_unlisted_code(
    gateway: TwilioSimulator, *, code: int, status: int, outcome: Outcome, signal: HealthSignal
) -> None:
    """An unlisted code of a 4xx is a refusal; after a server error the message may have been sent."""
    gateway.script(refusal(code, status))
    async with twilio(gateway) as provider:
        result = await provider.send(outbound())

    assert (result.outcome, result.health) == (outcome, signal)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "ambiguous"), (401, "config_error"), (403, "config_error"), (404, "config_error"), (429, "throttled"),
     (302, "ambiguous"), (500, "ambiguous"), (502, "ambiguous"), (503, "ambiguous"), (504, "ambiguous")],
)  # fmt: skip
async def test_response_without_a_code(gateway: TwilioSimulator, status: int, outcome: str) -> None:
    """Without a code the HTTP status decides, and a redirect is not followed."""
    gateway.script(responding("<html>", status, Location=gateway.url), responding('{"status":400}', status))
    async with twilio(gateway) as provider:
        outcomes = [(await provider.send(outbound())).outcome.value for _ in range(2)]

    assert outcomes == [outcome, outcome]
    assert len(gateway.requests) == 2


async def test_retry_after_is_returned(gateway: TwilioSimulator) -> None:
    """`Retry-After` of a 429 and of a 503 is returned; with it, a 503 was not processed."""
    gateway.script(
        refusal(20429, headers={"Retry-After": "7"}),
        responding("", 429, Retry_After="7"),
        refusal(20503, 503, {"Retry-After": "7"}),
    )
    async with twilio(gateway) as provider:
        results = [await provider.send(outbound()) for _ in range(3)]

    outcomes = (Outcome.THROTTLED, Outcome.THROTTLED, Outcome.TRANSIENT)
    assert results == [SendResult(outcome, retry_after=7.0) for outcome in outcomes]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f'{{"sid":"{SID}","status":"queued"}}', SendResult(Outcome.ACCEPTED, SID)),
        (f'{{"sid":"{SID}","status":"accepted"}}', SendResult(Outcome.ACCEPTED, SID)),
        (f'{{"sid":"{SID}"}}', SendResult(Outcome.ACCEPTED, SID)),
        (f'{{"sid":"{SID}","status":"failed","error_code":21610}}', SendResult(Outcome.RECIPIENT_BLOCKED)),
        (f'{{"sid":"{SID}","status":"failed","error_code":null}}', SendResult(Outcome.TRANSIENT)),
        (f'{{"sid":"{SID}","status":"failed","error_code":21606}}', SendResult.undocumented()),
        ('{"sid":null,"status":"queued"}', SendResult(Outcome.AMBIGUOUS)),
        ('{"sid":"","status":"queued"}', SendResult(Outcome.AMBIGUOUS)),
        ('{"code":21211,"status":400}', SendResult(Outcome.AMBIGUOUS)),
        ("<html>", SendResult(Outcome.AMBIGUOUS)),
    ],
)
async def test_created_message(gateway: TwilioSimulator, body: str, expected: SendResult) -> None:
    """A message resource with a SID is an acceptance, unless the message has failed at once."""
    gateway.script(responding(body, 201))
    async with twilio(gateway) as provider:
        assert await provider.send(outbound()) == expected


@pytest.mark.parametrize(
    "behavior", [Hang(), Cut(), Slow(1.0), Raw(b"HTTP/1.1 201 Created\r\n\r\n{"), responding(b"\xff[", 201)]
)
async def test_missing_or_unreadable_response_is_ambiguous(gateway: TwilioSimulator, behavior: Behavior) -> None:
    """The message may have been sent, so the adapter sends a single request."""
    gateway.always = behavior
    async with twilio(gateway, seconds=0.25) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)

    assert len(gateway.requests) == 1


async def test_refused_connection_is_transient(gateway: TwilioSimulator) -> None:
    """A refused connection is transient."""
    await gateway.close()
    async with twilio(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.TRANSIENT)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("accepted", None), ("scheduled", None), ("queued", None), ("sending", None), ("sent", None), ("received", None),
     ("partially_delivered", None), ("delivered", DeliveryStatus.DELIVERED), ("read", DeliveryStatus.DELIVERED)],
)  # fmt: skip
async def test_message_status(gateway: TwilioSimulator, status: str, expected: DeliveryStatus | None) -> None:
    """A status in transit, and one that is not of an SMS that we sent, changes nothing."""
    async with twilio(gateway) as provider:
        sid = (await provider.send(outbound())).provider_message_id
        gateway.statuses[sid] = (status, None)
        report = await provider.fetch_report(sid)
        assert (report.status, report.error) == (expected, None)

    assert gateway.requests[-1].target == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}.json"


@pytest.mark.parametrize(
    ("price", "unit", "charged", "currency"),
    [
        ('"-0.04530"', '"USD"', Decimal("0.04530"), "USD"),
        ("-0.5", '"eur"', Decimal("0.5"), "EUR"),
        ('"0"', '"USD"', Decimal(0), "USD"),
        ('"-0.00750"', "null", Decimal("0.00750"), ""),
        ("null", '"USD"', None, ""),
        ('"0.01"', '"USD"', None, ""),
        ('"x"', '"USD"', None, ""),
        ('"-Infinity"', '"USD"', None, ""),
    ],
)
async def test_price(gateway: TwilioSimulator, price: str, unit: str, charged: Decimal | None, currency: str) -> None:
    """The price is negative, and null until it is known; a credit is no charge."""
    gateway.script(responding(f'{{"sid":"{SID}","status":"delivered","price":{price},"price_unit":{unit}}}'))
    async with twilio(gateway) as provider:
        assert provider.reports_charge and provider.queries_charge
        expected = DeliveryReport(DeliveryStatus.DELIVERED, charged=charged, charged_currency=currency)
        assert await provider.fetch_report(SID) == expected


@pytest.mark.parametrize(
    ("error_code", "error"),
    [("null", Outcome.TRANSIENT), ("39999", Outcome.TRANSIENT), ('"30005"', Outcome.RECIPIENT_INVALID)],
)
async def test_undelivered_reason(gateway: TwilioSimulator, error_code: str, error: Outcome) -> None:
    """A missing or unlisted code is transient; a code may be a string."""
    gateway.script(responding(f'{{"sid":"{SID}","status":"undelivered","error_code":{error_code}}}'))
    async with twilio(gateway) as provider:
        assert await provider.fetch_report(SID) == DeliveryReport(DeliveryStatus.UNDELIVERED, error)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (f'{{"sid":"{SID[:-1]}2","status":"delivered"}}', 200),
        (f'{{"sid":"{SID}","status":"delivered"}}', 500),
        ('{"code":20404}', 404),
        ("[]", 200),
        ("<html>", 200),
    ],
)
async def test_report_about_something_else_has_no_status(gateway: TwilioSimulator, body: str, status: int) -> None:
    """Only a 200 with the message's own SID tells its status."""
    gateway.script(responding(body, status))
    async with twilio(gateway) as provider:
        assert await provider.fetch_report(SID) == DeliveryReport(None)


async def test_simulator_shows_the_price_of_a_sent_message(gateway: TwilioSimulator) -> None:
    """The message resource has a price only after the message was sent, as a negative amount in a string."""
    async with twilio(gateway) as provider:
        await provider.send(outbound())
        [message] = gateway.messages
        resources = [gateway._resource(message)]
        await gateway.send_receipt(message, ScriptedReceipt("delivered"))
        resources.append(gateway._resource(message))

    assert [(one["price"], one["price_unit"]) for one in resources] == [(None, "USD"), ("-0.04530", "USD")]
