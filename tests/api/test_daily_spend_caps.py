"""Caps on money as a caller meets them: judged at once, with what this very message will cost at each provider."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.store.keys import ProviderKeys
from tests.api.test_daily_message_caps import refused_until_tomorrow, sent
from tests.config_parts import demo_policy
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

LONG = "{brand} {code} " + "x" * 150
"""Two segments with a code of ten digits, and with one of six."""
EDGE = "{code}" + "x" * 152
"""One segment with a code of up to eight digits, two with one of ten."""
ROOMY: dict[str, Any] = {"limits": {"client_ip": [], "recipient": [], "prefix": []}}


def inbox(price: str, home: str | None = None, **more: Any) -> dict[str, Any]:
    """Configure a provider that keeps its messages, at a price for each segment; `home`: what Indonesia costs."""
    return {"type": "inbox", "price": {"ID": home or price, "default": price}, "max_concurrent": 64, **more}


def through(*names: str, **providers: dict[str, Any]) -> dict[str, Any]:
    """Route everything to providers, in this order."""
    return merged({"providers": providers, "routes": [{"providers": list(names)}]}, ROOMY)


async def test_a_message_that_would_pass_the_cap_is_refused_at_once(make_service: ServiceFactory) -> None:
    """At 0.6 a cap of 1 has room for one: the second is 429 until tomorrow, a decoy too, and nothing is begun."""
    service = await make_service(through("one", one=inbox("0.6", daily_spend_cap="1")))
    assert await sent(service, "0812-1010-0011") == "one"
    wait = await refused_until_tomorrow(service, "0812-1010-0012")
    assert_problem(await service.request("0812-1010-0013", decoy=True), 429, "spend_cap_reached")
    assert len(service.inbox.messages()) == 1
    assert len(await service.store.keys("otp:*v:*")) == 1
    await service.advance(wait)
    assert await sent(service, "0812-1010-0012") == "one"


@pytest.mark.parametrize("owner", ["provider", "tenant"])
async def test_segments_count(make_service: ServiceFactory, owner: str) -> None:
    """With room for one segment, a text of two is refused by its purpose and locale, and one of one is served."""
    cap = {"daily_spend_cap": "1.5"}
    config = through("one", one=inbox("1", **(cap if owner == "provider" else {})))
    templates = {"en": {"registration": LONG}, "id": {"default": "{brand} {code}", "login": "{brand} é {code}"}}
    tenant: dict[str, Any] = {"templates": templates, "policy": cap if owner == "tenant" else {}}
    service = await make_service(merged(config, {"tenants": {"demo": tenant}}))

    assert_problem(await service.request("0812-1010-0011", "registration", locale="en-GB"), 429, "spend_cap_reached")
    assert (await service.request("0812-1010-0012", "registration", locale="id")).status_code == 202


@pytest.mark.parametrize(("length", "status"), [(8, 202), (10, 429)])
async def test_the_length_of_the_code_counts(make_service: ServiceFactory, length: int, status: int) -> None:
    """A text that is one segment with eight digits is two with ten."""
    config = merged(through("one", one=inbox("1", daily_spend_cap="1")), demo_policy(code_length=length))
    service = await make_service(merged(config, {"tenants": {"demo": {"templates": {"id": {"default": EDGE}}}}}))
    assert (await service.request("0812-1010-0011")).status_code == status


async def test_the_price_of_the_country_counts(make_service: ServiceFactory) -> None:
    """A cap that has room for a text to one country has none for a dearer one."""
    service = await make_service(through("one", one=inbox("9", home="0.5", daily_spend_cap="1")))
    assert_problem(await service.request("+6581234567"), 429, "spend_cap_reached")
    assert await sent(service, "0812-1010-0011") == "one"


async def test_a_provider_that_is_too_dear_for_its_cap_is_skipped(make_service: ServiceFactory) -> None:
    """The next of the route takes the message; it is delivered there."""
    service = await make_service(through("dear", "cheap", dear=inbox("3", daily_spend_cap="2"), cheap=inbox("1")))
    assert await sent(service, "0812-1010-0011") == "cheap"


async def test_a_provider_that_is_too_dear_for_the_tenant_is_skipped(make_service: ServiceFactory) -> None:
    """While the tenant's cap has room at a cheaper provider, that one delivers; then it is 429."""
    config = through("dear", "cheap", dear=inbox("3"), cheap=inbox("1"))
    service = await make_service(merged(config, demo_policy(daily_spend_cap="5.5")))
    took = [await sent(service, f"0812-1010-001{n}") for n in range(3)]
    assert took == ["dear", "cheap", "cheap"]
    await refused_until_tomorrow(service, "0812-1010-0014")
    assert len(service.inbox.messages()) == 3


