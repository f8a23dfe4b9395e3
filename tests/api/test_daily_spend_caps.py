"""Daily spend caps: each request is checked with what its message will cost at each provider."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.store.keys import ProviderKeys, country_usage_key, tenant_usage_key
from tests.api.test_daily_message_caps import refused_until_tomorrow, sent
from tests.config_parts import demo_policy
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

LONG = "{brand} {code} " + "x" * 150
"""Two segments with a code of ten digits, and with one of six."""
NEARLY_TWO_SEGMENTS = "{code}" + "x" * 152
"""One segment with a code of up to eight digits, two with one of ten."""
NO_OTHER_LIMITS: dict[str, Any] = {"limits": {"client_ip": [], "recipient": [], "prefix": []}}


def inbox(price: str, home: str | None = None, **more: Any) -> dict[str, Any]:
    """Configure a provider that keeps its messages, with a price per segment; `home` is the price for Indonesia."""
    return {"type": "inbox", "price": {"ID": home or price, "default": price}, "max_concurrent": 64, **more}


def routed_to(*names: str, **providers: dict[str, Any]) -> dict[str, Any]:
    """Configure one route to these providers, in this order."""
    return merged({"providers": providers, "routes": [{"providers": list(names)}]}, NO_OTHER_LIMITS)


async def test_a_message_that_would_exceed_the_cap_is_refused(make_service: ServiceFactory) -> None:
    """With a price of 0.6 and a cap of 1 the second message gets 429 until tomorrow, a decoy too."""
    service = await make_service(routed_to("one", one=inbox("0.6", daily_spend_cap="1")))
    assert await sent(service, "0812-1010-0011") == "one"
    wait = await refused_until_tomorrow(service, "0812-1010-0012")
    assert_problem(await service.request("0812-1010-0013", decoy=True), 429, "spend_cap_reached")
    assert len(service.inbox.messages()) == 1
    assert len(await service.store.keys("otp:*v:*")) == 1
    await service.advance(wait)
    assert await sent(service, "0812-1010-0012") == "one"


@pytest.mark.parametrize("owner", ["provider", "tenant"])
async def test_segments_count(make_service: ServiceFactory, owner: str) -> None:
    """If one segment is left of the cap, a message of two is refused, and one of one is sent."""
    cap = {"daily_spend_cap": "1.5"}
    config = routed_to("one", one=inbox("1", **(cap if owner == "provider" else {})))
    templates = {"en": {"registration": LONG}, "id": {"default": "{brand} {code}", "login": "{brand} é {code}"}}
    tenant: dict[str, Any] = {"templates": templates, "policy": cap if owner == "tenant" else {}}
    service = await make_service(merged(config, {"tenants": {"demo": tenant}}))

    assert_problem(await service.request("0812-1010-0011", "registration", locale="en-GB"), 429, "spend_cap_reached")
    assert (await service.request("0812-1010-0012", "registration", locale="id")).status_code == 202


@pytest.mark.parametrize(("length", "status"), [(8, 202), (10, 429)])
async def test_the_length_of_the_code_counts(make_service: ServiceFactory, length: int, status: int) -> None:
    """A template that needs one segment with eight digits needs two with ten."""
    config = merged(routed_to("one", one=inbox("1", daily_spend_cap="1")), demo_policy(code_length=length))
    service = await make_service(
        merged(config, {"tenants": {"demo": {"templates": {"id": {"default": NEARLY_TWO_SEGMENTS}}}}})
    )
    assert (await service.request("0812-1010-0011")).status_code == status


async def test_the_price_of_the_country_counts(make_service: ServiceFactory) -> None:
    """A cap that allows a message to one country refuses one to a more expensive country."""
    service = await make_service(routed_to("one", one=inbox("9", home="0.5", daily_spend_cap="1")))
    assert_problem(await service.request("+6581234567"), 429, "spend_cap_reached")
    assert await sent(service, "0812-1010-0011") == "one"


async def test_a_provider_too_expensive_for_its_cap_is_skipped(make_service: ServiceFactory) -> None:
    """The next provider of the route delivers the message."""
    service = await make_service(
        routed_to("expensive", "cheap", expensive=inbox("3", daily_spend_cap="2"), cheap=inbox("1"))
    )
    assert await sent(service, "0812-1010-0011") == "cheap"


async def test_a_provider_too_expensive_for_the_tenant_is_skipped(make_service: ServiceFactory) -> None:
    """A cheaper provider delivers while the tenant's cap allows it; then requests get 429."""
    config = routed_to("expensive", "cheap", expensive=inbox("3"), cheap=inbox("1"))
    service = await make_service(merged(config, demo_policy(daily_spend_cap="5.5")))
    used = [await sent(service, f"0812-1010-001{n}") for n in range(3)]
    assert used == ["expensive", "cheap", "cheap"]
    await refused_until_tomorrow(service, "0812-1010-0014")
    assert len(service.inbox.messages()) == 3


