"""What the store holds and is asked for each verification, and how the service grows with what is configured.

`python -m tests.bench.footprint` prints the growth; it takes about a minute.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from typing import Any, Final

from redis.asyncio import Redis

from otp_service.domain.limits import SendPolicy, Window
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import Admission, Admitted
from otp_service.domain.verification import Delivery, VerificationRecord
from otp_service.store.keys import PARTITIONS, Partition, new_verification_id
from otp_service.store.topology import connect
from otp_service.store.verifications import RedisVerifications
from tests.bench.capacity import expect, refusal_cpu
from tests.bench.service_stack import Stack, running_stack

__all__ = ["bytes_per_verification", "growth", "round_trips"]

AT_ONCE: Final = 200
PHC: Final = "$argon2id$v=19$m=12288,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
POLICY: Final = SendPolicy(30, 5, 300, (Window(5, 3600), Window(10, 86400)), (Window(20, 86400),))


async def bytes_per_verification(redis_url: str, counts: tuple[int, ...]) -> dict[int, float]:
    """Fill the store with pending verifications, their messages still in the outbox; bytes for each, by count."""
    topology, store = connect(redis_url), Redis.from_url(redis_url)
    verifications = RedisVerifications(topology, key_ids=["k1"])
    await store.flushall()
    empty, made, found = await _used(store), 0, {}
    for count in counts:
        while made < count:
            batch = min(AT_ONCE, count - made)
            await asyncio.gather(*(_start_one(verifications, made + n) for n in range(batch)))
            made += batch
        found[count] = (await _used(store) - empty) / count
    await topology.close()
    await store.aclose()
    return found


async def _used(store: Redis) -> int:
    info: dict[str, Any] = await store.info("memory")
    return int(info["used_memory"])


async def _start_one(verifications: RedisVerifications, number: int, *, has_message: bool = True) -> None:
    """Store a verification as request-code does, with a hash that was made once."""
    partition = number % PARTITIONS
    verification_id = new_verification_id(Partition(partition))
    admission = Admission(
        partition, secrets.token_urlsafe(16), "bench", "login", POLICY, (), token=verification_id[1:9], country="ID"
    )
    admitted = await verifications.admit(admission)
    if not isinstance(admitted, Admitted):
        raise RuntimeError(f"not admitted: {admitted}")
    record = VerificationRecord(
        tenant="bench",
        purpose="login",
        recipient=admission.recipient,
        created_ms=admitted.now_ms,
        expires_ms=admitted.now_ms + 300_000,
        attempts_left=5,
        deliveries=(Delivery("eims", DeliveryStatus.QUEUED, admitted.now_ms),) if has_message else (),
        key_id="k1",
        code_hash=PHC,
        phone=secrets.token_urlsafe(41),
        channel="sms",
        country="ID",
        locale="",
        code_length=6,
        resend_ms=admitted.now_ms + 30_000,
        sends_left=4,
        code_created_ms=admitted.now_ms,
    )
    sealed = secrets.token_bytes(34) if has_message else None
    await verifications.start(admitted, verification_id, record, sealed, None)


def round_trips(cycles: int) -> dict[str, float]:
    """One cycle at a time: reads by the store (round trips) and commands, for each cycle.

    The store's own background looks of an idle service are taken off.
    """
    with running_stack() as stack:
        stack.load(kind="cycle", count=20, callers=1, warm_up=20)
        before, idle = asyncio.run(_counters(stack, 2.0))
        result = stack.load(kind="cycle", count=cycles, callers=1, warm_up=0, seed=2)
        after, _ = asyncio.run(_counters(stack, 0.0))
        expect(result, {"request 202": cycles, "verify 200": cycles})
        seconds = float(result["seconds"])
    return {name: (after[name] - before[name] - idle[name] * seconds) / cycles for name in before}


async def _counters(stack: Stack, seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    """Read the store's counters, and how fast they grow by themselves."""
    names = {"round trips": "total_reads_processed", "commands": "total_commands_processed"}
    async with Redis.from_url(stack.redis_url) as store:
        first = await store.info("stats")
        await asyncio.sleep(seconds)
        second = await store.info("stats")
    rates = {name: (second[key] - first[key] - 1) / seconds if seconds else 0.0 for name, key in names.items()}
    return {name: float(second[key]) for name, key in names.items()}, rates


def growth(cycles: int, pending: int) -> dict[str, float]:
    """CPU for each cycle and refusal with a hundred times as much configured or pending, against little."""
    with running_stack() as stack:
        few = float(stack.load(kind="cycle", count=cycles)["cpu_ms"])
        few_refused = refusal_cpu(stack, "unknown", cycles)
        asyncio.run(_fill(stack.redis_url, pending))
        full = float(stack.load(kind="cycle", count=cycles, seed=3)["cpu_ms"])
        full_refused = refusal_cpu(stack, "unknown", cycles)
    with running_stack(extra=_many()) as stack:
        many = float(stack.load(kind="cycle", count=cycles)["cpu_ms"])
    return {
        f"cycle, {pending} pending": full / few,
        f"refusal, {pending} pending": full_refused / few_refused,
        "cycle, 100 tenants and 100 routes": many / few,
    }


async def _fill(redis_url: str, pending: int) -> None:
    """Add pending verifications without messages in the outbox: nothing is delivered meanwhile."""
    topology = connect(redis_url)
    verifications = RedisVerifications(topology, key_ids=["k1"])
    for begin in range(0, pending, AT_ONCE):
        await asyncio.gather(
            *(_start_one(verifications, n, has_message=False) for n in range(begin, min(begin + AT_ONCE, pending)))
        )
    await topology.close()


def _many() -> str:
    tenants = "".join(
        f'[tenants.t{n}]\ncountry = "ID"\napi_keys = [{{ id = "k", sha256 = "{n:064x}" }}]\n' for n in range(100)
    )
    routes = "".join(f'[[routes]]\nprefix = "+6281{n:02d}"\nproviders = ["eims"]\n' for n in range(100))
    return tenants + routes


if __name__ == "__main__":
    for what, ratio in growth(1000, 20_000).items():
        sys.stdout.write(f"CPU time, {what}: {ratio:.2f}\n")
