"""The same code on a single server, a cluster and Sentinel: the whole flow, and the failure of a server."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from redis.crc import key_slot

from otp_service.domain.errors import Refused
from otp_service.domain.events import TENANT_EVENTS, AttemptResult, EventTarget, encode_targets
from otp_service.domain.guard import (
    GuardDecision,
    GuardMode,
    GuardPolicy,
    GuardRequest,
    GuardSubject,
    GuardVerified,
    RecordedDecision,
)
from otp_service.domain.limits import Window
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.provider_policy import Caps
from otp_service.domain.results import (
    Admitted,
    AlreadyEnded,
    AttemptReserved,
    DeliveryUpdate,
    Denied,
    IdempotencyClaim,
    RateLimit,
    Replay,
    Verified,
)
from otp_service.domain.verification import VerificationStatus
from otp_service.store.guard_store import RedisGuard
from otp_service.store.keys import ALL_PARTITIONS, ProviderKeys, new_verification_id
from otp_service.store.scripts import ScriptCall, override_clock, script
from otp_service.store.spend_history import find_providers, read_spend
from otp_service.store.webhook_queue import RedisWebhookQueue
from tests.store.redis_servers import (
    HOST,
    MASTER,
    RedisServer,
    SentinelServer,
    cluster,
    node_id,
    sentinels,
    wait_for_reply,
)
from tests.store.replica_store import CODE, POLICY, TENANT, Store, admission, open_store, record_of
from tests.store.spend_sums import CENT, accepted, limiter_of, message, permit_for, policy

PARTITIONS = (0, 7, 23, 42, 63)
AGAIN = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.QUEUED, error="transient", due_in_ms=0)
SENT = DeliveryUpdate(provider="first", call=2, status=DeliveryStatus.SENT, provider_message_id="gw-1", forget=True)


@pytest.fixture(autouse=True)
def _servers_clock() -> Iterator[None]:
    """Read the servers' own clocks."""
    with override_clock(None):
        yield


async def whole_flow(store: Store, name: str, partition: int) -> None:
    """Admit, start, claim, send, submit wrong and correct codes, repeat, cancel: every script for one recipient."""
    call = IdempotencyClaim(f"key-{name}-{partition}", "body", "owner")
    rate_limits = tuple(
        RateLimit(limit, f"{name}-{partition}", (Window(5, 60),)) for limit in ("client_ip", "prefix", "tenant")
    )
    wanted = admission(f"{name}-{partition}", partition=partition, rate_limits=rate_limits, idempotency=call)
    verification_id = new_verification_id(ALL_PARTITIONS[partition])
    verifications, outbox = store.verifications, store.outbox

    admitted = await verifications.admit(wanted)
    assert isinstance(admitted, Admitted)
    await verifications.start(admitted, verification_id, record_of(admitted), CODE, b"answer")
    assert await verifications.admit(wanted) == Replay(b"answer")
    denied = await verifications.admit(admission(f"{name}-{partition}", partition=partition, rate_limits=rate_limits))
    assert isinstance(denied, Denied)

    assert await outbox.begin(verification_id, 1, "first", 9000)
    await outbox.record_result(verification_id, 1, AGAIN)
    assert [(one.id, one.record.lease) for one in (await outbox.claim())[0]] == [(verification_id, 2)]
    assert await outbox.begin(verification_id, 2, "first", 9000)
    await outbox.record_result(verification_id, 2, SENT)

    spent = await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
    assert isinstance(spent, AttemptReserved)
    assert spent.attempts_left == 4
    assert isinstance(await store.attempts.consume(verification_id), Verified)
    assert await store.attempts.consume(verification_id) == AlreadyEnded(VerificationStatus.VERIFIED)
    assert (await store.snapshot(verification_id)).record.deliveries[0].provider_message_id == "gw-1"

    other = await verifications.admit(
        admission(f"{name}-{partition}", partition=partition, rate_limits=rate_limits, purpose="reset")
    )
    assert isinstance(other, Admitted)
    await verifications.release(other)


async def charges(store: Store, provider: str) -> None:
    """Charge, correct and refund messages at a provider, a tenant and a country: three slots."""
    caps = Caps(messages=100)
    limiter = limiter_of(store, {provider: policy(caps)}, {"acme": caps}, {"ID": caps})
    one = message()
    permit, other = [await permit_for(limiter, provider, sent) for sent in (one, message())]
    await limiter.release(permit, accepted("0.04"))
    await limiter.release(other, None)
    await limiter.correct_charge(provider, one.id, Decimal("0.05"), "USD")
    _, [spent] = await read_spend(store.topology, [provider], 1)
    assert (spent.provider, spent.messages, spent.spend) == (provider, 1, 5 * CENT)


async def guard_flow(store: Store, name: str) -> None:
    """Count, verify, release, record, report and close: the scopes and the address are in slots of their own."""
    policy = GuardPolicy(mode=GuardMode.OBSERVE)
    subjects = [GuardSubject(TENANT, "ID", "+62812", "b" * 22, f"{number:022}", name) for number in range(2)]
    first, second = [
        await store.admitted(recipient=f"{name}-{one.recipient}", guard=GuardRequest(one, policy)) for one in subjects
    ]
    assert first.guard is not None
    guard = RedisGuard(store.topology)
    verified = GuardVerified(first.guard.request, first.now_ms, is_known=False, is_quiet=first.guard.figures.is_quiet)
    await guard.count_verified([verified])
    await store.verifications.release(second)
    await guard.record([RecordedDecision(GuardDecision(1, GuardMode.OBSERVE, TENANT, "ID", "+62812", False), 1)])
    report = await guard.report(["all", "ID"], hours=1, decisions=1)
    assert set(report.scopes) == {"all", "ID"}
    assert len(report.decisions) == 1
    assert await guard.close_breaker("ID", policy)


