"""Calls through Vonage and the whole service: signed events move the delivery, all others do not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

import httpx
import pytest

from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.twilio_voice import TwilioVoiceSimulator
from otp_service.sandbox.simulators.vonage_voice import APPLICATION_ID, VonageVoiceSimulator
from otp_service.sandbox.simulators.vonage_voice_key import simulated_key_pem
from tests.delivery.test_delivery_receipts import PUBLIC_URL, record_of
from tests.delivery.test_voice_calls import VOICE, spoken_code, twilio_table
from tests.message_waits import wait_for_deliveries
from tests.running_service import RunningService, ServiceFactory
from tests.waits import wait_until

SECRET = "signature & secret"


@dataclass
class VonageCalls:
    """A service that calls through Vonage and then through Twilio, and the code that was requested."""

    service: RunningService
    first: VonageVoiceSimulator
    second: TwilioVoiceSimulator
    verification_id: str

    def post(self, hook: Webhook, url: str) -> Awaitable[httpx.Response]:
        """Deliver an event to a URL."""
        headers = {"Content-Type": hook.content_type, **hook.headers}
        return self.service.caller(None).post(url.removeprefix(PUBLIC_URL), content=hook.body, headers=headers)


@contextlib.asynccontextmanager
async def vonage_called(make_service: ServiceFactory) -> AsyncIterator[VonageCalls]:
    """Request a code by voice, and wait for the call."""
    async with VonageVoiceSimulator(signature_secret=SECRET) as first, TwilioVoiceSimulator() as second:
        table = {
            "type": "vonage_voice",
            "base_url": first.url,
            "application_id": APPLICATION_ID,
            "private_key": simulated_key_pem(),
            "from": "447700900001",
            "api_key": "abcd1234",
            "signature_secret": SECRET,
            "report_poll_seconds": 30,
        }
        service = await make_service({
            "server": {"public_url": PUBLIC_URL},
            "providers": {"first": table, "second": twilio_table(second)},
            "routes": [VOICE],
            "limits": {"client_ip": [], "recipient": [], "prefix": []},
        })  # fmt: skip
        reply = await service.request(channel="voice")
        await wait_for_deliveries(service, reply.json()["verification_id"], {"first": ("sent", None)})
        yield VonageCalls(service, first, second, reply.json()["verification_id"])


async def test_code_is_spoken_and_verifies(make_service: ServiceFactory) -> None:
    """The call says the code in Indonesian; a signed event moves the delivery, and its repetition changes nothing."""
    async with vonage_called(make_service) as calls:
        [call] = calls.first.messages
        assert (call.language, call.to) == ("id-ID", "6281210100055")
        answered = calls.first.event(call, "answered")
        for hook in (calls.first.event(call, "ringing"), answered, answered, calls.first.event(call, "completed")):
            assert (await calls.post(hook, call.event_url)).status_code == 200
        await wait_for_deliveries(calls.service, calls.verification_id, {"first": ("delivered", None)})
        assert (await calls.service.verify(calls.verification_id, spoken_code(call.text))).status_code == 200
        assert calls.second.messages == []


@pytest.mark.parametrize(
    ("status", "detail", "error"),
    [("busy", "", "transient"), ("failed", "cannot_route", "destination_unsupported")],
)
async def test_unanswered_call_goes_to_the_next_provider(
    make_service: ServiceFactory, status: str, detail: str, error: str
) -> None:
    """Another gateway calls with the same text."""
    async with vonage_called(make_service) as calls:
        [call] = calls.first.messages
        await calls.post(calls.first.event(call, status, detail), call.event_url)
        expected = {"first": ("undelivered", error), "second": ("sent", None)}
        await wait_for_deliveries(calls.service, calls.verification_id, expected)
        assert calls.second.messages[0].text == call.text


async def test_number_out_of_service_is_final(make_service: ServiceFactory) -> None:
    """No other gateway calls a number that no longer exists."""
    async with vonage_called(make_service) as calls:
        [call] = calls.first.messages
        await calls.post(calls.first.event(call, "failed", "number_out_of_service"), call.event_url)
        expected = {"first": ("undelivered", "recipient_invalid")}
        await wait_for_deliveries(calls.service, calls.verification_id, expected)


async def test_status_is_polled_without_events(make_service: ServiceFactory) -> None:
    """Without an event the status is queried."""
    async with vonage_called(make_service) as calls:
        calls.first.statuses[calls.first.messages[0].uuid] = ("completed", "")
        await calls.service.advance(31)
        await wait_for_deliveries(calls.service, calls.verification_id, {"first": ("delivered", None)})


async def test_forged_events_change_nothing(make_service: ServiceFactory) -> None:
    """Unsigned, forged, changed, without the token, with another one: 401. A captured event moves no other message."""
    async with vonage_called(make_service) as calls:
        other_id = (await calls.service.request("0812-1010-0056", channel="voice")).json()["verification_id"]
        await wait_until(lambda: len(calls.first.messages) == 2)
        call, other = calls.first.messages
        before = await record_of(calls.service, calls.verification_id)
        hook, url = calls.first.event(call, "answered"), call.event_url

        for target, forged in (
            (url, Webhook(hook.body, hook.content_type)),
            (url, calls.first.sign(hook.body, secret="another")),
            (url, Webhook(hook.body.replace(b"answered", b"busy"), hook.content_type, hook.headers)),
            (url, calls.first.sign(hook.body, api_key="another1")),
            (url.rpartition("/")[0], hook),
            (url[:-1] + ("A" if url[-1] != "A" else "B"), hook),
            (url.replace("/first/", "/second/"), hook),
        ):
            reply = await calls.post(forged, target)
            assert (reply.status_code, reply.json()["code"]) == (401, "key_invalid"), target
        assert await record_of(calls.service, calls.verification_id) == before

        assert (await calls.post(hook, url)).status_code == 200
        assert (await calls.post(hook, other.event_url)).status_code == 200
        await wait_for_deliveries(calls.service, calls.verification_id, {"first": ("delivered", None)})
        await wait_for_deliveries(calls.service, other_id, {"first": ("sent", None)})
