"""A code by voice, through the whole service: the call, its events, the next provider, and forged events."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.twilio_voice import ACCOUNT_SID, TwilioCall, TwilioVoiceSimulator
from tests.delivery.gateway_config import ACCOUNT, PASSWORD, route_through
from tests.delivery.test_delivery_receipts import PUBLIC_URL, record_of
from tests.message_waits import code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.waits import wait_until

VOICE = {"providers": ["first", "second"], "channel": "voice"}


def twilio_table(gateway: TwilioVoiceSimulator, **keys: Any) -> dict[str, Any]:
    """Return the table of a provider that calls through `gateway`."""
    return {
        "type": "twilio_voice",
        "base_url": gateway.url,
        "account_sid": ACCOUNT_SID,
        "auth_token": "twilio-auth-token",
        "from": "+15005550006",
        "timeout_seconds": 0.5,
        "report_poll_seconds": 0,
        **keys,
    }


def spoken_code(text: str) -> str:
    """Return the code of six digits that a call says."""
    found = re.search(r"(?:\d, ){5}\d", text)
    assert found, text
    return re.sub(r"\D", "", found[0])


@dataclass
class Calls:
    """A service with two accounts for calls, and the code that was requested."""

    service: RunningService
    first: TwilioVoiceSimulator
    second: TwilioVoiceSimulator
    verification_id: str

    @property
    def call(self) -> TwilioCall:
        """The call of the first account."""
        [call] = self.first.messages
        return call

    def post(self, hook: Webhook, url: str = "") -> Awaitable[httpx.Response]:
        """Deliver an event to the URL of the call, or to another one."""
        target = (url or self.call.callback_url).removeprefix(PUBLIC_URL)
        headers = {"Content-Type": hook.content_type, **hook.headers}
        return self.service.caller(None).post(target, content=hook.body, headers=headers)


@contextlib.asynccontextmanager
async def called(make_service: ServiceFactory, **keys: Any) -> AsyncIterator[Calls]:
    """Request a code by voice, and wait for the call of the first account."""
    async with TwilioVoiceSimulator() as first, TwilioVoiceSimulator() as second:
        config = {
            "server": {"public_url": PUBLIC_URL},
            "providers": {"first": twilio_table(first, **keys), "second": twilio_table(second)},
            "routes": [VOICE],
            "limits": {"client_ip": [], "recipient": [], "prefix": []},
        }
        service = await make_service(merged(config, {}))
        reply = await service.request(channel="voice")
        assert (reply.status_code, reply.json()["channel"]) == (202, "voice"), reply.text
        await wait_for_deliveries(service, reply.json()["verification_id"], {"first": ("sent", None)})
        yield Calls(service, first, second, reply.json()["verification_id"])


async def test_code_is_spoken_and_verifies(make_service: ServiceFactory) -> None:
    """The call says the code in the language of the number's country; when it is answered, it is delivered."""
    async with called(make_service) as calls:
        speech = calls.call.speech[0]
        assert (speech.language, calls.call.to) == ("id-ID", "+6281210100055")
        assert speech.text.startswith("Halo. Ini Demo. Kode masuk Anda adalah: ")

        for status in ("ringing", "in-progress", "completed", "busy"):
            reply = await calls.post(calls.first.status_callback(calls.call, status))
            assert (reply.status_code, reply.json()) == (200, {})
        await wait_for_deliveries(calls.service, calls.verification_id, {"first": ("delivered", None)})
        assert (await calls.service.verify(calls.verification_id, spoken_code(speech.text))).status_code == 200
        assert calls.second.messages == []


async def test_language_of_the_request(make_service: ServiceFactory) -> None:
    """The locale of the request selects the language and the voice."""
    async with called(make_service) as calls:
        await calls.service.request("0812-1010-0056", channel="voice", locale="en-GB")
        await wait_until(lambda: len(calls.first.messages) == 2)
        assert calls.first.messages[1].speech[0].language == "en-US"


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled"])
async def test_unanswered_call_goes_to_the_next_provider(make_service: ServiceFactory, status: str) -> None:
    """The next account calls with the same code."""
    async with called(make_service) as calls:
        await calls.post(calls.first.status_callback(calls.call, status))

        expected = {"first": ("undelivered", "transient"), "second": ("sent", None)}
        await wait_for_deliveries(calls.service, calls.verification_id, expected)
        [again] = calls.second.messages
        assert again.text == calls.call.text


