"""The events of a verification, from the request to its end, as a receiver gets them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from tests.config_parts import SLOW_HASHING
from tests.delivery.gateway_config import ACCOUNT, PASSWORD, route_through
from tests.message_waits import code_in, wait_for_message
from tests.running_service import E164, NUMBER, RunningService, ServiceFactory
from tests.store_contents import dump_store
from tests.webhooks.webhook_configs import demo_webhooks, event_keys
from tests.webhooks.webhook_receiver import WebhookReceiver

POLL_ROUNDS_SECONDS = 1.3
GRACE_SECONDS = 6
REFUSED = Respond(SimulatorResponse(b"", 401))


async def exhaust(service: RunningService, attempts: int = 5) -> str:
    """Send wrong codes for a new verification; return its id."""
    verification_id, code = await service.request_code()
    for _ in range(attempts):
        assert (await service.verify(verification_id, service.wrong_code(code))).status_code == 422
    return verification_id


async def test_requested_sent_verified(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Each step has one event, with the id, the masked number and the reference, and never the code."""
    service = await make_service(demo_webhooks(main=receiver.config()))

    verification_id, code = await service.request_code(reference="order-17")
    requested, sent = await receiver.wait_for("verification.requested", "message.sent")
    assert (await service.verify(verification_id, code)).status_code == 200
    [verified] = await receiver.wait_for("verification.verified")

    common = {
        "verification_id": verification_id,
        "tenant": "demo",
        "phone": "+62812*****055",
        "reference": "order-17",
        "purpose": "login",
        "channel": "sms",
        "country": "ID",
    }
    assert requested.data == common | {"status": "pending"}
    assert sent.data == common | {"status": "sent", "provider": "inbox"}
    assert verified.data == common | {"status": "verified"}
    at = datetime.fromisoformat(json.loads(verified.body)["timestamp"])
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert len({event.id for event in receiver.events}) == len(receiver.events) == 3
    assert not [event for event in receiver.events if code.encode() in event.body or E164.encode() in event.body]
    assert {event.headers["content-type"] for event in receiver.events} == {"application/json"}


async def test_the_whole_number_only_if_it_is_configured(
    make_service: ServiceFactory, receiver: WebhookReceiver
) -> None:
    """`full_recipient` shows it to that endpoint, an e-mail address as well."""
    config = demo_webhooks(main=receiver.config(full_recipient=True, events=["verification.requested"]))
    service = await make_service(config)
    await service.request()
    await service.request(email="ani@example.com")
    await receiver.wait_for_calls(2)

    shown = {event.data.get("phone") or event.data.get("email") for event in receiver.events}
    assert shown == {E164, "ani@example.com"}


