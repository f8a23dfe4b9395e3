"""Delivery to one endpoint: retries by the schedule, answers that disable or delay, signatures, and replicas."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from tests.config_parts import shared_keys
from tests.crypto.test_standard_webhooks import ED25519_PUBLIC, ED25519_SECRET
from tests.running_service import ServiceFactory
from tests.waits import wait_until
from tests.webhooks.webhook_configs import demo_webhooks, event_keys
from tests.webhooks.webhook_receiver import SECOND_SECRET, SECRET, WebhookReceiver

REQUESTED = ["verification.requested"]
POLL_ROUNDS_SECONDS = 1.3
SCHEDULE = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


async def test_the_schedule_with_a_moved_clock(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Ten attempts with one id and one body, none before nine tenths of its delay; then the event is given up."""
    service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED)))
    receiver.answer = (500, {})
    await service.request_code()
    await receiver.wait_for_calls(1)
    for done, seconds in enumerate(SCHEDULE, start=1):
        await asyncio.sleep(0.1)  # until the attempt is recorded
        await service.advance(seconds * 0.9 - 1.4)  # less what passes by itself
        await asyncio.sleep(0.6)
        assert len(receiver.events) == done, "an attempt came before its time"
        await service.advance(seconds * 0.2 + 1)
        await receiver.wait_for_calls(done + 1)

    await asyncio.sleep(0.1)
    await service.advance(90_000)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(receiver.events) == 10
    assert len({(event.id, event.body) for event in receiver.events}) == 1
    page = (await service.client.get("/metrics")).text
    assert 'otp_webhook_events_total{endpoint="demo.main",result="given_up"}' in page


async def test_an_accepted_event_is_not_sent_again(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """The second attempt is accepted; however much time passes, no third one follows."""
    service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED)))
    receiver.answers = [(503, {})]
    await service.request_code()
    await receiver.wait_for_calls(1)
    await asyncio.sleep(0.1)
    await service.advance(6)
    await receiver.wait_for_calls(2)
    await service.advance(100_000)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert [event.id for event in receiver.events] == [receiver.events[0].id] * 2


async def test_an_event_without_a_body_is_given_up_by_the_schedule(
    make_service: ServiceFactory, receiver: WebhookReceiver
) -> None:
    """A stored event with an impossible time is not tried at each lease, and the events after it are delivered."""
    service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED)))
    receiver.answers = [(500, {})]
    await service.request_code()
    await receiver.wait_for_calls(1)
    await asyncio.sleep(0.1)
    [name] = [key for key in await event_keys(service) if b":evt_" in key]
    event = msgspec.msgpack.decode(await service.store.get(name))
    event[2] = 10**18
    await service.store.set(name, msgspec.msgpack.encode(event), keepttl=True)
    await service.advance(6)
    await service.request_code("0812-1010-0066")
    await receiver.wait_for_calls(2)
    await service.advance(60)  # more than a lease
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    page = (await service.client.get("/metrics")).text
    assert 'otp_webhook_attempts_total{endpoint="demo.main",result="not_built"} 1.0' in page
    assert len(receiver.events) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure(make_service: ServiceFactory, receiver: WebhookReceiver, status: int) -> None:
    """It is not followed, wherever it leads; the event is tried again at its own URL."""
    async with WebhookReceiver() as other:
        receiver.answers = [(status, {"Location": other.url})]
        service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED)))
        await service.request_code()
        await receiver.wait_for_calls(1)
        await asyncio.sleep(0.1)
        await service.advance(6)
        await receiver.wait_for_calls(2)

        assert other.events == []


async def test_retry_after_is_kept(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """After `Retry-After: 60` nothing is sent for a minute, not even another event."""
    receiver.answers = [(429, {"Retry-After": "60"})]
    service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED)))
    await service.request_code()
    await receiver.wait_for_calls(1)
    await asyncio.sleep(0.1)
    await service.request_code("0812-1010-0066")
    await service.advance(57)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(receiver.events) == 1

    await service.advance(4)
    await receiver.wait_for_calls(3)
    assert len({event.id for event in receiver.events}) == 2


