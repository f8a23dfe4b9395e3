"""While a config is rolled out a replica leaves the messages that it cannot work on to those that can."""

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

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
BEFORE: dict[str, Any] = {"keys": {"k1": OLD, "current": "k1", "index": "k1"}}
AFTER: dict[str, Any] = {"keys": {"k1": OLD, "k2": NEW, "current": "k2", "index": "k1"}}


async def left_behind(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], *, key: str = "dev-key"
) -> tuple[RunningService, httpx.AsyncClient, str]:
    """Have a message accepted by a replica that dies at once; then nobody works on it but those who come."""
    with monkeypatch.context() as dead:
        dead.setattr(OutboxWorker, "start", lambda _self: None)
        dead.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        service = await make_service(config)
        client = service.caller(key)
        response = await client.post("/v1/request-code", json={"phone": NUMBER, "purpose": "login"})
        assert response.status_code == 202, response.text
    return service, client, response.json()["verification_id"]


async def shown(client: httpx.AsyncClient, verification_id: str) -> list[tuple[str, str | None]]:
    """Show status and error of each delivery."""
    response = await client.get(f"/v1/verifications/{verification_id}")
    return [(one["status"], one["error"]) for one in response.json()["deliveries"]]


async def leaves(make_service: ServiceFactory, first: RunningService, config: dict[str, Any]) -> RunningService:
    """Start a replica that cannot work on what is due, and let it look some times."""
    service = await make_service(config)
    await first.advance(6)
    await asyncio.sleep(2 * POLL_ROUNDS_SECONDS)
    return service


async def test_a_message_under_an_unknown_key(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays queued without an error, and is sent by the next replica that has the key."""
    first, client, verification_id = await left_behind(make_service, monkeypatch, route_through(gateway) | AFTER)
    await leaves(make_service, first, route_through(gateway) | BEFORE)
    assert (await shown(client, verification_id), gateway.requests) == ([("queued", None)], [])

    await make_service(route_through(gateway) | AFTER)

    code = code_in((await wait_for_message(gateway)).text)
    assert (await first.verify(verification_id, code)).status_code == 200
    assert len(gateway.requests) == 1


async def test_a_message_of_an_unknown_tenant(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that does not have the tenant yet, or any more, leaves it to those that do."""
    acme = {"tenants": {"acme": tenant(api_key("acme", "request", "read", "verify"))}}
    config = route_through(gateway) | BEFORE
    first, client, verification_id = await left_behind(make_service, monkeypatch, config | acme, key="acme")
    await leaves(make_service, first, config)
    assert (await shown(client, verification_id), gateway.requests) == ([("queued", None)], [])

    await make_service(config | acme)

    await wait_for_message(gateway)
    assert len(gateway.requests) == 1


async def test_a_message_without_a_route_here(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica whose routes do not reach the number yet leaves it to those whose do."""
    config = route_through(gateway, second) | BEFORE
    first, client, verification_id = await left_behind(make_service, monkeypatch, config)
    await leaves(make_service, first, config | {"routes": [{"country": "SG", "providers": ["second"]}]})
    assert await shown(client, verification_id) == [("queued", None)]

    await make_service(config)

    await wait_for_message(gateway)
    assert second.requests == []


async def test_a_report_of_a_provider_that_is_unknown_here(
    server: EmbeddedServer, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """What was sent through a provider that this replica does not have is still asked for by those that have it."""
    config = route_through(gateway, second) | BEFORE
    config["providers"]["first"]["report_poll_seconds"] = 5
    fewer = route_through(second) | BEFORE
    fewer |= {"providers": {"second": fewer["providers"]["first"]}, "routes": [{"providers": ["second"]}]}
    factory, others = ServiceFactory(server.url), ServiceFactory(server.url)
    await factory.empty_store()
    first = await factory(config)
    verification_id = (await first.request()).json()["verification_id"]
    await wait_for_deliveries(first, verification_id, {"first": ("sent", None)})
    await factory.close()
    partition = partition_of_id(verification_id)
    assert partition
    try:
        service = await others(fewer)
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


async def test_what_nobody_can_carry_fails_when_the_code_expires(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tenant is gone for good: nothing is sent, it does not wait for ever, and it is told as a failure."""
    acme = {"tenants": {"acme": tenant(api_key("acme", "request", "read"))}}
    config = route_through(gateway) | BEFORE
    first, client, verification_id = await left_behind(make_service, monkeypatch, config | acme, key="acme")
    await leaves(make_service, first, config)
    await first.advance(300)

    async with asyncio.timeout(4):
        while await shown(client, verification_id) != [("failed", "transient")]:
            await asyncio.sleep(0.03)
    assert gateway.requests == []
    assert not await has_sealed_message(first, verification_id)


async def test_messages_that_are_left_hold_up_nothing(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty messages under an unknown key are due: what this replica accepts and what it retries goes out."""
    numbers = [f"0812-1010-{n:04}" for n in range(40)]
    with monkeypatch.context() as dead:
        dead.setattr(OutboxWorker, "start", lambda _self: None)
        dead.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        dead.setattr("otp_service.crypto.keyring.Keyring.partition_for", lambda *_: 7)
        first = await make_service(route_through(gateway) | AFTER)
        for number in numbers:
            assert (await first.request(number)).status_code == 202
    await first.advance(6)
    monkeypatch.setattr("otp_service.crypto.keyring.Keyring.partition_for", lambda *_: 7)
    await gateway.close()
    service = await make_service(route_through(gateway) | BEFORE)
    verification_id = (await service.request("0812-1010-9999")).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    await gateway.listen()
    await service.advance(10)

    await wait_for_message(gateway)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert {message.to for message in gateway.messages} == {"6281210109999"}
    assert len(await read_deliveries(service, verification_id)) == 1
