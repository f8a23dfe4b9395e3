"""A slow or dead endpoint delays neither another endpoint nor a message, and does not grow without bound."""

from __future__ import annotations

import asyncio
import time

from tests.running_service import ServiceFactory
from tests.waits import wait_until
from tests.webhooks.webhook_configs import demo_webhooks
from tests.webhooks.webhook_receiver import WebhookReceiver

REQUESTED = ["verification.requested"]
EVENTS = 40


async def test_a_hanging_endpoint_delays_nothing(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """40 events hang at one endpoint: the other one has all of them, and every message goes out."""
    async with WebhookReceiver() as slow:
        slow.delay_seconds = 60
        endpoints = {"main": receiver.config(events=REQUESTED), "slow": slow.config(events=REQUESTED)}
        service = await make_service(demo_webhooks(**endpoints))
        started = time.monotonic()
        for suffix in range(10, 10 + EVENTS):
            await service.request_code(f"0812-1010-00{suffix}")
        await receiver.wait_for_calls(EVENTS, seconds=20)

        assert time.monotonic() - started < 15, "the endpoint's timeout"
        assert slow.most_at_once == slow.at_once == 8
        assert len({event.id for event in receiver.events}) == EVENTS


async def test_a_dead_endpoint_delays_nothing(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """The port of one endpoint is closed: the other one has its events at once, and no message waits."""
    async with WebhookReceiver() as dead:
        config = demo_webhooks(main=receiver.config(events=REQUESTED), dead=dead.config(events=REQUESTED))
    service = await make_service(config)
    for suffix in range(10, 20):
        await service.request_code(f"0812-1010-00{suffix}")
        await receiver.wait_for_calls(suffix - 9, seconds=3)

    page = (await service.client.get("/metrics")).text
    assert 'otp_webhook_attempts_total{endpoint="demo.dead",result="connect_failed"}' in page


async def test_a_stopping_service_does_not_wait_for_a_hanging_endpoint(
    make_service: ServiceFactory, receiver: WebhookReceiver
) -> None:
    """It waits five seconds for attempts in progress; the event stays in the store."""
    service = await make_service(demo_webhooks(main=receiver.config(events=REQUESTED, timeout_seconds=30)))
    receiver.delay_seconds = 60
    await service.request_code()
    await receiver.wait_for_calls(1)
    started = time.monotonic()
    task = asyncio.create_task(make_service.close())
    await wait_until(task.done, seconds=15)

    assert 4 < time.monotonic() - started < 12