async def test_a_private_target_is_refused(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """A public name that resolves to this machine gets nothing, and the metrics say why."""
    endpoint = receiver.config(events=REQUESTED, url=receiver.url.replace("http://127.0.0.1", "https://localhost"))
    service = await make_service(demo_webhooks(main=endpoint | {"allow_private_targets": False}))
    await service.request_code()
    expected = 'otp_webhook_attempts_total{endpoint="demo.main",result="target_refused"} '
    async with asyncio.timeout(5):
        while expected not in (await service.client.get("/metrics")).text:
            await asyncio.sleep(0.05)

    assert receiver.events == []


async def test_several_keys_while_rotating(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Each call has a signature of each: receivers with the old, with the new and with the public key accept it."""
    endpoint = receiver.config(events=REQUESTED, secret=[SECRET, SECOND_SECRET, ED25519_SECRET])
    service = await make_service(demo_webhooks(main=endpoint))
    await service.request_code()
    [event] = await receiver.wait_for_calls(1)

    for secret in (SECRET, SECOND_SECRET):
        Webhook(secret).verify(event.body, dict(event.headers))
    entries = event.headers["webhook-signature"].split(" ")
    assert [entry.partition(",")[0] for entry in entries] == ["v1", "v1", "v1a"]
    signed = f"{event.id}.{event.headers['webhook-timestamp']}.".encode() + event.body
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(ED25519_PUBLIC.removeprefix("whpk_")))
    public.verify(base64.b64decode(entries[2].removeprefix("v1a,")), signed)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(event.body, dict(event.headers))


async def test_a_replay_or_a_change_is_detected(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """The reference library refuses the call with an older time, another id, time or body."""
    service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED)))
    await service.request_code()
    [event] = await receiver.wait_for_calls(1)
    headers, sent_at = dict(event.headers), int(event.headers["webhook-timestamp"])

    for changed in (
        {"webhook-timestamp": str(sent_at - 301)},
        {"webhook-timestamp": str(sent_at + 1)},
        {"webhook-id": "evt_other"},
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(event.body, headers | changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(event.body.replace(b"pending", b"expired"), headers)


async def test_two_replicas_deliver_once(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Both look for the same events; each is delivered by one of them."""
    config = demo_webhooks(main=receiver.config(events=["verification.requested", "message.sent"])) | shared_keys()
    services = [await make_service(config) for _ in range(2)]
    receiver.delay_seconds = 0.02
    for suffix in range(10, 30):
        assert (await services[suffix % 2].request(f"0812-1010-00{suffix}")).status_code == 202
    await receiver.wait_for_calls(40, seconds=20)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert set(Counter(event.id for event in receiver.events).values()) == {1}
    assert len(receiver.events) == 40


async def test_attempts_at_the_same_time_are_limited(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """No more than `max_concurrent` attempts of a process are in progress, and all events come."""
    service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED, max_concurrent=3)))
    receiver.delay_seconds = 0.05
    for suffix in range(10, 30):
        await service.request(f"0812-1010-00{suffix}")
    await receiver.wait_for_calls(20, seconds=20)
    await wait_until(lambda: receiver.at_once == 0)

    assert receiver.most_at_once == 3


async def test_one_attempt_at_a_time_after_failures(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """A backlog does not hit an endpoint that fails all at once: one attempt after each pause, until it accepts one."""
    service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED, max_concurrent=8)))
    receiver.answer = (500, {})
    for suffix in range(10, 30):
        await service.request(f"0812-1010-00{suffix}")
    await receiver.wait_for_calls(3)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    before = len(receiver.events)
    assert before < 20, "the endpoint is paused"
    for done in range(1, 3):
        await service.advance(301)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert len(receiver.events) == before + done

    receiver.answer = (204, {})
    await service.advance(8000)
    await receiver.wait_for_calls(before + 2 + 20, seconds=20)
    assert len({event.id for event in receiver.events[before + 2 :]}) == 20
