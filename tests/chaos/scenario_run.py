"""Run the scenario of one seed until nothing happens any more, and collect the observations."""

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
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS
from tests.chaos.concurrent_callers import Caller, CallerClient
from tests.chaos.faulty_gateways import FaultyEims, FaultyGateway, FaultyKedasms, FaultySendcloud
from tests.chaos.gateway_faults import AcceptedMessage, FaultSource, seeded_random
from tests.chaos.monitors import EventCounter, LagMonitor
from tests.chaos.replica_processes import Replicas, unused_port
from tests.chaos.scenario import CALLERS, Outage, Scenario

__all__ = ["Observations", "run_scenario"]

SETTLED_SECONDS: Final = 0.6
"""Two polls of the outbox worker: it has processed what was due."""

FAULTY_SECONDS: Final = 2.5
"""How long after the last caller the gateways still fail; then they accept everything, so that the run ends."""

MAX_SETTLE_SECONDS: Final = 8.0
"""How long after the expiry of the codes everything must be settled."""

MIN_LIFETIME_MS: Final = 3_000
_RECORD: Final = msgspec.msgpack.Decoder(VerificationRecord)


@dataclass
class Observations:
    """What was observed.

    Attributes:
        scenario: The scenario.
        callers: The callers with their results.
        messages: What the gateways really accepted.
        states: What the service reports, by verification id.
        records: The records in the store, by verification id.
        unreported_ids: Verifications in the store that no caller received.
        settled: Whether the activity ended in time.
        in_flight: How many messages were requested and not sent when the service was killed.
        kills_ms: The times of the kills in Unix time.
        outages_ms: The starts of the outages in Unix time, by gateway.
        lag_ms: By how much this process, with the gateways in it, was late at most.
        seconds: How long the run took.
        log: The output of all processes.
        errors: What must not occur, as gateways and callers reported it.
    """

    scenario: Scenario
    callers: list[Caller]
    messages: list[AcceptedMessage]
    states: dict[str, dict[str, Any]]
    records: dict[str, VerificationRecord]
    unreported_ids: set[str]
    settled: bool
    in_flight: int
    kills_ms: list[float]
    outages_ms: dict[str, list[float]]
    lag_ms: float
    seconds: float
    log: str = field(repr=False)
    errors: list[str]


async def run_scenario(scenario: Scenario, folder: Path) -> Observations:
    """Run a scenario with a store of its own, and with files in `folder`."""
    started, lag = time.monotonic(), LagMonitor()
    watch = asyncio.create_task(lag.watch())
    with EmbeddedServer("--appendonly", "yes", "--appendfsync", "no") as store:
        async with _prepare(scenario, folder, store.url) as run:
            observations = await run.run()
    watch.cancel()
    observations.lag_ms, observations.seconds = lag.worst_ms, time.monotonic() - started
    return observations


@contextlib.asynccontextmanager
async def _prepare(scenario: Scenario, folder: Path, store_url: str) -> AsyncIterator[ScenarioRun]:
    events, errors = EventCounter(), list[str]()
    types = (FaultyEims, FaultyKedasms, FaultySendcloud)
    gateways: list[FaultyGateway] = [
        gateway_type(FaultSource(scenario.seed, gateway_type.name), events.count_event, errors.append)
        for gateway_type in types
    ]
    for gateway in gateways:
        await gateway.listen(unused_port())
    replicas = Replicas(folder, scenario, store_url, gateways)
    for gateway in gateways:
        gateway.receipts_url = f"{replicas.urls[0]}/v1/receipts/{gateway.name}"
    client = CallerClient(replicas.urls, events.count_event, errors.append)
    store = Redis.from_url(store_url)
    try:
        await replicas.start(range(scenario.replicas))
        yield ScenarioRun(scenario, gateways, replicas, client, store=store, events=events, errors=errors)
    finally:
        replicas.end()
        await client.close()
        for gateway in gateways:
            await gateway.end()
        await store.aclose()