async def test_at_a_cap_and_out_of_order_is_at_a_cap(make_service: ServiceFactory) -> None:
    """Every provider at its cap is 429 until tomorrow, also when the circuit of one is open beside that."""
    cap = {"daily_spend_cap": "0.5"}
    service = await make_service(through("one", "two", one=inbox("1", **cap), two=inbox("1", **cap)))
    now = (await service.store.time())[0] * 1000
    await service.store.hset(ProviderKeys("one").circuit, mapping={"open": now + 60_000, "why": "funds", "trips": 1})
    await refused_until_tomorrow(service, "0812-1010-0011")


async def test_a_cap_that_only_alerts_refuses_nobody(make_service: ServiceFactory) -> None:
    """Without `block_on_limit` a message is sent whatever it costs."""
    service = await make_service(through("one", one=inbox("3", daily_spend_cap="2", block_on_limit=False)))
    assert await sent(service, "0812-1010-0011") == "one"
    assert await sent(service, "0812-1010-0012") == "one"


@pytest.mark.parametrize("owner", ["provider", "tenant"])
async def test_a_cap_is_exact_under_parallel_requests(make_service: ServiceFactory, owner: str) -> None:
    """200 at once, room for 100 texts of two segments: exactly 100 are sent, exactly that is charged, then 429."""
    cap = {"daily_spend_cap": "200.5"}
    config = through("one", one=inbox("1", **(cap if owner == "provider" else {})))
    tenant = {"templates": {"id": {"default": LONG}}, "policy": cap if owner == "tenant" else {}}
    service = await make_service(merged(config, {"tenants": {"demo": tenant}}))

    responses = await asyncio.gather(*(service.request(f"+62812{n:07d}") for n in range(200)))

    codes = Counter(response.json().get("code", "202") for response in responses)
    assert set(codes) <= {"202", "spend_cap_reached"}
    await texts(service, 100)
    key = ProviderKeys("one").usage if owner == "provider" else "otp:t:demo:d"
    assert await service.store.hget(key, "spend") == b"200000000"
    assert_problem(await service.request("+628129999999"), 429, "spend_cap_reached")


async def texts(service: RunningService, count: int) -> None:
    """Wait until just so many texts have come."""
    async with asyncio.timeout(20):
        while len(service.inbox.messages()) < count:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    assert len(service.inbox.messages()) == count


@pytest.mark.parametrize("damage", ["text", "another type"])
async def test_a_day_that_cannot_be_read(make_service: ServiceFactory, damage: str) -> None:
    """Money that may have been spent is not spent again: capped until tomorrow; without a cap it stops nobody."""
    service = await make_service(through("one", one=inbox("1", daily_spend_cap="100")))
    await spoil(service, ProviderKeys("one").usage, damage)
    await refused_until_tomorrow(service, "0812-1010-0011")
    assert await service.store.pttl(ProviderKeys("one").usage) > 0

    free = await make_service(through("two", two=inbox("1")))
    await spoil(free, ProviderKeys("two").usage, damage)
    assert await sent(free, "0812-1010-0012") == "two"


async def spoil(service: RunningService, key: str, damage: str) -> None:
    """Damage a day's account."""
    if damage == "text":
        day = (await service.store.time())[0] // 86_400
        await service.store.hset(key, mapping={"day": day, "messages": "many", "spend": "much"})
        await service.store.expire(key, 1000)
    else:
        await service.store.set(key, "x")
