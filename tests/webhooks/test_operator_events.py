"""Events that concern the whole service: circuits and caps. Only endpoints of the operator get them."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.domain.events import EventTarget, EventType
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.store.topology import connect
from otp_service.store.webhook_queue import RedisOperatorEvents
from tests.config_parts import demo_policy, shared_keys
from tests.delivery.gateway_config import ACCOUNT, PASSWORD, route_through
from tests.running_service import ServiceFactory
from tests.webhooks.webhook_receiver import WebhookReceiver


async def test_a_circuit_opens_and_closes(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """A refused password opens the provider's circuit; the probe that succeeds closes it. Tenants get neither."""
    async with EimsSimulator(ACCOUNT, PASSWORD) as gateway:
        gateway.script(Respond(SimulatorResponse(b"", 401)))
        config = route_through(gateway) | {"webhooks": {"ops": receiver.config()}}
        config["tenants"] = {"demo": {"webhooks": {"main": receiver.config(events=["message.sent"])}}}
        service = await make_service(config)
        await service.request()
        [opened] = await receiver.wait_for("circuit.opened")
        assert opened.data == {"provider": "first", "reason": "config_error"}

        await service.advance(31)
        assert (await service.request("0812-1010-0066")).status_code == 202
        [closed] = await receiver.wait_for("circuit.closed")

    assert closed.data == {"provider": "first"}
    assert receiver.types.count("circuit.opened") == receiver.types.count("circuit.closed") == 1


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"providers": {"inbox": {"type": "inbox", "daily_message_cap": 2}}}, ("provider", "inbox", 2)),
        (demo_policy(daily_message_cap=2), ("tenant", "demo", 2)),
        ({"countries": {"ID": {"daily_message_cap": 2}}}, ("country", "ID", 2)),
        ({"countries": {"default": {"daily_message_cap": 2}}}, ("country", "ID", 2)),
    ],
    ids=["provider", "tenant", "country", "each country"],
)
async def test_a_cap_is_near(
    make_service: ServiceFactory, receiver: WebhookReceiver, config: dict[str, Any], expected: tuple[str, str, int]
) -> None:
    """The message that crosses the alert threshold (0.8 of 2) has an event, from whichever account it is charged to."""
    service = await make_service(config | {"webhooks": {"ops": receiver.config()}})

    for suffix in range(2):
        await service.request_code(f"0812-1010-006{suffix}")
    [near] = await receiver.wait_for("cap.near")

    kind, name, messages = expected
    assert near.data == {
        "cap": kind,
        "name": name,
        "messages": messages,
        "spend": "0.000000",
        "message_cap": 2,
    }
    assert receiver.types == ["cap.near"]


async def test_an_event_of_another_part_is_stored_once(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """What no script emits comes in through the port, is delivered, and is not repeated under the same key."""
    await make_service({"webhooks": {"ops": receiver.config(events=["guard.triggered"])}})
    topology = connect(make_service.url)
    targets = [EventTarget("ops", frozenset({EventType.GUARD_TRIGGERED}))]
    events = RedisOperatorEvents(topology, targets)

    for _ in range(2):
        await events.emit(EventType.GUARD_TRIGGERED, "ID-81210-1", {"country": "ID", "rule": "burst", "numbers": 40})
    await events.emit(EventType.CAP_NEAR, "unwanted", {"cap": "tenant"})
    [triggered] = await receiver.wait_for("guard.triggered")
    await topology.close()

    assert triggered.data == {"country": "ID", "rule": "burst", "numbers": 40}
    assert triggered.id == "evt_g-ID-81210-1"
    assert receiver.types == ["guard.triggered"]


async def test_the_guard_has_one_event_a_minute(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Decisions with the same rules for the same area are one event, whoever makes them; it names no number."""
    config: dict[str, Any] = {"webhooks": {"ops": receiver.config(events=["guard.triggered"])}}
    config |= {"guard": {"mode": "deny", "sequence": "2/3600"}, "limits": {"client_ip": [], "prefix": []}}
    services = [await make_service(config | shared_keys()) for _ in range(2)]

    statuses = [(await services[last % 2].request(f"0812-1010-000{last}")).status_code for last in range(8)]
    assert statuses.count(429) > 1
    [triggered] = await receiver.wait_for("guard.triggered")

    assert triggered.data["tenant"] == "demo"
    assert (triggered.data["country"], triggered.data["mode"], triggered.data["denied"]) == ("ID", "deny", True)
    assert "sequence" in triggered.data["rules"]
    assert len({event.id for event in receiver.events}) == len(receiver.events) <= 2, "a minute may end meanwhile"
    assert b"81210100" not in b"".join(event.body for event in receiver.events)
