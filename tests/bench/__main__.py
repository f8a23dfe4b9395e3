"""`make bench`: what the service costs, each figure beside the one that it is compared with, from the same run.

The service runs in this process on a real server, with the hash that it is configured with by default. Times are
the best of several rounds; a ratio of two of them is what may be quoted, a time alone is not.
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
    """Time `work` in several rounds; the least, in seconds."""
    times = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        await work(number)
        times.append(time.perf_counter() - started)
    return min(times)


async def calls_together(url: str) -> str:
    """Calls of one moment against the same calls one after the other."""
    topology = connect(url)
    windows = f"{WINDOWS.count} {WINDOWS.seconds * 1000}"

    def call(number: int, n: int) -> ScriptCall:
        return ScriptCall(script("rate_limit_acquire"), (limit_key("bench", f"{number}-{n}"),), (windows,))

    async def alone(number: int) -> None:
        for n in range(CALLS):
            await topology.send([call(number, n)])

    async def together(number: int) -> None:
        await asyncio.gather(*(topology.send([call(ROUNDS + number, n)]) for n in range(CALLS)))

    apart, batched = await best(alone), await best(together)
    await topology.close()
    return f"script calls, {CALLS} together : one by one      1 : {apart / batched:.1f}"


async def denied_against_accepted(service: RunningService) -> str:
    """A request that a limit denies against one that is accepted, hash and all."""

    async def accepted(number: int) -> None:
        await asyncio.gather(*(service.request(f"+62812{number:03d}{n:04d}") for n in range(REQUESTS)))

    async def denied(number: int) -> None:
        await asyncio.gather(*(service.request(f"+62812{number:03d}{n:04d}") for n in range(REQUESTS)))

    full, refused = await best(accepted), await best(denied)
    return f"request-code, denied : accepted                 1 : {full / refused:.1f}"


async def wrong_against_ended(service: RunningService) -> str:
    """A guess that is compared against one at a verification that has ended."""
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
        sys.stdout.write(await calls_together(server.url) + "\n")
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
