"""Breakers in the store: which tenants share one, why it is open, and what an operator changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otp_service.domain.guard import BreakerPolicy, GuardMode, GuardPolicy, GuardRequest, GuardRule
from otp_service.domain.guard_counts import Counts
from otp_service.domain.guard_report import BreakerReason, BreakerReport, ScopeReport
from otp_service.domain.results import Admitted, Denied
from otp_service.store.guard_store import RedisGuard
from tests.store.replica_store import Store, admission
from tests.store.test_guard_counts import subject

DENY: Final = GuardPolicy(
    mode=GuardMode.DENY,
    breaker=BreakerPolicy(sends=5, conversion=0.5, open_seconds=600, probe_seconds=60, probes=1),
)
OBSERVE: Final = replace(DENY, mode=GuardMode.OBSERVE)
SETTLED_SECONDS: Final = 200
OPENING: Final = 7
"""This many unverified messages open a breaker: five are allowed, the last one is pending, and it finds the others."""


async def request(store: Store, number: int, policy: GuardPolicy) -> Admitted | Denied:
    """Request a code for a number, at the tenant with this policy; no code is verified."""
    one = subject(number, number, tenant=policy.mode.value)
    wanted = admission(f"r{number}", tenant=one.tenant, guard=GuardRequest(one, policy))
    found = await store.verifications.admit(wanted)
    assert isinstance(found, Admitted | Denied)
    return found


async def attack(store: Store, first: int, policy: GuardPolicy) -> None:
    """Request as many codes as open a breaker, of which the last one is requested when the others have settled."""
    for number in range(first, first + OPENING - 1):
        await request(store, number, policy)
    await store.advance(SETTLED_SECONDS)
    await request(store, first + OPENING - 1, policy)


async def indonesia(store: Store) -> ScopeReport:
    """Return what operators see."""
    return (await RedisGuard(store.topology).report(["ID"], hours=1, decisions=0)).scopes["ID"]


async def test_messages_of_an_observing_tenant_deny_nobody(store: Store) -> None:
    """They open a breaker of their own, which shows what `deny` would do."""
    await attack(store, 0, OBSERVE)
    opened_ms = await store.now()
    report = await indonesia(store)

    assert isinstance(await request(store, 100, DENY), Admitted)
    assert report.breaker == BreakerReport()
    assert report.observed_breaker == BreakerReport(
        open_until_ms=opened_ms + 600_000,
        since_ms=opened_ms,
        reason=BreakerReason.CONVERSION,
        cause=Counts(OPENING, 0),
    )
    observed = await request(store, 101, OBSERVE)
    assert isinstance(observed, Admitted)
    assert observed.guard is not None
    assert observed.guard.decision is not None
    assert GuardRule.BREAKER in observed.guard.decision.rules


async def test_an_open_breaker_does_not_wait_for_a_clock_that_went_back(store: Store) -> None:
    """After a failover to a clock that is a day behind, it has a probe, and ends, as if the time had gone on."""
    await attack(store, 0, DENY)
    await store.advance(-86_400)
    assert isinstance(await request(store, 100, DENY), Denied)
    await store.advance(DENY.breaker.probe_seconds)
    assert isinstance(await request(store, 101, DENY), Admitted)
    assert isinstance(await request(store, 102, DENY), Denied)
    assert (await indonesia(store)).breaker.open_until_ms == await store.now() + 540_000


async def test_messages_of_a_denying_tenant_deny_those_of_another_one(store: Store) -> None:
    """The breaker is that of the country; why it is open is shown, also when its probes have opened it again."""
    await attack(store, 0, DENY)
    other = await request(store, 100, replace(DENY, window_hours=7))
    first = (await indonesia(store)).breaker
    assert isinstance(other, Denied)
    assert (first.reason, first.cause) == (BreakerReason.CONVERSION, Counts(OPENING - 1, 0))  # the last one was denied

    await store.advance(60)
    assert isinstance(await request(store, 101, DENY), Admitted)  # a probe, which is never verified
    await store.advance(600)
    await request(store, 102, DENY)
    again = (await indonesia(store)).breaker

    assert (again.reason, again.cause, again.probes) == (BreakerReason.PROBES, Counts(1, 0), Counts(0, 0))
    assert again.since_ms == await store.now()


async def test_an_operator_opens_and_closes_a_breaker(store: Store) -> None:
    """Opened without any traffic, it denies all but one probe in a minute; closing also closes the observed one."""
    guard = RedisGuard(store.topology)
    until_ms = await guard.open_breaker("ID", DENY, 120_000)
    assert until_ms == await store.now() + 120_000
    assert isinstance(await request(store, 0, DENY), Denied)
    await store.advance(60)
    assert isinstance(await request(store, 1, DENY), Admitted)
    assert isinstance(await request(store, 2, DENY), Denied)
    opened = (await indonesia(store)).breaker
    assert (opened.reason, opened.cause, opened.probes) == (BreakerReason.OPERATOR, Counts(0, 0), Counts(1, 0))
    await attack(store, 10, OBSERVE)

    assert await guard.close_breaker("ID", DENY)
    report = await indonesia(store)
    assert (report.breaker.open_until_ms, report.observed_breaker.open_until_ms) == (0, 0)
    assert isinstance(await request(store, 3, DENY), Admitted)
    assert not await guard.close_breaker("SG", DENY)
