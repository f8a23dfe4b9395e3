"""A message that is asked for again under its own id is one text, so it is charged once."""

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
"""Millionths a text."""


def config(gateway: SendcloudSimulator, **keys: Any) -> dict[str, Any]:
    """Configure SendCloud with a price, and keys of one's own."""
    aurora = {"type": "sendcloud", "base_url": gateway.url, "sms_user": "acme_sms", "sms_key": "k", "mode": "text"}
    return {
        "providers": {"aurora": aurora | {"timeout_seconds": 0.5, "price": {"default": "0.05"}} | keys},
        "routes": [{"providers": ["aurora"]}],
    }


async def today(service: RunningService) -> tuple[int, int]:
    """Read what was handed over today: messages, and money in millionths."""
    topology = connect(f"unix://{service.store.connection_pool.connection_kwargs['path']}")
    try:
        state = (await provider_statuses(topology, {"aurora": ProviderPolicy()}))["aurora"].state
        return state.messages, state.spend
    finally:
        await topology.close()


async def test_silence_twice_and_then_an_answer_is_one_text(make_service: ServiceFactory) -> None:
    """Three calls, one text, one price."""
    async with SendcloudSimulator("acme_sms", "k") as gateway:
        gateway.script(Hang(), Hang())
        service = await make_service(config(gateway))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"aurora": ("sent", None)}, seconds=8)

        assert (len(gateway.requests), len(gateway.messages)) == (3, 1)
        assert await today(service) == (1, PRICE)


async def test_a_refused_repetition_does_not_give_the_doubtful_text_back(make_service: ServiceFactory) -> None:
    """The first call may have sent: its price stays, whatever the repetition is told."""
    async with SendcloudSimulator("acme_sms", "k") as gateway:
        gateway.script(Hang(), refusal(50000))
        service = await make_service(config(gateway))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_until(lambda: len(gateway.requests) == 2)
        await wait_for_deliveries(service, verification_id, {"aurora": ("unknown", "ambiguous")})

        assert await today(service) == (1, PRICE)


async def test_a_repetition_passes_a_cap_that_its_text_has_reached(make_service: ServiceFactory) -> None:
    """At one message a day the first call took the last place; asking again for it needs none."""
    async with SendcloudSimulator("acme_sms", "k") as gateway:
        gateway.script(Hang())
        service = await make_service(config(gateway, daily_message_cap=1))
        verification_id = (await service.request()).json()["verification_id"]

        await wait_for_deliveries(service, verification_id, {"aurora": ("sent", None)}, seconds=5)
        assert (len(gateway.messages), await today(service)) == (1, (1, PRICE))
        refused = await service.request("0812-1010-0056")
        assert (refused.status_code, refused.json()["code"]) == (429, "spend_cap_reached")