async def flows(store: Store, name: str) -> None:
    """Run the flow in several partitions, one after the other: each claim is of all of them."""
    for partition in PARTITIONS:
        await whole_flow(store, name, partition)
    await charges(store, f"provider-{name}")
    await events_of(store, f"events-{name}")
    await guard_flow(store, name)


async def events_of(store: Store, name: str) -> None:
    """Deliver the events of verifications in several partitions, whose endpoint is in a slot of its own."""
    queue = RedisWebhookQueue(store.topology)
    target = EventTarget(name, frozenset(TENANT_EVENTS))
    for partition in PARTITIONS:
        events = encode_targets(ALL_PARTITIONS[partition].events, "", [target])
        admitted = await store.admitted(recipient=f"{name}-{partition}", partition=partition)
        verification_id = await store.start(admitted, events=events)
        for _ in range(5):
            await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
        assert isinstance(await store.attempts.consume(verification_id), Verified)
    due = [one for one in await queue.find_due() if one.endpoint == name]
    assert [(one.due, one.waiting) for one in due] == [(2, 2)] * len(PARTITIONS)
    for one in due:
        for claimed in await queue.claim(one.slot, name, 5, 5000):
            assert await queue.record(claimed, AttemptResult("204", accepted=True))
    assert [one for one in await queue.find_due() if one.endpoint == name] == []
    summary = (await queue.summaries([name], 100))[name]
    assert (summary.waiting, len(summary.events)) == (0, 2 * len(PARTITIONS))


async def all_served(store: Store) -> bool:
    """Return whether every partition is served; each reply or refusal comes in time."""
    started = time.monotonic()
    found = await asyncio.gather(
        *(store.status(new_verification_id(ALL_PARTITIONS[n])) for n in PARTITIONS), return_exceptions=True
    )
    assert time.monotonic() - started < 2
    assert all(one == "unknown" or isinstance(one, Refused) for one in found), found
    return not any(isinstance(one, Refused) for one in found)


async def wait_until_served(store: Store, name: str, seconds: float) -> None:
    """Retry until every partition is served again; then the whole flow works."""
    async with asyncio.timeout(seconds):
        while not await all_served(store):
            await asyncio.sleep(0.05)
    await flows(store, name)


async def test_a_cluster() -> None:
    """Every script uses one slot; a slot that moves is followed, and so is a primary that stops."""
    with cluster() as nodes:
        seeds = ",".join(f"{HOST}:{node.port}" for node in nodes[:2])
        async with open_store(f"redis+cluster://{seeds}") as store:
            await flows(store, "first")
            await find_spend_on_all_nodes(store)
            await move_slot(store, nodes)
            nodes[0].kill()
            await wait_until_served(store, "after the failover", 15)
        async with open_store(f"redis+cluster://{seeds}") as new_store:  # its first seed is dead
            await flows(new_store, "fresh")


async def find_spend_on_all_nodes(store: Store) -> None:
    """The providers with a spend history are found on every primary."""
    now = await store.topology.command("TIME")
    before = await find_providers(store.topology)
    names = {f"gw{number}" for number in range(30)}
    for name in names:
        keys = ProviderKeys(name)
        args = (5, int(now[0]) * 1000, keys.spend_history, "ID:USD:acme")
        await store.topology.send([ScriptCall(script("provider_refund"), (keys.usage, keys.charge("x")), args)])
    assert await find_providers(store.topology) - before == names


async def move_slot(store: Store, nodes: list[RedisServer]) -> None:
    """Move the slot of a partition to another node, without its keys: the store loads the map again."""
    slot = key_slot(ALL_PARTITIONS[7].outbox.encode())
    owner = slot // (16384 // 3 + 1)
    for node in nodes[:3]:
        node.ask("FLUSHALL")
    for node in nodes[:3]:
        node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", node_id(nodes[(owner + 1) % 3]))
    await flows(store, "moved")


async def test_sentinel() -> None:
    """The primary is the one that the Sentinels name; one that hangs is skipped, and a failover is followed."""
    with sentinels() as (servers, watchers):
        addresses = ",".join(f"{HOST}:{watcher.port}" for watcher in watchers)
        async with open_store(f"redis+sentinel://{addresses}/{MASTER}") as store:
            await flows(store, "first")
            servers[0].kill()
            await wait_until_served(store, "after the failover", 15)
        await hanging_sentinel(addresses, watchers[0])


async def hanging_sentinel(addresses: str, watcher: SentinelServer) -> None:
    """Stop the Sentinel that is asked first: a new connection asks the next."""
    os.kill(watcher.process.pid, signal.SIGSTOP)
    try:
        async with open_store(f"redis+sentinel://{addresses}/{MASTER}") as store:
            await flows(store, "second")
    finally:
        os.kill(watcher.process.pid, signal.SIGCONT)
    wait_for_reply("PONG", watcher, "PING")
