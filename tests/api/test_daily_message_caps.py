"""Daily message caps: a provider at its cap is skipped, and if all are, requests wait for the next day."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.api.api_requests import VERIFICATIONS
from tests.config_parts import demo_policy
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

DAY = 86_400


async def sent(service: RunningService, phone: str) -> str:
    """Request a message, wait until it is sent, and return its provider."""
    verification_id, _ = await service.request_code(phone)
    async with asyncio.timeout(5):
        while True:
            [delivery] = (await service.client.get(VERIFICATIONS + verification_id)).json()["deliveries"]
            if delivery["status"] == "sent":
                return str(delivery["provider"])
            await asyncio.sleep(0.005)


async def refused_until_tomorrow(service: RunningService, phone: str) -> int:
    """Assert that a request is refused until the next UTC day by the store's clock."""
    now = (await service.store.time())[0] + int(await service.store.get("test:clock") or 0) // 1000
    wait: int = assert_problem(await service.request(phone), 429, "spend_cap_reached")["retry_after"]
    assert (now + wait + 1) % DAY <= 2  # the second may end between the two
    assert 1 <= wait <= DAY
    return wait


async def test_a_provider_at_its_cap_is_skipped(make_service: ServiceFactory) -> None:
    """The next provider of the route sends; if all are at their cap, the caller waits for the next day."""
    providers: dict[str, Any] = {
        "one": {"type": "inbox", "daily_message_cap": 1},
        "two": {"type": "inbox", "daily_message_cap": 1},
    }
    service = await make_service({"providers": providers, "routes": [{"providers": ["one", "two"]}]})
    assert [await sent(service, f"0812-1010-00{n}") for n in (11, 12)] == ["one", "two"]
    wait = await refused_until_tomorrow(service, "0812-1010-0013")
    assert len(await service.store.keys("otp:*v:*")) == 2
    await service.advance(wait)
    assert await sent(service, "0812-1010-0013") == "one"


async def test_a_tenant_at_its_cap_is_refused(make_service: ServiceFactory) -> None:
    """A cap of the tenant refuses requests as those of providers do, decoys included."""
    service = await make_service(demo_policy(daily_message_cap=1))
    assert await sent(service, "0812-1010-0011") == "inbox"
    await refused_until_tomorrow(service, "0812-1010-0012")
    assert_problem(await service.request("0812-1010-0013", decoy=True), 429, "spend_cap_reached")


async def test_a_country_at_its_cap_is_refused(make_service: ServiceFactory) -> None:
    """A cap of a country refuses its numbers only; the default cap counts each other country by itself."""
    caps = {"ID": {"daily_message_cap": 2}, "default": {"daily_message_cap": 1}}
    service = await make_service({"countries": caps, "tenants": {"demo": {"countries": ["*"]}}})
    for phone in ("0812-1010-0011", "0812-1010-0012", "+6581234567", "+60123456789"):
        assert await sent(service, phone) == "inbox"
    for phone in ("0812-1010-0013", "+6581234568", "+60123456788"):
        wait = await refused_until_tomorrow(service, phone)
    assert_problem(await service.request("0812-1010-0013", decoy=True), 429, "spend_cap_reached")
    assert len(service.inbox.messages()) == 4
    await service.advance(wait)
    assert await sent(service, "0812-1010-0013") == "inbox"