async def test_only_the_types_that_are_wanted(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Each endpoint gets the types of its own list; what nobody wants is not stored."""
    async with WebhookReceiver() as other:
        endpoints = {
            "main": receiver.config(events=["verification.verified"]),
            "other": other.config(events=["message.sent", "verification.verified"]),
        }
        service = await make_service(demo_webhooks(**endpoints))
        verification_id, code = await service.request_code()
        await other.wait_for("message.sent")
        await service.verify(verification_id, code)
        await other.wait_for("verification.verified")
        await receiver.wait_for("verification.verified")

        assert receiver.types == ["verification.verified"]
        assert other.types == ["message.sent", "verification.verified"]
        assert receiver.events[0].id == other.events[1].id


async def test_wrong_codes_exhaust_and_lock(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """The last wrong code exhausts the verification, and one that reaches the limit of the number locks it."""
    config = demo_webhooks(main=receiver.config(events=["verification.exhausted", "recipient.locked"]))
    config["limits"]["recipient_failures"] = ["5/86400"]
    service = await make_service(config)
    verification_id = await exhaust(service)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert receiver.events == [], "the last code may still turn out to be correct"
    await service.advance(GRACE_SECONDS)
    exhausted, locked = await receiver.wait_for("verification.exhausted", "recipient.locked")

    assert (exhausted.data["verification_id"], exhausted.data["status"]) == (verification_id, "exhausted")
    assert (locked.data["phone"], locked.data["status"], locked.data["reason"]) == (
        "+62812*****055",
        "locked",
        "failures",
    )
    assert len(receiver.events) == 2


async def test_a_correct_last_code_exhausts_nothing(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """It uses the last attempt and reaches the limit of the number, and is a success: only that has an event."""
    types = ["verification.exhausted", "recipient.locked", "verification.verified"]
    config = demo_webhooks(main=receiver.config(events=types))
    config["limits"]["recipient_failures"] = ["5/86400"]
    service = await make_service(config)
    verification_id, code = await service.request_code()
    for _ in range(4):
        await service.verify(verification_id, service.wrong_code(code))
    assert (await service.verify(verification_id, code)).status_code == 200
    await receiver.wait_for("verification.verified")
    await service.advance(GRACE_SECONDS)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert receiver.types == ["verification.verified"]


async def test_failover_delivered_and_undelivered(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """A failure with another provider left says `retrying`; then the message is sent."""
    async with EimsSimulator(ACCOUNT, PASSWORD) as first, EimsSimulator(ACCOUNT, PASSWORD) as second:
        first.script(REFUSED)
        types = ["message.sent", "message.failed"]
        config = demo_webhooks(main=receiver.config(events=types)) | route_through(first, second)
        service = await make_service(config)
        verification_id = (await service.request()).json()["verification_id"]
        failed, sent = await receiver.wait_for("message.failed", "message.sent")
        code = code_in((await wait_for_message(second)).text)
        assert (await service.verify(verification_id, code)).status_code == 200

    assert failed.data["provider"] == "first"
    assert (failed.data["status"], failed.data["error"], failed.data["retrying"]) == ("failed", "config_error", True)
    assert (sent.data["provider"], sent.data["status"]) == ("second", "sent")
    assert len(receiver.events) == 2


@pytest.mark.parametrize(("status", "error"), [(-1, "config_error"), (-28, "throttled")])
async def test_a_message_that_fails_for_good(
    make_service: ServiceFactory, receiver: WebhookReceiver, status: int, error: str
) -> None:
    """When no provider is left, the last failure says that nothing follows."""
    async with EimsSimulator(ACCOUNT, PASSWORD) as gateway:
        gateway.always = refusal(status)
        config = demo_webhooks(main=receiver.config(events=["message.failed"])) | route_through(gateway)
        service = await make_service(config)
        await service.request()
        [failed] = await receiver.wait_for("message.failed")

    assert (failed.data["status"], failed.data["error"], failed.data["retrying"]) == ("failed", error, False)


async def test_a_message_that_expires_in_the_outbox(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """The gateway is down until the code has expired: the message has failed, and nothing follows."""
    async with EimsSimulator(ACCOUNT, PASSWORD) as gateway:
        config = demo_webhooks(main=receiver.config(events=["message.failed"])) | route_through(gateway)
    service = await make_service(config)
    await service.request()
    await asyncio.sleep(0.3)
    await service.advance(400)
    [failed] = await receiver.wait_for("message.failed")

    assert (failed.data["status"], failed.data["retrying"]) == ("failed", False)
    assert len(receiver.events) == 1


async def test_a_decoy_has_no_events(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Whoever sees the events cannot tell which accounts do not exist, not even by wrong codes for them."""
    service = await make_service(demo_webhooks(main=receiver.config()))
    response = await service.request(decoy=True)
    assert response.status_code == 202
    for _ in range(5):
        await service.verify(response.json()["verification_id"], "000000")
    await service.advance(GRACE_SECONDS)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert receiver.events == []
    assert await event_keys(service) == set()


async def test_nothing_is_stored_without_a_webhook(service: RunningService) -> None:
    """A tenant without an endpoint has no keys of events, whatever happens to its verifications."""
    verification_id, code = await service.request_code()
    await service.verify(verification_id, service.wrong_code(code))
    await service.verify(verification_id, code)

    assert await event_keys(service) == set()


async def test_nothing_readable_at_rest(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Waiting and delivered events hold neither the number, nor the reference, nor a secret; every key has a TTL."""
    await receiver.close()
    service = await make_service(demo_webhooks(main=receiver.config()))
    _, code = await service.request_code(reference="order-of-ani")
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    await receiver.listen()
    await service.advance(6)
    await receiver.wait_for("verification.requested", "message.sent")
    await asyncio.sleep(0.1)

    keys = await event_keys(service)
    assert len(keys) > 3
    dump = b"\n".join(name + value for name, value in (await dump_store(service.store)).items())
    for secret in (E164[1:], NUMBER.replace("-", ""), "81210100055", "order-of-ani", code, receiver.secret[6:]):
        assert secret.encode() not in dump
    for name in keys:
        assert 0 < await service.store.pttl(name) <= 604_806_000, name  # the clock was moved by six seconds


@pytest.mark.parametrize("key", ["idempotent-1"])
async def test_a_repeated_request_has_one_event(
    make_service: ServiceFactory, receiver: WebhookReceiver, key: str
) -> None:
    """The answer of an idempotency key is replayed, and starts nothing."""
    service = await make_service(demo_webhooks(main=receiver.config(events=["verification.requested"])))
    body = {"phone": NUMBER, "purpose": "login"}
    for _ in range(3):
        response = await service.client.post("/v1/request-code", json=body, headers={"Idempotency-Key": key})
        assert response.status_code == 202
    await receiver.wait_for_calls(1)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert len(receiver.events) == 1


async def test_parallel_correct_codes_have_one_success(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Of five parallel correct codes one verifies: there is one event."""
    config = demo_webhooks(main=receiver.config(events=["verification.verified"])) | SLOW_HASHING
    service = await make_service(config)
    verification_id, code = await service.request_code()
    responses = await asyncio.gather(*(service.verify(verification_id, code) for _ in range(5)))
    assert [response.status_code for response in responses].count(200) == 1
    await receiver.wait_for_calls(1)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert receiver.types == ["verification.verified"]