async def test_voicemail_goes_to_the_next_provider(make_service: ServiceFactory) -> None:
    """With machine detection a voicemail has not delivered the code."""
    async with called(make_service, machine_detection=True) as calls:
        calls.first.answered_by = "machine_start"
        await calls.post(calls.first.status_callback(calls.call, "in-progress"))
        expected = {"first": ("undelivered", "transient"), "second": ("sent", None)}
        await wait_for_deliveries(calls.service, calls.verification_id, expected)


async def test_status_is_polled_without_events(make_service: ServiceFactory) -> None:
    """Without an event the status is queried."""
    async with called(make_service, report_poll_seconds=30) as calls:
        calls.first.statuses[calls.call.sid] = ("completed", None)
        await calls.service.advance(31)
        await wait_for_deliveries(calls.service, calls.verification_id, {"first": ("delivered", None)})


async def test_forged_events_change_nothing(make_service: ServiceFactory) -> None:
    """A wrong signature, another call's event, another URL and a wrong token get 401."""
    async with called(make_service) as calls:
        await calls.service.request("0812-1010-0056", channel="voice")
        await wait_until(lambda: len(calls.first.messages) == 2)
        call, other = calls.first.messages
        before = await record_of(calls.service, calls.verification_id)
        url, hook = call.callback_url, calls.first.status_callback(call, "completed")
        forger = TwilioVoiceSimulator(auth_token="another token")

        for target, forged in (
            (url, forger.status_callback(call, "completed")),
            (url, Webhook(hook.body, hook.content_type)),
            (url, Webhook(hook.body.replace(b"completed", b"busy"), hook.content_type, hook.headers)),
            (url, calls.first.status_callback(other, "completed")),
            (url + "?a=b", hook),
            (url[:-1] + ("A" if url[-1] != "A" else "B"), hook),
            (url.replace("/first/", "/second/"), hook),
            (other.callback_url, hook),
        ):
            reply = await calls.post(forged, target)
            assert (reply.status_code, reply.json()["code"]) == (401, "key_invalid"), target

        assert await record_of(calls.service, calls.verification_id) == before
        assert (await calls.post(hook, url)).status_code == 200


async def test_no_route_for_voice(make_service: ServiceFactory) -> None:
    """Providers of calls serve no SMS: a request for one has no route."""
    async with called(make_service) as calls:
        reply = await calls.service.request("0812-1010-0057")
        assert (reply.status_code, reply.json()["code"]) == (503, "no_route")


async def test_call_without_a_response(make_service: ServiceFactory) -> None:
    """The gateway calls and never answers the request: after the hold, the next one says the same code."""
    async with TwilioVoiceSimulator() as first, TwilioVoiceSimulator() as second:
        first.script(Hang())
        tables = {"first": twilio_table(first, timeout_seconds=0.5), "second": twilio_table(second)}
        service = await make_service({"providers": tables, "routes": [VOICE], "delivery": {"hold_seconds": 15}})
        verification_id = (await service.request(channel="voice")).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
        assert second.messages == []
        await service.advance(15)
        expected = {"first": ("unknown", "ambiguous"), "second": ("sent", None)}
        await wait_for_deliveries(service, verification_id, expected)
        assert first.messages[0].text == second.messages[0].text
        assert (await service.verify(verification_id, spoken_code(second.messages[0].text))).status_code == 200


async def test_an_sms_follows_a_busy_line(make_service: ServiceFactory) -> None:
    """With `auto`, a call that is not answered is followed by an SMS with the same code: one verification."""
    async with TwilioVoiceSimulator() as calls, EimsSimulator(ACCOUNT, PASSWORD) as texts:
        config = merged(route_through(texts), {"server": {"public_url": PUBLIC_URL}})
        config["providers"]["calls"] = twilio_table(calls)
        config["routes"].append({"channel": "voice", "providers": ["calls"]})
        config["tenants"] = {"demo": {"policy": {"channels": ["voice", "sms"]}}}
        service = await make_service(config)
        verification_id = (await service.request(channel="auto")).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"calls": ("sent", None)})
        [call] = calls.messages
        hook = calls.status_callback(call, "busy")
        headers = {"Content-Type": hook.content_type, **hook.headers}
        target = call.callback_url.removeprefix(PUBLIC_URL)
        assert (await service.caller(None).post(target, content=hook.body, headers=headers)).status_code == 200

        code = code_in((await wait_for_message(texts)).text)
        assert code == spoken_code(call.text)
        expected = {"calls": ("undelivered", "transient"), "first": ("sent", None)}
        await wait_for_deliveries(service, verification_id, expected)
        assert (await service.verify(verification_id, code)).status_code == 200
