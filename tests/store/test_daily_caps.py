"""Daily caps of providers, tenants and countries, exact whatever runs in parallel on several replicas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Caps, DeferReason, Deferred
from otp_service.store.keys import ProviderKeys, country_usage_key, tenant_usage_key
from otp_service.store.scripts import ScriptCall
from tests.store.replica_store import ReplicaFactory, Store
from tests.store.spend_sums import (
    DAY_MS,
    PRICE,
    Sums,
    all_today,
    ask,
    hand_over,
    history,
    limiter_of,
    message,
    permit_for,
    policy,
    provider_today,
    today_of,
)

REPLICAS, MESSAGES, CAP = 4, 200, 100
BY_MESSAGES, BY_SPEND = Caps(messages=CAP), Caps(spend=CAP * PRICE + PRICE - 1)
OTHER_CAPS = Caps(messages=1000)
"""Counted, and never reached."""


@pytest.mark.parametrize("caps", [BY_MESSAGES, BY_SPEND], ids=["messages", "spend"])
@pytest.mark.parametrize("owner", ["provider", "tenant", "country", "each other country"])
async def test_a_cap_is_exact(store: Store, make_replicas: ReplicaFactory, owner: str, caps: Caps) -> None:
    """Of 200 parallel messages at a cap of 100, exactly 100 are handed over and counted everywhere."""
    policies = {"gw": policy(caps if owner == "provider" else Caps())}
    tenants = {"acme": caps if owner == "tenant" else OTHER_CAPS}
    countries = {
        "country": {"ID": caps},
        "each other country": {"SG": Caps(messages=1), "default": caps},
    }.get(owner, {"ID": OTHER_CAPS})
    limiters = [limiter_of(one, policies, tenants, countries) for one in make_replicas(REPLICAS)]

    permits = await hand_over(store, limiters, [message() for _ in range(MESSAGES)], ["gw"])

    assert len(permits) == CAP
    assert await all_today(store) == (Sums(CAP, CAP * PRICE),) * 3
    assert await history(store) == [(0, "gw", "ID", "acme", "USD", CAP, CAP * PRICE)]


async def test_all_caps_together_are_exact(store: Store, make_replicas: ReplicaFactory) -> None:
    """A message that one cap refuses takes nothing from the others, and does not make them refuse another message."""
    policies = {name: policy(Caps(messages=70)) for name in ("gw", "second")}
    tenants, countries = {"acme": Caps(messages=100)}, {"ID": Caps(messages=60), "default": Caps(messages=60)}
    limiters = [limiter_of(one, policies, tenants, countries) for one in make_replicas(REPLICAS)]
    messages = [message("ID" if n % 2 else "SG") for n in range(MESSAGES)]

    permits = await hand_over(store, limiters, messages, ["gw", "second"])

    by_country = Counter(permit.country for permit in permits)
    by_provider = Counter(permit.provider for permit in permits)
    assert len(permits) == 100
    assert max(by_country.values()) <= 60
    assert by_provider == {"gw": 70, "second": 30}
    assert await today_of(store, tenant_usage_key("acme")) == Sums(100, 100 * PRICE)
    for country, count in by_country.items():
        assert await today_of(store, country_usage_key(country)) == Sums(count, count * PRICE)
    for provider, count in by_provider.items():
        assert await provider_today(store, provider) == Sums(count, count * PRICE)


async def test_messages_that_wait_are_not_charged(store: Store) -> None:
    """Messages in the queue of a slow provider do not use up its cap while they wait."""
    limiter = limiter_of(store, {"gw": policy(Caps(messages=2), max_per_second=1)}, {"acme": Caps(messages=2)})
    waiting = sorted(message() for _ in range(5))  # as messages that came at the same time wait
    await permit_for(limiter, "gw", message())
    for sent in waiting:
        deferred = await ask(limiter, "gw", sent)
        assert isinstance(deferred, Deferred)
        assert deferred.reason is DeferReason.WAIT
    await store.advance(1)
    await permit_for(limiter, "gw", waiting[0])
    assert await provider_today(store) == Sums(2, 2 * PRICE)
    assert await today_of(store, tenant_usage_key("acme")) == Sums(2, 2 * PRICE)


@pytest.mark.parametrize("into_day_ms", [600_000, 7_200_000], ids=["over midnight", "same day"])
async def test_a_clock_that_goes_back_gives_no_second_cap(store: Store, into_day_ms: int) -> None:
    """An hour behind, as after a failover, what was sent still counts, and a reached cap is final at once."""
    limiter = limiter_of(store, {"gw": policy(Caps(messages=2))}, {"acme": Caps(messages=1)}, {"ID": Caps(messages=1)})
    day = await store.now() // DAY_MS + 2
    await store.redis.set("test:now", day * DAY_MS + into_day_ms)
    await permit_for(limiter, "gw", message())
    await store.advance(-3600)
    deferred = await ask(limiter, "gw", message())
    assert isinstance(deferred, Deferred)
    assert deferred.reason is not DeferReason.WAIT

    await store.redis.set("test:now", (day + 1) * DAY_MS)
    await permit_for(limiter, "gw", message())


async def test_a_cap_that_was_just_reached_is_asked_again(store: Store) -> None:
    """Until the message that reached it can no longer be refused by another cap; then the cap is final."""
    limiter = limiter_of(store, {"gw": policy()}, {"acme": Caps(messages=1)}, {"ID": Caps(messages=1)})
    await permit_for(limiter, "gw", message())
    assert await ask(limiter, "gw", message()) == Deferred(DeferReason.WAIT, 100)
    await store.advance(1.001)
    final = await ask(limiter, "gw", message())
    assert isinstance(final, Deferred)
    assert final.reason is DeferReason.TENANT_CAPPED


async def test_a_cap_is_not_final_while_an_earlier_charge_may_be_refunded(store: Store) -> None:
    """Also when the message that reached it cannot be refused any more."""
    limiter = limiter_of(store, {"gw": policy()}, {"acme": Caps(messages=2)}, {"ID": Caps(messages=9)})
    await permit_for(limiter, "gw", message("ID"))
    await permit_for(limiter, "gw", message("SG"))
    assert await ask(limiter, "gw", message("SG")) == Deferred(DeferReason.WAIT, 100)


async def test_sums_of_the_version_before_count(store: Store) -> None:
    """A replica of another version charges the same sums, without the members that this one has added."""
    day = await store.now() // DAY_MS
    for key in (ProviderKeys("gw").usage, tenant_usage_key("acme")):
        await store.redis.hset(key, mapping={"day": day, "messages": 1, "spend": PRICE})
    limiter = limiter_of(store, {"gw": policy(Caps(messages=3))}, {"acme": Caps(messages=2)})
    await permit_for(limiter, "gw", message())
    refused = await ask(limiter, "gw", message())
    assert isinstance(refused, Deferred)
    assert refused.reason is DeferReason.TENANT_CAPPED
    assert await provider_today(store) == Sums(2, 2 * PRICE)


async def test_sums_of_another_type_are_more_than_any_cap(store: Store) -> None:
    """A cap that blocks refuses every message; for one that does not, they are replaced, and still more than any.

    Neither a correction of a price nor a refund fails because of them, or changes them.
    """
    keys = (ProviderKeys("gw").usage, tenant_usage_key("acme"))
    await store.redis.mset(dict.fromkeys(keys, b"damaged"))
    blocking, observing = (
        limiter_of(store, {"gw": policy(caps)}, {"acme": caps})
        for caps in (Caps(messages=2), Caps(messages=2, block=False))
    )
    assert isinstance(await ask(blocking, "gw", message()), Deferred)
    assert min([await store.redis.pttl(key) for key in keys]) > 0

    sent = message()
    permit = await permit_for(observing, "gw", sent)

    assert [await store.redis.type(key) for key in keys] == [b"hash", b"hash"]
    assert min([await store.redis.pttl(key) for key in keys]) > 0
    assert isinstance(await ask(blocking, "gw", message()), Deferred)

    await store.redis.mset(dict.fromkeys(keys, b"damaged"))
    await observing.correct_charge("gw", sent.id, Decimal("0.7"), "USD")
    await observing.release(permit, None)
    assert await store.redis.mget(keys) == [b"damaged", b"damaged"]


async def test_a_store_that_fails_between_the_caps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known to be charged is given back, and the message is not sent."""
    limiter = limiter_of(store, {"gw": policy()}, {"acme": OTHER_CAPS}, {"ID": OTHER_CAPS})
    await limiter.release(await permit_for(limiter, "gw", message()), None)
    send = store.topology.send

    async def fail_at_the_country(calls: Sequence[ScriptCall]) -> list[Any]:
        if calls[0].script.name == "charge" and calls[0].keys[0] == country_usage_key("ID"):
            raise Refused(Reason.STORE_UNAVAILABLE, "The store does not answer.")
        return list(await send(calls))

    monkeypatch.setattr(store.topology, "send", fail_at_the_country)
    with pytest.raises(Refused):
        await ask(limiter, "gw", message())
    assert await all_today(store) == (Sums(0, 0),) * 3
    assert await history(store) == []


