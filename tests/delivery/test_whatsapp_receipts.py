"""WhatsApp through the whole service: a code over HTTP, its webhooks, and the check of the webhook's URL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.whatsapp import SEND_PATH, WhatsappSimulator, refusal, sign
from tests.config_parts import demo_policy
from tests.delivery.gateway_config import route_through
from tests.delivery.gateway_pairs import gateway_pair
from tests.delivery.gateway_types import GATEWAY_TYPES
from tests.delivery.test_delivery_receipts import record_of
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import dump_store
from tests.waits import wait_until

PATH = "/v1/receipts/first"
APP_SECRET = "whatsapp-app-secret"


@contextlib.asynccontextmanager
async def message_sent(
    make_service: ServiceFactory,
) -> AsyncIterator[tuple[RunningService, WhatsappSimulator, WhatsappSimulator, str]]:
    """Send a code through WhatsApp with another number behind it: the service, both gateways, the verification id."""
    async with gateway_pair("whatsapp") as both:
        service = await make_service(both.config(options={"verify_token": "vibe & coding"}))
        response = await service.request(channel="whatsapp")
        assert response.status_code == 202, response.text
        verification_id = response.json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        assert isinstance(both.first, WhatsappSimulator)
        yield service, both.first, both.second, verification_id


def webhook_of(gateway: WhatsappSimulator, status: str, error_code: int | None = None) -> Webhook:
    """Return the signed webhook with a status of the first message."""
    return gateway.status_webhook(gateway.status_of(gateway.messages[0], status, error_code))


async def post(service: RunningService, hook: Webhook, path: str = PATH, **headers: str) -> httpx.Response:
    """Deliver a webhook."""
    named = {"Content-Type": hook.content_type, **hook.headers, **headers}
    return await service.caller(None).post(path, content=hook.body, headers=named)


async def test_code_arrives_byte_for_byte_and_verifies(make_service: ServiceFactory) -> None:
    """The documented request with the code twice, and webhooks in any order set the final status once."""
    async with message_sent(make_service) as (service, first, second, verification_id):
        [request] = first.requests
        code = msgspec.json.decode(request.body)["template"]["components"][0]["parameters"][0]["text"]
        assert (request.method, request.path) == ("POST", SEND_PATH)
        assert request.body.decode() == (
            '{"messaging_product":"whatsapp","recipient_type":"individual","to":"6281210100055","type":"template",'
            '"template":{"name":"otp_code","language":{"code":"id"},"components":['
            f'{{"type":"body","parameters":[{{"type":"text","text":"{code}"}}]}},'
            f'{{"type":"button","sub_type":"url","index":"0","parameters":[{{"type":"text","text":"{code}"}}]}}]}},'
            f'"biz_opaque_callback_data":"{verification_id}"}}'
        )
        for status in ("read", "sent", "delivered", "read"):
            reply = await post(service, webhook_of(first, status))
            assert (reply.status_code, reply.json()) == (200, {})
        await post(service, webhook_of(first, "failed", 131026))

        await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})
        await service.advance(60)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert (await service.verify(verification_id, code)).status_code == 200
        assert second.requests == []


@pytest.mark.parametrize(("code", "error"), [(131026, "destination_unsupported"), (139000, "transient")])
async def test_undelivered_fails_over(make_service: ServiceFactory, code: int, error: str) -> None:
    """A recipient without WhatsApp is not rejected: the next provider sends the same code."""
    async with message_sent(make_service) as (service, first, second, verification_id):
        await post(service, webhook_of(first, "failed", code))
        await wait_until(lambda: len(second.messages) == 1)

        assert second.messages[0].code == code_in(first.messages[0].text)
        expected = {"first": ("undelivered", error), "second": ("sent", None)}
        await wait_for_deliveries(service, verification_id, expected)


async def test_only_authentic_webhooks_count(make_service: ServiceFactory) -> None:
    """A forged, a changed and an unsigned webhook, and another provider's get 401 and change nothing."""
    async with message_sent(make_service) as (service, first, _, verification_id):
        before = await record_of(service, verification_id)
        hook = webhook_of(first, "delivered")
        forger = WhatsappSimulator(app_secret="another secret")
        for forged in (
            forger.status_webhook(forger.status_of(first.messages[0], "delivered")),
            Webhook(hook.body, hook.content_type),
            Webhook(hook.body.replace(b"delivered", b"failed"), hook.content_type, hook.headers),
        ):
            reply = await post(service, forged)
            assert (reply.status_code, reply.json()["code"]) == (401, "key_invalid")
        assert (await post(service, hook, "/v1/receipts/third")).status_code == 401
        assert (await service.caller(None).get(PATH, headers=hook.headers)).status_code == 401
        assert (await post(service, hook, "/v1/receipts/second")).status_code == 200  # of the same app, not its message

        assert await record_of(service, verification_id) == before
        assert (await post(service, hook)).status_code == 200
        await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})


