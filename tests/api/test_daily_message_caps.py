"""Caps of a day as a caller meets them: a provider that is used up is skipped, and when all are, until when."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.api.api_requests import VERIFICATIONS
from tests.config_parts import demo_policy
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

DAY = 86_400


async def sent(service: RunningService, phone: str) -> str:
    """Have a text sent and handed over: the provider that took it."""
    verification_id, _ = await service.request_code(phone)
    async with asyncio.timeout(5):
        while True:
            [delivery] = (await service.client.get(VERIFICATIONS + verification_id)).json()["deliveries"]
            if delivery["status"] == "sent":
                return str(delivery["provider"])
            await asyncio.sleep(0.005)


async def refused_until_tomorrow(service: RunningService, phone: str) -> int:
    """Hold a request to be refused until the next day of UTC begins, by the store's clock."""
    now = (await service.store.time())[0] + int(await service.store.get("test:clock") or 0) // 1000
    wait: int = assert_problem(await service.request(phone), 429, "spend_cap_reached")["retry_after"]
    assert 0 <= (now + wait) % DAY <= 1
    assert 1 <= wait <= DAY
    return wait


async def test_a_provider_at_its_cap_is_skipped(make_service: ServiceFactory) -> None:
    """The next of the route takes over; when all are used up the caller waits for the next day, and then is served."""
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


async def test_a_tenant_at_its_cap_is_told(make_service: ServiceFactory) -> None:
    """A cap of the tenant's own refuses like those of providers; a decoy is told the same."""
    service = await make_service(demo_policy(daily_message_cap=1))
    assert await sent(service, "0812-1010-0011") == "inbox"
    await refused_until_tomorrow(service, "0812-1010-0012")
    assert_problem(await service.request("0812-1010-0013", decoy=True), 429, "spend_cap_reached")