@pytest.mark.parametrize("result", [None, SendResult(Outcome.RECIPIENT_INVALID), SendResult(Outcome.TRANSIENT)])
async def test_what_was_not_sent_is_given_back(store: Store, result: SendResult | None) -> None:
    """A call that was not made, or that the gateway refused, costs nothing; a lost response stays charged."""
    limiter = limiter_of(store, {"gw": policy(BY_SPEND)}, {"acme": BY_SPEND}, {"ID": BY_SPEND})
    first = await permit_for(limiter, "gw", message())
    await limiter.release(await permit_for(limiter, "gw", message()), result)
    await limiter.release(first, SendResult(Outcome.AMBIGUOUS))
    assert await all_today(store) == (Sums(1, PRICE),) * 3
    assert await history(store) == [(0, "gw", "ID", "acme", "USD", 1, PRICE)]


@pytest.mark.parametrize("owner", [DeferReason.CAPPED, DeferReason.TENANT_CAPPED, DeferReason.COUNTRY_CAPPED])
async def test_a_cap_ends_with_the_day(store: Store, owner: DeferReason) -> None:
    """The refusal names the cap and lasts until midnight; then all count from zero, and the history has both days."""
    await store.advance((DAY_MS - 5_000 - await store.now() % DAY_MS) / 1000)
    caps = Caps(messages=1)
    limiter = limiter_of(
        store,
        {"gw": policy(caps if owner is DeferReason.CAPPED else Caps())},
        {"acme": caps} if owner is DeferReason.TENANT_CAPPED else {},
        {"default": caps} if owner is DeferReason.COUNTRY_CAPPED else {},
    )
    late = await permit_for(limiter, "gw", message())
    await store.advance(2)
    assert await ask(limiter, "gw", message()) == Deferred(owner, 3_000)
    await store.advance(3)
    await permit_for(limiter, "gw", message())
    assert await provider_today(store) == Sums(1, PRICE)

    await limiter.release(late, None)  # of yesterday: today keeps its message

    assert await provider_today(store) == Sums(1, PRICE)
    assert await history(store) == [(0, "gw", "ID", "acme", "USD", 1, PRICE)]