async def test_a_cap_takes_precedence_over_an_open_circuit(make_service: ServiceFactory) -> None:
    """If every provider is at its cap the request gets 429, also if the circuit of one is open."""
    cap = {"daily_spend_cap": "0.5"}
    service = await make_service(routed_to("one", "two", one=inbox("1", **cap), two=inbox("1", **cap)))
    now = (await service.store.time())[0] * 1000
    await service.store.hset(ProviderKeys("one").circuit, mapping={"open": now + 60_000, "why": "funds", "trips": 1})
    await refused_until_tomorrow(service, "0812-1010-0011")


async def test_a_cap_that_only_alerts_refuses_no_request(make_service: ServiceFactory) -> None:
    """Without `block_on_limit` a message is sent whatever it costs."""
    service = await make_service(routed_to("one", one=inbox("3", daily_spend_cap="2", block_on_limit=False)))
    assert await sent(service, "0812-1010-0011") == "one"
    assert await sent(service, "0812-1010-0012") == "one"


@pytest.mark.usefixtures("patient_store")
@pytest.mark.parametrize("owner", ["provider", "tenant", "country"])
async def test_a_cap_is_exact_under_parallel_requests(make_service: ServiceFactory, owner: str) -> None:
    """Of 200 parallel requests with a cap for 100 messages exactly 100 are sent and charged."""
    cap = {"daily_spend_cap": "200.5"}
    config = routed_to("one", one=inbox("1", **(cap if owner == "provider" else {})))
    tenant = {"templates": {"id": {"default": LONG}}, "policy": cap if owner == "tenant" else {}}
    countries = {"ID": cap} if owner == "country" else {}
    service = await make_service(merged(config, {"tenants": {"demo": tenant}, "countries": countries}))

    responses = await asyncio.gather(*(service.request(f"+62812{n:07d}") for n in range(200)))

    codes = Counter(response.json().get("code", "202") for response in responses)
    assert set(codes) <= {"202", "spend_cap_reached"}
    await wait_for_messages(service, 100)
    keys = {
        "provider": ProviderKeys("one").usage,
        "tenant": tenant_usage_key("demo"),
        "country": country_usage_key("ID"),
    }
    assert await service.store.hget(keys[owner], "spend") == b"200000000"
    assert_problem(await service.request("+628129999999"), 429, "spend_cap_reached")


async def wait_for_messages(service: RunningService, count: int) -> None:
    """Wait until exactly this many messages have been sent."""
    async with asyncio.timeout(20):
        while len(service.inbox.messages()) < count:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    assert len(service.inbox.messages()) == count


@pytest.mark.parametrize("damage", ["text", "another type"])
async def test_an_unreadable_daily_total(make_service: ServiceFactory, damage: str) -> None:
    """An unreadable total counts as a reached cap until tomorrow; without a cap it has no effect."""
    service = await make_service(routed_to("one", one=inbox("1", daily_spend_cap="100")))
    await corrupt_daily_total(service, ProviderKeys("one").usage, damage)
    await refused_until_tomorrow(service, "0812-1010-0011")
    assert await service.store.pttl(ProviderKeys("one").usage) > 0

    free = await make_service(routed_to("two", two=inbox("1")))
    await corrupt_daily_total(free, ProviderKeys("two").usage, damage)
    assert await sent(free, "0812-1010-0012") == "two"


async def corrupt_daily_total(service: RunningService, key: str, damage: str) -> None:
    """Damage the record of a day's total."""
    if damage == "text":
        day = (await service.store.time())[0] // 86_400
        await service.store.hset(key, mapping={"day": day, "messages": "many", "spend": "much"})
        await service.store.expire(key, 1000)
    else:
        await service.store.set(key, "x")
