"""One seed, from its first caller until nothing moves any more, and what was found then."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from otp_service.domain.verification import VerificationRecord
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.keys import PARTITIONS, Partition
from tests.chaos.concurrent_callers import Ask, Callers
from tests.chaos.faulty_gateways import Aurora, Jakarta, Keda, Moody
from tests.chaos.gateway_faults import Moods, Text, dice
from tests.chaos.replica_processes import Replicas, quiet_port
from tests.chaos.scenario import CALLERS, Outage, Plan

__all__ = ["Found", "live"]

STALLED_SECONDS: Final = 2.0
"""An event that does not come is not waited for any longer: the story goes on."""

QUIET_SECONDS: Final = 0.6
"""Two rounds of the courier: what it is going to do, it has done."""

CALM_SECONDS: Final = 2.5
"""So long after the last caller the gateways are well: what they have not taken by then they take, and a story ends."""

LATEST_SECONDS: Final = 8.0
"""After the codes' end everything has to be settled within this time."""

SOON_MS: Final = 3_000
WATCH_EVERY_SECONDS: Final = 0.02
_RECORD: Final = msgspec.msgpack.Decoder(VerificationRecord)


@dataclass
class Found:
    """What was found: what the service says (`states`, by verification), and what is true (`texts`).

    `records` are the service's own; `strays` are verifications in the store that nobody was told of. `in_flight` is
    how many messages the service had been asked for and not yet handed over when it was killed. `lag_ms` is by how
    much this process was late at worst, and with it the gateways in it. `wrong` is what somebody met on the way.
    """

    plan: Plan
    asks: list[Ask]
    texts: list[Text]
    states: dict[str, dict[str, Any]]
    records: dict[str, VerificationRecord]
    strays: set[str]
    settled: bool
    in_flight: int
    kills_ms: list[float]
    downs_ms: dict[str, list[float]]
    lag_ms: float
    seconds: float
    log: str = field(repr=False)
    wrong: list[str]


class Pulse:
    """Counts events, and wakes who waits for one."""

    def __init__(self) -> None:
        self.events = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    def beat(self) -> None:
        """Count one."""
        self.events += 1
        for event, woken in self._waiting:
            if event <= self.events:
                woken.set()

    async def reach(self, event: int) -> None:
        """Wait for an event, or until there have been none for a while."""
        woken = asyncio.Event()
        self._waiting.append((event, woken))
        while not woken.is_set() and self.events < event:
            before = self.events
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALLED_SECONDS):
                    await woken.wait()
            if self.events == before:
                return


class Lag:
    """Measures by how much this process is late."""

    worst_ms = 0.0

    async def watch(self) -> None:
        """Look all the time."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(WATCH_EVERY_SECONDS)
            self.worst_ms = max(self.worst_ms, (time.monotonic() - before - WATCH_EVERY_SECONDS) * 1000)


async def live(plan: Plan, folder: Path) -> Found:
    """Play a seed's story on a store of its own, with files in `folder`."""
    began, lag = time.monotonic(), Lag()
    watch = asyncio.create_task(lag.watch())
    with EmbeddedServer("--appendonly", "yes", "--appendfsync", "no") as store:
        async with _stage(plan, folder, store.url) as stage:
            found = await stage.play()
    watch.cancel()
    found.lag_ms, found.seconds = lag.worst_ms, time.monotonic() - began
    return found


@contextlib.asynccontextmanager
async def _stage(plan: Plan, folder: Path, store_url: str) -> AsyncIterator[Stage]:
    pulse, wrong = Pulse(), list[str]()
    kinds = (Jakarta, Keda, Aurora)
    gateways: list[Moody] = [kind(Moods(plan.seed, kind.name), pulse.beat, wrong.append) for kind in kinds]
    for gateway in gateways:
        await gateway.listen(quiet_port())
    replicas = Replicas(folder, plan, store_url, gateways)
    for gateway in gateways:
        gateway.receipts_url = f"{replicas.urls[0]}/v1/receipts/{gateway.name}"
    callers = Callers(replicas.urls, pulse.beat, wrong.append)
    store = Redis.from_url(store_url)
    try:
        await replicas.start(range(plan.replicas))
        yield Stage(plan, gateways, replicas, callers, store=store, pulse=pulse, wrong=wrong)
    finally:
        replicas.end()
        await callers.close()
        for gateway in gateways:
            await gateway.end()
        await store.aclose()