async def test_the_history_is_bounded(store: Store) -> None:
    """A day is kept for 31 more days, each key expires, and a group is one pair of fields whatever it counts."""
    limiter = limiter_of(store, {"gw": policy()}, {}, {})
    for sent in (message(), message(), message("SG"), message("ID", "other"), message("", "mail")):
        await permit_for(limiter, "gw", sent)
    [key] = [name for name in await store.keys() if name.startswith(ProviderKeys("gw").spend_history)]
    assert await store.redis.hlen(key) == 8
    end_ms = (await store.now() // DAY_MS + 32) * DAY_MS
    assert abs(await store.redis.pexpiretime(key) - end_ms) <= 1
    assert all([await store.redis.pttl(name) > 0 for name in await store.keys()])
    await store.advance(31 * DAY_MS / 1000)
    assert [row[:2] + row[3:6] for row in await history(store)] == [
        (31, "gw", "mail", "USD", 1),
        (31, "gw", "acme", "USD", 2),
        (31, "gw", "other", "USD", 1),
        (31, "gw", "acme", "USD", 1),
    ]
    assert await history(store, days=31) == []
    await store.redis.hset(key.replace(str(end_ms // DAY_MS - 32), str(end_ms // DAY_MS - 1)), "m:ID:USD:acme", "many")
    await permit_for(limiter, "gw", message())
    assert (0, "gw", "ID", "acme", "USD", 1, PRICE) in await history(store)


async def test_alerts_name_the_cap(store: Store) -> None:
    """Crossing the alert threshold is logged once for each cap, also if a correction crosses it."""
    caps = Caps(spend=10 * PRICE, alert_threshold=0.2)
    limiter = limiter_of(store, {"gw": policy(caps)}, {"acme": caps}, {"ID": caps})
    with capture_logs() as events:
        for _ in range(3):
            await permit_for(limiter, "gw", message())
    assert Counter((event["who"], event["cap"]) for event in events if event["event"] == "cap_nearly_reached") == {
        ("gw", "capped"): 1,
        ("acme", "tenant_capped"): 1,
        ("ID", "country_capped"): 1,
    }
