"""One gateway, plugin or burst of requests must not affect others. Each of these cases was a bug once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otp_service.providers.inbox import Inbox
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Hang, Slow
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.message_waits import wait_for_deliveries
from tests.running_service import ServiceFactory
from tests.waits import wait_until

BACKLOG = 300


async def test_failed_repeat_does_not_allow_a_third_message(
    make_service: ServiceFactory, second: EimsSimulator, make_gateway: GatewayFactory
) -> None:
    """A failed repeat of an ambiguous call does not allow a third message (`max_texts` 2)."""
    third = await make_gateway()
    async with SendcloudSimulator("acme_sms", "k") as first:
        first.always = second.always = Hang()
        config = route_through(second, second, third, hold_seconds=15)
        aurora: dict[str, Any] = {"type": "sendcloud", "base_url": first.url, "sms_user": "acme_sms", "sms_key": "k"}
        config["providers"]["first"] = aurora | {"mode": "text", "timeout_seconds": 0.5}
        service = await make_service(config)
        verification_id = (await service.request()).json()["verification_id"]
        unknown = ("unknown", "ambiguous")
        await wait_for_deliveries(service, verification_id, {"first": unknown})
        await first.close()
        await service.advance(8)
        await asyncio.sleep(0.3)
        assert second.requests == []
        await service.advance(8)
        await wait_for_deliveries(service, verification_id, {"first": unknown, "second": unknown})
        await service.advance(60)
        await asyncio.sleep(0.3)

        assert (len(first.messages), len(second.messages), third.requests) == (1, 1, [])


async def test_slow_gateway_does_not_delay_others(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Hundreds of messages wait for a slow gateway; a message for another gateway is sent at once."""
    gateway.always = Slow(3.0)
    config = route_through(gateway, second, timeout=5.0)
    config["routes"] = [{"country": "SG", "providers": ["second"]}, {"providers": ["first"]}]
    service = await make_service(config)
    await asyncio.gather(*(service.request(f"0812101{n:05d}") for n in range(BACKLOG)))

    assert (await service.request("+65 8123 4567")).status_code == 202
    await wait_until(lambda: len(second.requests) == 1, seconds=1.5)


async def test_hanging_provider_is_canceled(make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One second after its own timeout the call is canceled, and its outcome is ambiguous."""

    async def hang(_inbox: Inbox, _sending: object) -> None:
        await asyncio.sleep(40)

    monkeypatch.setattr(Inbox, "send", hang)
    service = await make_service()
    verification_id = (await service.request()).json()["verification_id"]

    await wait_for_deliveries(service, verification_id, {"inbox": ("unknown", "ambiguous")})


async def test_one_report_query_at_a_time(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """While a slow gateway has not answered a report query within its timeout, it is not queried again."""
    config = route_through(gateway, timeout=8.0)
    config["providers"]["first"]["report_poll_seconds"] = 20
    service = await make_service(config)
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    gateway.always = Hang()
    await service.advance(21)
    await wait_until(lambda: len(gateway.requests) == 2)
    await service.advance(6)
    await asyncio.sleep(0.3)

    assert len(gateway.requests) == 2
    gateway.always = None
    await gateway.close()
