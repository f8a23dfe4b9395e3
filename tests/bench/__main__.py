"""`make bench`: ratios of costs, measured in one run.

The service runs in this process on a real server with the default hash. A time is the best of several rounds. Only the
ratio of two times is meaningful on another machine, a time alone is not.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable

from otp_service.domain.limits import Window
from otp_service.observability import configure_logging
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.keys import limit_key
from otp_service.store.pipelined_connection import ScriptCall
from otp_service.store.scripts import script
from otp_service.store.topology import connect
from tests.bench.flood import measure
from tests.running_service import RunningService, ServiceFactory

ROUNDS = 5
CALLS = 200
REQUESTS = 40
FLOOD_SECONDS = 8.0
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


asyncio.run(main())
for line in measure(FLOOD_SECONDS, ("unknown id",)):
    sys.stdout.write(line + "\n")