async def test_url_check_is_answered_as_text(make_service: ServiceFactory) -> None:
    """GET with our verify token gets the challenge, and nothing else; a wrong one 401."""
    async with message_sent(make_service) as (service, _, _, _):
        query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "vibe & coding"}
        reply = await service.caller(None).get(PATH, params=query)
        assert (reply.status_code, reply.content) == (200, b"1158201444")
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.headers["x-content-type-options"] == "nosniff"

        wrong = await service.caller(None).get(PATH, params=query | {"hub.verify_token": "other"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "key_invalid")
        other = await service.caller(None).get("/v1/receipts/second", params=query)
        assert other.status_code == 401  # it has no verify token


async def test_number_is_not_stored_in_the_id_of_the_message(make_service: ServiceFactory) -> None:
    """WhatsApp's id is base64 of the number: no part of it is in the store, before and after a webhook."""
    async with message_sent(make_service) as (service, first, _, _):
        wamid = first.messages[0].wamid.removeprefix("wamid.").encode()
        await post(service, webhook_of(first, "delivered"))
        stored = b"\n".join(part for pair in (await dump_store(service.store)).items() for part in pair)

        assert b"delivered" in stored
        assert not any(wamid[start : start + 8] in stored for start in range(0, 24, 4))


@pytest.mark.parametrize("reported", [False, True])
async def test_sms_follows_to_a_recipient_without_whatsapp(
    make_service: ServiceFactory, second: EimsSimulator, *, reported: bool
) -> None:
    """With `auto`, 131026 as a refusal or in a webhook is no rejection of the number: an SMS has the same code."""
    async with WhatsappSimulator() as gateway:
        config = route_through(second)
        config |= {
            "providers": {
                "first": {**GATEWAY_TYPES["whatsapp"].config, "base_url": gateway.url},
                "text": config["providers"]["first"],
            },
            "routes": [{"channel": "whatsapp", "providers": ["first"]}, {"providers": ["text"]}],
        }
        service = await make_service(merged(config, demo_policy(channels=["whatsapp", "sms"])))
        gateway.script(*([] if reported else [refusal(131026)]))
        verification_id = (await service.request(channel="auto")).json()["verification_id"]
        if reported:
            await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
            await post(service, webhook_of(gateway, "failed", 131026))
        message = await wait_for_message(second)

        status = "undelivered" if reported else "failed"
        expected = {"first": (status, "destination_unsupported"), "text": ("sent", None)}
        await wait_for_deliveries(service, verification_id, expected)
        [request] = gateway.requests
        code = GATEWAY_TYPES["whatsapp"].text_of(request)
        assert code_in(message.text) == code
        assert (await service.verify(verification_id, code)).status_code == 200


async def test_a_batch_of_statuses(make_service: ServiceFactory) -> None:
    """A signed call of up to 3 MiB is read; a larger one, and one above 64 KiB elsewhere, gets 413."""
    async with message_sent(make_service) as (service, first, _, verification_id):
        body = msgspec.json.decode(webhook_of(first, "delivered").body)
        for value in (change["value"] for entry in body["entry"] for change in entry["changes"]):
            others = [status | {"biz_opaque_callback_data": "x" * 23} for status in value["statuses"]]
            value["statuses"] = [*(others * 2000), *value["statuses"]]
        content = msgspec.json.encode(body)
        assert 64 * 1024 < len(content) < 3 * 1024 * 1024
        hook = Webhook(content, "application/json", {"X-Hub-Signature-256": sign(APP_SECRET, content)})
        assert (await post(service, hook)).status_code == 200
        await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})

        large = Webhook(b" " * (3 * 1024 * 1024 + 1), "application/json")
        assert (await post(service, large)).status_code == 413
        medium = Webhook(b" " * (64 * 1024 + 1), "application/json")
        assert (await post(service, medium, f"{PATH}/{verification_id}.1.x")).status_code == 413
        assert (await post(service, medium)).status_code == 401
