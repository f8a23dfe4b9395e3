"""A verified code is told to the gateway that sent it, in the background, if its provider is configured for it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest

from otp_service.delivery import conversion_feedback
from otp_service.delivery.conversion_feedback import CONCURRENT_CALLS, ConversionFeedback
from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.verification import Delivery, VerificationRecord
from otp_service.observability import metrics_page
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID
from tests.delivery.gateway_pairs import GatewayPair, gateway_pair
from tests.message_waits import POLL_ROUNDS_SECONDS, wait_for_deliveries
from tests.running_service import RunningService, ServiceFactory
from tests.waits import wait_until


async def verified(make_service: ServiceFactory, both: GatewayPair, **options: Any) -> RunningService:
    """Request a code through the first gateway, and verify it."""
    service = await make_service(both.config(options=options))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert (await service.verify(verification_id, "000000")).status_code == 422
    assert (await service.verify(verification_id, both.code_of(both.log[0]))).status_code == 200
    return service


async def test_twilio(make_service: ServiceFactory) -> None:
    """The message announces its feedback; a wrong code tells nothing, the right one confirms the message."""
    async with gateway_pair("twilio") as both:
        await verified(make_service, both, conversion_feedback=True)
        await wait_until(lambda: len(both.first.requests) == 2)
        send, feedback = both.first.requests
        [message] = both.first.messages

    assert b"&ProvideFeedback=true&" in send.body
    assert (feedback.method, feedback.body) == ("POST", b"Outcome=confirmed")
    assert feedback.target == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message.sid}/Feedback.json"  # type: ignore[union-attr]  # it is Twilio's
    assert feedback.headers["content-type"] == "application/x-www-form-urlencoded"
    assert feedback.headers["authorization"] == send.headers["authorization"]
    assert both.first.feedback == {message.sid: "confirmed"}  # type: ignore[union-attr]  # it is Twilio's


@pytest.mark.parametrize("auth", [{}, {"auth": "basic"}, {"auth": "signature", "signature_secret": "signature"}])
async def test_vonage(make_service: ServiceFactory, auth: dict[str, str]) -> None:
    """The id of the first part, with key and secret in the body, and when the code was verified, in UTC."""
    async with gateway_pair("vonage", signature_key="signature") as both:
        options = {"conversion_feedback": True, "conversion_url": both.first.url, **auth}
        await verified(make_service, both, **options)
        await wait_until(lambda: len(both.first.requests) == 2)
        feedback = both.first.requests[1]
        [message_id] = both.first.messages[0].ids  # type: ignore[union-attr]  # it is Vonage's

    assert (feedback.method, feedback.target) == ("POST", "/conversions/sms")
    body = re.fullmatch(
        rf"api_key=abcd1234&api_secret=secret&message-id={message_id}&delivered=true&timestamp=(.*)",
        feedback.body.decode(),
    )
    assert body
    said = time.strptime(body[1].replace("%20", " ").replace("%3A", ":") + " UTC", "%Y-%m-%d %H:%M:%S %Z")
    assert abs(time.time() - (time.mktime(said) - time.timezone)) < 60
    assert both.first.conversions == [(message_id, True)]  # type: ignore[union-attr]  # it is Vonage's


@pytest.mark.parametrize("gateway", ["twilio", "vonage"])
async def test_nothing_is_told_by_default(make_service: ServiceFactory, gateway: str) -> None:
    """Without the key there is one request, the message, and it announces nothing."""
    async with gateway_pair(gateway) as both:
        await verified(make_service, both)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        [send] = both.first.requests
        assert b"Feedback" not in send.body


async def test_gateway_that_hangs_delays_nothing(make_service: ServiceFactory) -> None:
    """The code is verified at once while the gateway does not answer, and the service stops at once."""
    async with gateway_pair("twilio") as both:
        both.first.script(None, Hang())
        started = time.monotonic()
        await verified(make_service, both, conversion_feedback=True, timeout_seconds=30)
        await wait_until(lambda: len(both.first.requests) == 2)
        await make_service.close()
        assert time.monotonic() - started < 5


class CountingProvider:
    """A provider that takes feedback, and answers when it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.name = "first"
        self.timeout_seconds = 1.0
        self.idempotent_send = self.reports_delivery = False
        self.takes_feedback = True
        self.told: list[tuple[str, float]] = []
        self.may_answer = asyncio.Event()
        self._fails = fails

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send nothing."""
        raise NotImplementedError

    async def close(self) -> None:
        """Do nothing."""

    async def send_feedback(self, provider_message_id: str, at: float) -> Outcome:
        """Remember the message, and answer or fail."""
        self.told.append((provider_message_id, at))
        await self.may_answer.wait()
        if self._fails:
            raise ValueError
        return Outcome.ACCEPTED


def record(*deliveries: Delivery) -> VerificationRecord:
    """Return a record with these deliveries."""
    return VerificationRecord(
        tenant="demo",
        purpose="login",
        recipient="r",
        created_ms=1,
        expires_ms=2,
        attempts_left=5,
        deliveries=deliveries,
        key_id="k",
        code_hash="h",
        phone="p",
        channel="sms",
        country="ID",
        locale="",
        code_length=6,
        resend_ms=0,
        sends_left=1,
        code_created_ms=1,
    )


def count_of(outcome: str) -> float:
    """Return the metric for an outcome of the provider `first`."""
    pattern = rf'otp_conversion_feedback_total{{outcome="{outcome}",provider="first"}} (\S+)'
    found = re.search(pattern, metrics_page(None).decode())
    return float(found[1]) if found else 0.0


def accepted(*ids: str) -> Sequence[VerificationRecord]:
    """Return a record for each of the gateway's ids."""
    return [record(Delivery("first", DeliveryStatus.SENT, 1, "", one)) for one in ids]