class Stage:
    """Everybody who plays."""

    def __init__(
        self,
        plan: Plan,
        gateways: Sequence[Moody],
        replicas: Replicas,
        callers: Callers,
        *,
        store: Redis,
        pulse: Pulse,
        wrong: list[str],
    ) -> None:
        self._plan = plan
        self._gateways = {gateway.name: gateway for gateway in gateways}
        self._replicas = replicas
        self._callers = callers
        self._store: Any = store
        self._pulse = pulse
        self._wrong = wrong
        self._in_flight = 0
        drawn = dice(plan.seed, "callers")
        self._asks = [
            Ask(f"62812{plan.seed % 1000:03d}{n:05d}", f"{plan.seed}-{n}", drawn.randrange(plan.replicas))
            for n in range(CALLERS)
        ]
        self._pauses = [drawn.uniform(0, 1.5) for _ in range(CALLERS)]

    async def play(self) -> Found:
        """Let everything happen, wait until nothing moves, ask again for what is known, and look."""
        async with asyncio.TaskGroup() as group:
            for n, ask in enumerate(self._asks):
                group.create_task(self._call(n, ask))
            group.create_task(self._kill())
            for outage in self._plan.outages:
                group.create_task(self._outage(outage))
            if self._plan.night_event is not None:
                group.create_task(self._night(self._plan.night_event))
        await self._repeat_some()
        settled = await self._settle()
        found = await self._look(settled=settled)
        await self._type_all(found)
        found.log = self._replicas.log
        return found

    async def _call(self, n: int, ask: Ask) -> None:
        """Ask until there is a 202; some go on and end it."""
        if await self._callers.ask(ask) != "202":
            await self._callers.ask_again(ask)
        if ask.id and n in self._plan.canceled:
            await asyncio.sleep(self._pauses[n])
            await self._callers.cancel(ask)
        if ask.id and n in self._plan.verified:
            await self._callers.verify_when_it_comes(ask, self._texts_of, self._plan.ttl_seconds / 4)

    async def _kill(self) -> None:
        await self._pulse.reach(self._plan.kill_event)
        await self._replicas.kill(self._plan.killed)
        self._in_flight = CALLERS - await self._handed_over()
        await self._replicas.start(self._plan.killed)
        if self._plan.again_seconds is not None:
            await asyncio.sleep(self._plan.again_seconds)
            await self._replicas.kill(self._plan.killed)
            await self._replicas.start(self._plan.killed)

    async def _outage(self, outage: Outage) -> None:
        gateway = self._gateways[outage.gateway]
        await self._pulse.reach(outage.event)
        await gateway.go_down()
        await asyncio.sleep(outage.seconds)
        await gateway.listen()

    async def _night(self, event: int) -> None:
        """All go down, and come back when no code lives any more."""
        await self._pulse.reach(event)
        for gateway in self._gateways.values():
            await gateway.go_down()
        while any(record.expires_ms + 100 > time.time() * 1000 for record in (await self._records()).values()):
            await asyncio.sleep(0.2)
        for gateway in self._gateways.values():
            await gateway.listen()

    async def _repeat_some(self) -> None:
        """Ask once more with keys that were answered: the same verification, and no text."""
        for ask in [ask for ask in self._asks if ask.id][::10]:
            await self._callers.ask(ask)

    async def _settle(self) -> bool:
        """Wait until nothing is due, nothing is told and nothing is sent for a while; False: that never came."""
        loop = asyncio.get_running_loop()
        began, quiet_from, sends = loop.time(), loop.time(), -1
        while loop.time() < began + self._plan.ttl_seconds + LATEST_SECONDS:
            for gateway in self._gateways.values():
                gateway.calm = loop.time() > began + CALM_SECONDS
            now_sends = sum(gateway.sends for gateway in self._gateways.values())
            telling = any(gateway.telling for gateway in self._gateways.values())
            if telling or now_sends != sends or await self._waiting():
                quiet_from, sends = loop.time(), now_sends
            if loop.time() - quiet_from > QUIET_SECONDS:
                return True
            await asyncio.sleep(0.1)
        return False

    async def _handed_over(self) -> int:
        """Count the messages of which every call has ended, and is written down."""
        records = (await self._records()).values()
        return sum(all(one.status not in ("queued", "sending") for one in record.deliveries) for record in records)

    async def _waiting(self) -> int:
        """Count the messages in the outbox."""
        async with self._store.pipeline(transaction=False) as pipeline:
            for number in range(PARTITIONS):
                pipeline.zcard(Partition(number).outbox)
            return sum(await pipeline.execute())

    async def _look(self, *, settled: bool) -> Found:
        records = await self._records()
        told = {verification_id for ask in self._asks for verification_id in ask.ids}
        return Found(
            plan=self._plan,
            asks=self._asks,
            texts=self._texts(),
            states={verification_id: await self._callers.read(verification_id) for verification_id in sorted(told)},
            records=records,
            strays=records.keys() - told,
            settled=settled,
            in_flight=self._in_flight,
            kills_ms=self._replicas.kills_ms,
            downs_ms={name: gateway.downs_ms for name, gateway in self._gateways.items()},
            lag_ms=0,
            seconds=0,
            log="",
            wrong=self._wrong,
        )

    async def _records(self) -> dict[str, VerificationRecord]:
        found = {}
        async for key in self._store.scan_iter(match="*:v:*", count=1000):
            if packed := await self._store.get(key):
                found[key.decode().rpartition(":")[2]] = _RECORD.decode(packed)
        return found

    async def _type_all(self, found: Found) -> None:
        """Type every text's code whose verification is pending, and will be for a while: it has to be right."""
        texts = {text.number: text for text in found.texts}
        for ask in found.asks:
            lives = ask.id in found.records and found.records[ask.id].expires_ms > time.time() * 1000 + SOON_MS
            if lives and ask.number in texts and found.states[ask.id]["status"] == "pending":
                await self._callers.verify(ask.id, texts[ask.number].code)

    def _texts(self) -> list[Text]:
        return sorted((text for one in self._gateways.values() for text in one.texts), key=lambda text: text.at_ms)

    def _texts_of(self, number: str) -> list[Text]:
        return [text for text in self._texts() if text.number == number]
