"""Twilio's status callbacks through the whole service: each moves the delivery, and only authentic ones do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator
from tests.delivery.gateway_config import route_through
from tests.delivery.test_delivery_receipts import PUBLIC_URL, record_of
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.waits import wait_until


def twilio_then_eims(gateway: TwilioSimulator, second: EimsSimulator, **account: Any) -> dict[str, Any]:
    """Configure Twilio before an EIMS gateway."""
    config = route_through(second)
    first = {"type": "twilio", "base_url": gateway.url, "account_sid": ACCOUNT_SID, "auth_token": "twilio-auth-token"}
    config["providers"] = {
        "first": {**first, "from": "Acme", "timeout_seconds": 0.5, "report_poll_seconds": 0, **account},
        "second": config["providers"]["first"],
    }
    return merged(config, {"server": {"public_url": PUBLIC_URL}, "routes": [{"providers": ["first", "second"]}]})


@contextlib.asynccontextmanager
async def message_sent(
    make_service: ServiceFactory, second: EimsSimulator
) -> AsyncIterator[tuple[RunningService, TwilioSimulator, str]]:
    """Send a code through Twilio with an EIMS gateway behind it: the service, the gateway, the verification id."""
    async with TwilioSimulator() as gateway:
        service = await make_service(twilio_then_eims(gateway, second))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        yield service, gateway, verification_id


async def post(service: RunningService, url: str, hook: Webhook, **headers: str) -> httpx.Response:
    """Deliver a webhook to the path of `url`."""
    named = {"Content-Type": hook.content_type, **hook.headers, **headers}
    return await service.caller(None).post(url.removeprefix(PUBLIC_URL), content=hook.body, headers=named)


async def test_delivered(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Callbacks in any order set the final status once, and the code verifies."""
    async with message_sent(make_service, second) as (service, gateway, verification_id):
        [message] = gateway.messages
        for status in ("delivered", "sent", "delivered", "undelivered"):
            reply = await post(service, message.callback_url, gateway.status_callback(message, status))
            assert (reply.status_code, reply.json()) == (200, {})

        await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})
        await service.advance(60)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert (await service.verify(verification_id, code_in(message.text))).status_code == 200
        assert second.requests == []


async def test_undelivered_fails_over(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """The reason is recorded, and the next provider sends the same code."""
    async with message_sent(make_service, second) as (service, gateway, verification_id):
        [message] = gateway.messages
        await post(service, message.callback_url, gateway.status_callback(message, "undelivered", 30007))

        assert code_in((await wait_for_message(second)).text) == code_in(message.text)
        expected = {"first": ("undelivered", "content_rejected"), "second": ("sent", None)}
        await wait_for_deliveries(service, verification_id, expected)


@pytest.mark.parametrize(("code", "error"), [(30005, "recipient_invalid"), (30450, "recipient_blocked")])
async def test_undelivered_recipient_is_final(
    make_service: ServiceFactory, second: EimsSimulator, code: int, error: str
) -> None:
    """An unknown number, and one that is blocked for suspected fraud, is sent through no other provider."""
    async with message_sent(make_service, second) as (service, gateway, verification_id):
        [message] = gateway.messages
        await post(service, message.callback_url, gateway.status_callback(message, "failed", code))

        await wait_for_deliveries(service, verification_id, {"first": ("undelivered", error)})
        await service.advance(60)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert second.requests == []


async def test_only_authentic_callbacks_count(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A forged signature, a wrong token, another URL, and the signature of another message get 401."""
    async with message_sent(make_service, second) as (service, gateway, verification_id):
        await service.request("0812-1010-0056")
        await wait_until(lambda: len(gateway.messages) == 2)
        message, other = gateway.messages
        before = await record_of(service, verification_id)
        forger = TwilioSimulator(auth_token="another token")
        hook, url = gateway.status_callback(message, "delivered"), message.callback_url
        others = gateway.status_callback(other, "delivered")

        for target, forged in (
            (url, forger.status_callback(message, "delivered")),
            (url, Webhook(hook.body, hook.content_type)),
            (url, Webhook(hook.body.replace(b"delivered", b"undelivered"), hook.content_type, hook.headers)),
            (url, others),
            (url + "?a=b", hook),
            (url[:-1] + ("A" if url[-1] != "A" else "B"), gateway.status_callback(message, "delivered", url=url)),
            (url.replace("/first/", "/second/"), hook),
            ("/v1/receipts/first", hook),
        ):
            reply = await post(service, target, forged)
            assert (reply.status_code, reply.json()["code"]) == (401, "key_invalid"), target

        assert await record_of(service, verification_id) == before
        assert (await post(service, url, hook)).status_code == 200
        await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})


async def test_callback_of_a_messaging_service(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A signed call to the URL without a token names no message of ours: it is accepted, and changes nothing."""
    async with message_sent(make_service, second) as (service, gateway, verification_id):
        url = f"{PUBLIC_URL}/v1/receipts/first"
        hook = gateway.status_callback(gateway.messages[0], "delivered", url=url)

        assert (await post(service, url, hook)).status_code == 200
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})


async def test_status_is_polled_without_a_callback(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """An API key without the auth token cannot verify callbacks, so none is requested and the status is queried."""
    api_key = {"api_key_sid": "SK1", "api_key_secret": "key secret"}
    async with TwilioSimulator(api_key=("SK1", "key secret")) as gateway:
        config = twilio_then_eims(gateway, second, **api_key, report_poll_seconds=30)
        del config["providers"]["first"]["auth_token"]
        service = await make_service(config)
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        [message] = gateway.messages
        assert message.callback_url == ""
        gateway.statuses[message.sid] = ("undelivered", 30003)

        await service.advance(31)

        expected = {"first": ("undelivered", "transient"), "second": ("sent", None)}
        await wait_for_deliveries(service, verification_id, expected)
