"""Daily caps and sums under test: replicas of the limiter, and what the store contains of a day."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Caps, DeferReason, Deferred, Permit, ProviderPolicy
from otp_service.store.keys import (
    ALL_PARTITIONS,
    ProviderKeys,
    country_usage_key,
    new_verification_id,
    tenant_usage_key,
)
from otp_service.store.provider_limits import RedisProviderLimiter
from otp_service.store.spend_history import read_spend
from tests.store.replica_store import Store

PRICE, CENT = 15_000, 10_000
DAY_MS = 86_400_000
NO_CAPS = Caps()
NONE: Mapping[str, Caps] = {}


class Sums(NamedTuple):
    """Messages and spend in millionths."""

    messages: int
    spend: int


def policy(caps: Caps = NO_CAPS, **more: Any) -> ProviderPolicy:
    """Return a policy with one price and room for every call."""
    return ProviderPolicy(price={"default": PRICE}, max_concurrent=1000, caps=caps, currency="USD", **more)


def limiter_of(
    store: Store,
    policies: Mapping[str, ProviderPolicy],
    tenants: Mapping[str, Caps] = NONE,
    countries: Mapping[str, Caps] = NONE,
) -> RedisProviderLimiter:
    """Return the limiter of a replica; the gateways of all providers tell what they charged."""
    call_ms = dict.fromkeys(policies, 5_000)
    return RedisProviderLimiter(
        store.topology, policies, tenants, call_ms, countries=countries, charge_reporting=policies
    )


class Message(NamedTuple):
    """A message to charge."""

    id: str
    country: str = "ID"
    tenant: str = "acme"


def message(country: str = "ID", tenant: str = "acme") -> Message:
    """Return a new message of one segment."""
    return Message(new_verification_id(ALL_PARTITIONS[3]), country, tenant)


async def ask(limiter: RedisProviderLimiter, provider: str, sent: Message) -> Permit | Deferred:
    """Ask for a permit once."""
    return await limiter.acquire(provider, sent.tenant, sent.id, country=sent.country, segments=1, max_wait_ms=60_000)


async def permit_for(limiter: RedisProviderLimiter, provider: str, sent: Message) -> Permit:
    """Return a permit, which must be there."""
    permit = await ask(limiter, provider, sent)
    assert isinstance(permit, Permit), permit
    return permit


async def hand_over(
    store: Store, limiters: Sequence[RedisProviderLimiter], messages: Sequence[Message], route: Sequence[str]
) -> list[Permit]:
    """Hand over messages in parallel as the dispatcher does, spread over the replicas; return the permits.

    A message tries the next provider when one refuses it, and again after a moment when it has to wait.
    """
    for limiter in limiters:  # so that the scripts and the connections are there before all messages come at once
        warm_up = await asyncio.gather(*(permit_for(limiter, route[0], message()) for _ in range(8)))
        await asyncio.gather(*(limiter.release(permit, None) for permit in warm_up))
    left = {sent: list(route) for sent in messages}
    permits: list[Permit] = []

    async def attempt(at: int, sent: Message) -> None:
        answer = await ask(limiters[at % len(limiters)], left[sent][0], sent)
        if isinstance(answer, Permit):
            permits.append(answer)
            del left[sent]
        elif answer.reason is not DeferReason.WAIT:
            left[sent].pop(0)

    while pending := [sent for sent, providers in left.items() if providers]:
        await asyncio.gather(*(attempt(at, sent) for at, sent in enumerate(pending)))
        await store.advance(0.3)
    return permits


async def today_of(store: Store, key: str) -> Sums:
    """Return the sums of today under a key."""
    day, messages, spend = await store.redis.hmget(key, "day", "messages", "spend")
    assert int(day) == await store.now() // DAY_MS
    return Sums(int(messages), int(spend))


async def provider_today(store: Store, provider: str = "gw") -> Sums:
    """Return today's sums of a provider."""
    return await today_of(store, ProviderKeys(provider).usage)


async def all_today(store: Store, provider: str = "gw") -> tuple[Sums, Sums, Sums]:
    """Return today's sums of the provider, of the tenant `acme` and of Indonesia."""
    shared = (tenant_usage_key("acme"), country_usage_key("ID"))
    return await provider_today(store, provider), await today_of(store, shared[0]), await today_of(store, shared[1])


async def history(store: Store, providers: Sequence[str] = ("gw",), days: int = 32) -> list[tuple[Any, ...]]:
    """Return the spend history: how many days ago, provider, country, tenant, currency, messages and spend."""
    today, spends = await read_spend(store.topology, providers, days)
    return sorted(
        ((today - one.day).days, one.provider, one.country, one.tenant, one.currency, one.messages, one.spend)
        for one in spends
    )


def accepted(charged: str | None = None, currency: str = "") -> SendResult:
    """Return the result of a message that the gateway accepted, and what it charged."""
    return SendResult(
        Outcome.ACCEPTED, charged=None if charged is None else Decimal(charged), charged_currency=currency
    )
