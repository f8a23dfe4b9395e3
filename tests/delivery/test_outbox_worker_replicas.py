"""Several replicas with one store, store outages, and graceful shutdown."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.domain.results import CallStarted
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Slow
from otp_service.store.outbox import RedisOutbox
from otp_service.store.replies import unavailable
from tests.config_parts import shared_keys
from tests.delivery.gateway_config import route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import NUMBER, RunningService, ServiceFactory
from tests.waits import wait_until

MESSAGES = 30


async def request_codes(service: RunningService, count: int) -> dict[str, str]:
    """Request codes for `count` numbers; return the verification ids by the digits of the number."""
    numbers = [f"{NUMBER[:-2]}{suffix}" for suffix in range(10, 10 + count)]
    responses = await asyncio.gather(*(service.request(number) for number in numbers))
    return {
        "62" + number.replace("-", "")[1:]: response.json()["verification_id"]
        for number, response in zip(numbers, responses, strict=True)
    }


async def test_three_replicas_send_each_message_once(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """All replicas find the same messages due when the gateway is back; each message is sent by one of them."""
    services = [await make_service(route_through(gateway) | shared_keys()) for _ in range(3)]
    await gateway.close()
    ids = await request_codes(services[0], MESSAGES)
    await asyncio.sleep(0.2)
    gateway.always = Slow(0.05)
    await gateway.listen()
    await services[0].advance(30)  # beyond every pause, and beyond the circuit that the failures have opened
    await wait_for_message(gateway, MESSAGES)
    await services[0].advance(30)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert Counter(message.to for message in gateway.messages) == dict.fromkeys(ids, 1)
    for message in gateway.messages[:3]:
        assert (await services[1].verify(ids[message.to], code_in(message.text))).status_code == 200


async def test_another_replica_delivers_messages_of_a_stopped_one(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every replica delivers every message."""
    with monkeypatch.context() as stopped:
        stopped.setattr(OutboxWorker, "start", lambda _self: None)
        stopped.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        first = await make_service(route_through(gateway) | shared_keys())
        ids = await request_codes(first, 3)
    await make_service(route_through(gateway) | shared_keys())
    await first.advance(6)
    await wait_for_message(gateway, 3)

    assert {message.to for message in gateway.messages} == set(ids)


async def test_result_is_recorded_after_store_outage(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """A store outage at the moment of the response does not cause a second message."""
    gateway.script(Slow(0.3))
    service = await make_service(route_through(gateway, second, hold_seconds=1))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_until(lambda: len(gateway.requests) == 1)
    await service.store.execute_command("CLIENT", "PAUSE", 1700, "ALL")
    await asyncio.sleep(1.7)

    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    await service.advance(20)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert second.requests == []


async def test_lost_reply_to_begin_delays_the_message(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`begin` is repeated when its reply is lost; nothing was sent to the gateway yet, so the message is sent."""
    begin, lost = RedisOutbox.begin, 2

    async def begin_with_lost_reply(outbox: RedisOutbox, *args: Any, **kwargs: Any) -> CallStarted | None:
        nonlocal lost
        started = await begin(outbox, *args, **kwargs)
        if lost:
            lost -= 1
            raise unavailable()
        return started

    monkeypatch.setattr(RedisOutbox, "begin", begin_with_lost_reply)
    service = await make_service(route_through(gateway, max_texts=1))
    verification_id = (await service.request()).json()["verification_id"]

    await wait_for_message(gateway, seconds=2.0)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert len(gateway.requests) == 1


async def test_shutdown_waits_for_the_result(server: EmbeddedServer, gateway: EimsSimulator) -> None:
    """The results of current calls are recorded before the process ends."""
    factory, successor = ServiceFactory(server.url), ServiceFactory(server.url)
    await factory.empty_store()
    try:
        gateway.script(Slow(0.3))
        service = await factory(route_through(gateway) | shared_keys())
        verification_id = (await service.request()).json()["verification_id"]
        await wait_until(lambda: len(gateway.requests) == 1)
        await factory.close()

        later = await successor(route_through(gateway) | shared_keys())
        await wait_for_deliveries(later, verification_id, {"first": ("sent", None)}, seconds=0.3)
        assert len(gateway.requests) == 1
    finally:
        await successor.close()
