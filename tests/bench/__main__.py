"""`make bench`: ratios of costs, measured in one run.

First the service runs in this process, then as `serve` in processes of its own (`service_stack.py`), each time on a
real server. A time is the best of several rounds. Only the ratio of two times is meaningful on another machine.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain

from otp_service.domain.limits import Window
from otp_service.observability import configure_logging
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.keys import limit_key
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import connect
from tests.bench.capacity import cycle_cpu, cycles_against_hashes, hashes_per_second, refusal_cpu
from tests.bench.flood import measure
from tests.bench.footprint import bytes_per_verification, round_trips
from tests.bench.service_stack import running_stack
from tests.running_service import RunningService, ServiceFactory

ROUNDS = 5
CALLS = 200
REQUESTS = 40
FLOOD_SECONDS = 8.0
CYCLES = 1000
SLOW_CYCLES = 100
HASH_SECONDS = 2.0
PENDING = 5000
ROUND_TRIP_CYCLES = 100
WINDOWS = Window(1_000_000, 3600)


async def best(work: Callable[[int], Awaitable[None]]) -> float:
    """Return the shortest time of `work` in several rounds, in seconds."""
    times = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        await work(number)
        times.append(time.perf_counter() - started)
    return min(times)


async def batched_against_sequential(url: str) -> str:
    """Compare concurrent script calls with the same calls in sequence."""
    topology = connect(url)
    windows = f"{WINDOWS.count} {WINDOWS.seconds * 1000}"

    def call(number: int, n: int) -> ScriptCall:
        return ScriptCall(script("rate_limit_acquire"), (limit_key("bench", f"{number}-{n}"),), (windows,))

    async def in_sequence(number: int) -> None:
        for n in range(CALLS):
            await topology.send([call(number, n)])

    async def concurrently(number: int) -> None:
        await asyncio.gather(*(topology.send([call(ROUNDS + number, n)]) for n in range(CALLS)))

    sequential, concurrent = await best(in_sequence), await best(concurrently)
    await topology.close()
    return f"script calls, {CALLS} concurrent : sequential   1 : {sequential / concurrent:.1f}"


async def denied_against_accepted(service: RunningService) -> str:
    """Compare a request that a rate limit denies with one that is accepted, including its hash."""

    async def accepted(number: int) -> None:
        await asyncio.gather(*(service.request(f"+62812{number:03d}{n:04d}") for n in range(REQUESTS)))

    async def denied(number: int) -> None:
        await asyncio.gather(*(service.request(f"+62812{number:03d}{n:04d}") for n in range(REQUESTS)))

    full, refused = await best(accepted), await best(denied)
    return f"request-code, denied : accepted                 1 : {full / refused:.1f}"


async def wrong_against_ended(service: RunningService) -> str:
    """Compare an attempt whose code is checked with an attempt at an ended verification."""
    ids = [(await service.request_code(f"+6281399{n:05d}"))[0] for n in range(ROUNDS * 8)]

    async def compared(number: int) -> None:
        await asyncio.gather(*(service.verify(one, "00000") for one in ids[number * 8 : number * 8 + 8]))

    async def ended(number: int) -> None:
        await asyncio.gather(*(service.verify(one, "00000") for one in ids[number * 8 : number * 8 + 8]))

    wrong = await best(compared)
    for one in ids:
        await service.client.delete(f"/v1/verifications/{one}")
    return f"verify-code, ended : compared                    1 : {wrong / await best(ended):.1f}"


async def main() -> None:
    """Run every measurement."""
    configure_logging("ERROR")
    logging.getLogger().setLevel(logging.ERROR)
    with EmbeddedServer() as server:
        sys.stdout.write(await batched_against_sequential(server.url) + "\n")
        factory = ServiceFactory(server.url)
        hashing = {"time_cost": 3, "memory_kib": 12288, "allow_weak": False}
        limits = {"prefix": [], "recipient": ["5/3600"], "recipient_failures": ["100/86400"]}
        service = await factory({"hashing": hashing, "limits": limits})
        sys.stdout.write(await denied_against_accepted(service) + "\n")
        sys.stdout.write(await wrong_against_ended(service) + "\n")
        await factory.close()


def of_a_running_service() -> Iterator[str]:
    """Measure the service in a process of its own, on a core of its own where there are two."""
    hash_ms = 1000 / hashes_per_second(HASH_SECONDS)
    yield f"CPU time of a cycle beside its two hashes, one hash taken as 1   {cycle_cpu(CYCLES) / hash_ms:.2f}"
    rate = cycles_against_hashes(SLOW_CYCLES, HASH_SECONDS)
    yield f"bare hash rate : hashes of full cycles          1 : {rate:.2f}"
    with running_stack() as stack:
        refusals = ", ".join(
            f"{kind} {refusal_cpu(stack, kind, CYCLES) / hash_ms:.3f}" for kind in ("unknown", "limited")
        )
        yield f"CPU time of a refusal, one hash taken as 1      {refusals}"
        [used] = asyncio.run(bytes_per_verification(stack.redis_url, (PENDING,))).values()
    yield f"bytes in the store for one of {PENDING} pending    {used:.0f}"
    trips = round_trips(ROUND_TRIP_CYCLES)["round trips"]
    yield f"round trips to the store in a cycle             {trips:.1f}"


asyncio.run(main())
for line in chain(of_a_running_service(), measure(FLOOD_SECONDS, ("unknown id",))):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