class ScenarioRun:
    """The gateways, replicas and callers of a run."""

    def __init__(
        self,
        scenario: Scenario,
        gateways: Sequence[FaultyGateway],
        replicas: Replicas,
        client: CallerClient,
        *,
        store: Redis,
        events: EventCounter,
        errors: list[str],
    ) -> None:
        self._scenario = scenario
        self._gateways = {gateway.name: gateway for gateway in gateways}
        self._replicas = replicas
        self._client = client
        self._store: Any = store
        self._events = events
        self._errors = errors
        self._in_flight = 0
        random = seeded_random(scenario.seed, "callers")
        self._callers = [
            Caller(
                f"62812{scenario.seed % 1000:03d}{n:05d}", f"{scenario.seed}-{n}", random.randrange(scenario.replicas)
            )
            for n in range(CALLERS)
        ]
        self._pauses = [random.uniform(0, 1.5) for _ in range(CALLERS)]

    async def run(self) -> Observations:
        """Run everything, wait until nothing happens, repeat some requests, and collect the observations."""
        async with asyncio.TaskGroup() as group:
            for n, caller in enumerate(self._callers):
                group.create_task(self._run_caller(n, caller))
            group.create_task(self._kill())
            for outage in self._scenario.outages:
                group.create_task(self._outage(outage))
            if self._scenario.total_outage_event is not None:
                group.create_task(self._total_outage(self._scenario.total_outage_event))
        await self._repeat_some()
        settled = await self._wait_until_settled()
        observations = await self._observe(settled=settled)
        await self._verify_all(observations)
        observations.log = self._replicas.log
        return observations

    async def _run_caller(self, n: int, caller: Caller) -> None:
        """Request a code until there is a 202; some callers go on and end their verification."""
        if await self._client.request_code(caller) != "202":
            await self._client.retry_until_accepted(caller)
        if caller.id and n in self._scenario.canceled:
            await asyncio.sleep(self._pauses[n])
            await self._client.cancel(caller)
        if caller.id and n in self._scenario.verified:
            await self._client.verify_when_message_arrives(caller, self._messages_to, self._scenario.ttl_seconds / 4)

    async def _kill(self) -> None:
        await self._events.reach(self._scenario.kill_event)
        await self._replicas.kill(self._scenario.killed)
        self._in_flight = CALLERS - await self._count_recorded()
        await self._replicas.start(self._scenario.killed)
        if self._scenario.second_kill_seconds is not None:
            await asyncio.sleep(self._scenario.second_kill_seconds)
            await self._replicas.kill(self._scenario.killed)
            await self._replicas.start(self._scenario.killed)

    async def _outage(self, outage: Outage) -> None:
        gateway = self._gateways[outage.gateway]
        await self._events.reach(outage.event)
        await gateway.go_down()
        await asyncio.sleep(outage.seconds)
        await gateway.listen()

    async def _total_outage(self, event: int) -> None:
        """Stop all gateways, and start them again when all codes have expired."""
        await self._events.reach(event)
        for gateway in self._gateways.values():
            await gateway.go_down()
        while any(record.expires_ms + 100 > time.time() * 1000 for record in (await self._records()).values()):
            await asyncio.sleep(0.2)
        for gateway in self._gateways.values():
            await gateway.listen()

    async def _repeat_some(self) -> None:
        """Repeat requests with keys that were answered: the same verification, and no message."""
        for caller in [caller for caller in self._callers if caller.id][::10]:
            await self._client.request_code(caller)

    async def _wait_until_settled(self) -> bool:
        """Wait until nothing is due, reported or sent for a while; return whether that happened in time."""
        loop = asyncio.get_running_loop()
        started, settled_since, sends = loop.time(), loop.time(), -1
        while loop.time() < started + self._scenario.ttl_seconds + MAX_SETTLE_SECONDS:
            for gateway in self._gateways.values():
                gateway.faultless = loop.time() > started + FAULTY_SECONDS
            current_sends = sum(gateway.sends for gateway in self._gateways.values())
            is_reporting = any(gateway.is_reporting for gateway in self._gateways.values())
            if is_reporting or current_sends != sends or await self._count_queued():
                settled_since, sends = loop.time(), current_sends
            if loop.time() - settled_since > SETTLED_SECONDS:
                return True
            await asyncio.sleep(0.1)
        return False

    async def _count_recorded(self) -> int:
        """Count the messages of which every call has ended and is recorded."""
        records = (await self._records()).values()
        return sum(all(one.status not in ("queued", "sending") for one in record.deliveries) for record in records)

    async def _count_queued(self) -> int:
        """Count the messages in the outbox."""
        async with self._store.pipeline(transaction=False) as pipeline:
            for number in range(PARTITIONS):
                pipeline.zcard(ALL_PARTITIONS[number].outbox)
            return sum(await pipeline.execute())

    async def _observe(self, *, settled: bool) -> Observations:
        records = await self._records()
        received = {verification_id for caller in self._callers for verification_id in caller.ids}
        return Observations(
            scenario=self._scenario,
            callers=self._callers,
            messages=self._messages(),
            states={verification_id: await self._client.read(verification_id) for verification_id in sorted(received)},
            records=records,
            unreported_ids=records.keys() - received,
            settled=settled,
            in_flight=self._in_flight,
            kills_ms=self._replicas.kills_ms,
            outages_ms={name: gateway.outages_ms for name, gateway in self._gateways.items()},
            lag_ms=0,
            seconds=0,
            log="",
            errors=self._errors,
        )

    async def _records(self) -> dict[str, VerificationRecord]:
        records = {}
        async for key in self._store.scan_iter(match="*:v:*", count=1000):
            if packed := await self._store.get(key):
                records[key.decode().rpartition(":")[2]] = _RECORD.decode(packed)
        return records

    async def _verify_all(self, observations: Observations) -> None:
        """Submit the code of every message whose verification stays pending for a while; it must be correct."""
        messages = {message.number: message for message in observations.messages}
        for caller in observations.callers:
            is_valid = (
                caller.id in observations.records
                and observations.records[caller.id].expires_ms > time.time() * 1000 + MIN_LIFETIME_MS
            )
            if is_valid and caller.number in messages and observations.states[caller.id]["status"] == "pending":
                await self._client.verify(caller.id, messages[caller.number].code)

    def _messages(self) -> list[AcceptedMessage]:
        return sorted(
            (message for one in self._gateways.values() for message in one.accepted), key=lambda message: message.at_ms
        )

    def _messages_to(self, number: str) -> list[AcceptedMessage]:
        return [message for message in self._messages() if message.number == number]
