"""A repeated call with the same message id sends one message, so it is charged once."""

from __future__ import annotations

from typing import Any

from otp_service.domain.provider_policy import ProviderPolicy
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator, refusal
from otp_service.store.provider_status import provider_statuses
from otp_service.store.topology import connect
from tests.message_waits import wait_for_deliveries
from tests.running_service import RunningService, ServiceFactory
from tests.waits import wait_until

PRICE = 50_000
"""Per message, in millionths."""


def config_for(gateway: SendcloudSimulator, **keys: Any) -> dict[str, Any]:
    """Configure SendCloud with a price, and additional settings."""
    provider = {"type": "sendcloud", "base_url": gateway.url, "sms_user": "acme_sms", "sms_key": "k", "mode": "text"}
    return {
        "providers": {"aurora": provider | {"timeout_seconds": 0.5, "price": {"default": "0.05"}} | keys},
        "routes": [{"providers": ["aurora"]}],
    }


async def messages_and_spend_today(service: RunningService) -> tuple[int, int]:
    """Return today's messages, and today's spend in millionths."""
    topology = connect(f"unix://{service.store.connection_pool.connection_kwargs['path']}")
    try:
        state = (await provider_statuses(topology, {"aurora": ProviderPolicy()}))["aurora"].state
        return state.messages, state.spend
    finally:
        await topology.close()


async def test_repeated_calls_are_charged_once(make_service: ServiceFactory) -> None:
    """Three calls, one message, one price."""
    async with SendcloudSimulator("acme_sms", "k") as gateway:
        gateway.script(Hang(), Hang())
        service = await make_service(config_for(gateway))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"aurora": ("sent", None)}, seconds=8)

        assert (len(gateway.requests), len(gateway.messages)) == (3, 1)
        assert await messages_and_spend_today(service) == (1, PRICE)


async def test_rejected_repeat_is_not_refunded(make_service: ServiceFactory) -> None:
    """The first call may have sent the message, so its price stays charged."""
    async with SendcloudSimulator("acme_sms", "k") as gateway:
        gateway.script(Hang(), refusal(50000))
        service = await make_service(config_for(gateway))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_until(lambda: len(gateway.requests) == 2)
        await wait_for_deliveries(service, verification_id, {"aurora": ("unknown", "ambiguous")})

        assert await messages_and_spend_today(service) == (1, PRICE)


async def test_repeat_is_allowed_at_the_cap(make_service: ServiceFactory) -> None:
    """With a cap of one message per day the first call uses it up, and its repeat is not counted again."""
    async with SendcloudSimulator("acme_sms", "k") as gateway:
        gateway.script(Hang())
        service = await make_service(config_for(gateway, daily_message_cap=1))
        verification_id = (await service.request()).json()["verification_id"]

        await wait_for_deliveries(service, verification_id, {"aurora": ("sent", None)}, seconds=5)
        assert (len(gateway.messages), await messages_and_spend_today(service)) == (1, (1, PRICE))
        refused = await service.request("0812-1010-0056")
        assert (refused.status_code, refused.json()["code"]) == (429, "spend_cap_reached")