async def test_only_accepted_messages_are_confirmed() -> None:
    """A message that failed, was not delivered, may not have been sent or has no id is not confirmed."""
    provider = CountingProvider()
    provider.may_answer.set()
    feedback = ConversionFeedback({"first": provider}, lambda: 7.0)
    feedback.start()
    statuses = (DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED, DeliveryStatus.UNKNOWN, DeliveryStatus.DELIVERED)
    feedback.confirm(record(*(Delivery("first", status, 1, "", status.value) for status in statuses)))
    feedback.confirm(
        record(Delivery("first", DeliveryStatus.SENT, 1), Delivery("other", DeliveryStatus.SENT, 1, "", "x"))
    )
    await wait_until(lambda: len(provider.told) == 1)
    await feedback.stop()
    assert provider.told == [("delivered", 7.0)]


async def test_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is dropped and counted; `confirm` never waits."""
    monkeypatch.setattr(conversion_feedback, "MAX_WAITING", 3)
    provider, dropped = CountingProvider(), count_of("dropped")
    feedback = ConversionFeedback({"first": provider})
    feedback.start()
    for one in accepted(*"ab"):
        feedback.confirm(one)
    await wait_until(lambda: len(provider.told) == CONCURRENT_CALLS)
    for one in accepted(*"cdefg"):
        feedback.confirm(one)
    assert count_of("dropped") - dropped == 2
    provider.may_answer.set()
    await wait_until(lambda: len(provider.told) == 5)
    await feedback.stop()
    assert [told for told, _ in provider.told] == list("abcde")


async def test_failure_ends_nothing() -> None:
    """A provider that raises is told of the next message, too."""
    provider, ambiguous = CountingProvider(fails=True), count_of("ambiguous")
    provider.may_answer.set()
    feedback = ConversionFeedback({"first": provider})
    feedback.start()
    for one in accepted(*"abcdef"):
        feedback.confirm(one)
    await wait_until(lambda: count_of("ambiguous") - ambiguous == 6)
    await feedback.stop()


async def test_nothing_runs_without_providers() -> None:
    """A process whose providers take no feedback has no tasks for it."""
    before = len(asyncio.all_tasks())
    provider = CountingProvider()
    provider.takes_feedback = False
    feedback = ConversionFeedback({"first": provider})
    feedback.start()
    feedback.confirm(accepted("a")[0])
    assert len(asyncio.all_tasks()) == before
    await feedback.stop()
