"""During the rollout of a config, a replica releases messages that it cannot serve to replicas that can."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest

from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.store.keys import partition_of_id
from tests.config_parts import api_key, tenant
from tests.delivery.gateway_config import route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, read_deliveries, wait_for_deliveries, wait_for_message
from tests.running_service import NUMBER, RunningService, ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until

OLD_KEY, NEW_KEY = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
OLD_KEYS: dict[str, Any] = {"keys": {"k1": OLD_KEY, "current": "k1", "index": "k1"}}
NEW_KEYS: dict[str, Any] = {"keys": {"k1": OLD_KEY, "k2": NEW_KEY, "current": "k2", "index": "k1"}}


async def request_and_stop(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], *, key: str = "dev-key"
) -> tuple[RunningService, httpx.AsyncClient, str]:
    """Request a code from a replica that stops at once, so that its message stays in the outbox."""
    with monkeypatch.context() as stopped:
        stopped.setattr(OutboxWorker, "start", lambda _self: None)
        stopped.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        service = await make_service(config)
        client = service.caller(key)
        response = await client.post("/v1/request-code", json={"phone": NUMBER, "purpose": "login"})
        assert response.status_code == 202, response.text
    return service, client, response.json()["verification_id"]


async def delivery_statuses(client: httpx.AsyncClient, verification_id: str) -> list[tuple[str, str | None]]:
    """Return status and error of each delivery."""
    response = await client.get(f"/v1/verifications/{verification_id}")
    return [(one["status"], one["error"]) for one in response.json()["deliveries"]]


async def start_without_support(
    make_service: ServiceFactory, first: RunningService, config: dict[str, Any]
) -> RunningService:
    """Start a replica that cannot serve what is due, and let it poll a few times."""
    service = await make_service(config)
    await first.advance(6)
    await asyncio.sleep(2 * POLL_ROUNDS_SECONDS)
    return service


async def test_message_with_unknown_key(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays queued without an error, and a replica with the key sends it."""
    first, client, verification_id = await request_and_stop(
        make_service, monkeypatch, route_through(gateway) | NEW_KEYS
    )
    await start_without_support(make_service, first, route_through(gateway) | OLD_KEYS)
    assert (await delivery_statuses(client, verification_id), gateway.requests) == ([("queued", None)], [])

    await make_service(route_through(gateway) | NEW_KEYS)

    code = code_in((await wait_for_message(gateway)).text)
    assert (await first.verify(verification_id, code)).status_code == 200
    assert len(gateway.requests) == 1


async def test_message_of_unknown_tenant(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica without the tenant releases the message to replicas that have it."""
    acme = {"tenants": {"acme": tenant(api_key("acme", "request", "read", "verify"))}}
    config = route_through(gateway) | OLD_KEYS
    first, client, verification_id = await request_and_stop(make_service, monkeypatch, config | acme, key="acme")
    await start_without_support(make_service, first, config)
    assert (await delivery_statuses(client, verification_id), gateway.requests) == ([("queued", None)], [])

    await make_service(config | acme)

    await wait_for_message(gateway)
    assert len(gateway.requests) == 1


async def test_message_without_route(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica without a route for the number releases the message to replicas that have one."""
    config = route_through(gateway, second) | OLD_KEYS
    first, client, verification_id = await request_and_stop(make_service, monkeypatch, config)
    await start_without_support(make_service, first, config | {"routes": [{"country": "SG", "providers": ["second"]}]})
    assert await delivery_statuses(client, verification_id) == [("queued", None)]

    await make_service(config)

    await wait_for_message(gateway)
    assert second.requests == []


async def test_report_of_unknown_provider(
    server: EmbeddedServer, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """A report of a provider that this replica does not have is still queried by replicas that have it."""
    config = route_through(gateway, second) | OLD_KEYS
    config["providers"]["first"]["report_poll_seconds"] = 5
    only_second = route_through(second) | OLD_KEYS
    only_second |= {"providers": {"second": only_second["providers"]["first"]}, "routes": [{"providers": ["second"]}]}
    factory, others = ServiceFactory(server.url), ServiceFactory(server.url)
    await factory.empty_store()
    first = await factory(config)
    verification_id = (await first.request()).json()["verification_id"]
    await wait_for_deliveries(first, verification_id, {"first": ("sent", None)})
    await factory.close()
    partition = partition_of_id(verification_id)
    assert partition
    try:
        service = await others(only_second)
        await service.advance(6)
        await asyncio.sleep(2 * POLL_ROUNDS_SECONDS)

        assert await service.store.zcard(partition.outbox) == 1
        assert await has_sealed_message(service, verification_id)
        assert len(gateway.messages) == 1
        assert second.requests == []

        asked = len(gateway.requests)
        await others(config)
        await wait_until(lambda: len(gateway.requests) > asked)
    finally:
        await others.close()


async def test_message_that_no_replica_can_send_fails_at_expiry(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tenant was removed: nothing is sent, and the delivery fails when the code expires."""
    acme = {"tenants": {"acme": tenant(api_key("acme", "request", "read"))}}
    config = route_through(gateway) | OLD_KEYS
    first, client, verification_id = await request_and_stop(make_service, monkeypatch, config | acme, key="acme")
    await start_without_support(make_service, first, config)
    await first.advance(300)

    async with asyncio.timeout(4):
        while await delivery_statuses(client, verification_id) != [("failed", "transient")]:
            await asyncio.sleep(0.03)
    assert gateway.requests == []
    assert not await has_sealed_message(first, verification_id)


async def test_released_messages_do_not_block_others(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty messages with an unknown key are due; the messages of this replica are sent nevertheless."""
    numbers = [f"0812-1010-{n:04}" for n in range(40)]
    with monkeypatch.context() as stopped:
        stopped.setattr(OutboxWorker, "start", lambda _self: None)
        stopped.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        stopped.setattr("otp_service.crypto.keyring.Keyring.partition_for", lambda *_: 7)
        first = await make_service(route_through(gateway) | NEW_KEYS)
        for number in numbers:
            assert (await first.request(number)).status_code == 202
    await first.advance(6)
    monkeypatch.setattr("otp_service.crypto.keyring.Keyring.partition_for", lambda *_: 7)
    await gateway.close()
    service = await make_service(route_through(gateway) | OLD_KEYS)
    verification_id = (await service.request("0812-1010-9999")).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    await gateway.listen()
    await service.advance(10)

    await wait_for_message(gateway)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert {message.to for message in gateway.messages} == {"6281210109999"}
    assert len(await read_deliveries(service, verification_id)) == 1
