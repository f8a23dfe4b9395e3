"""A load generator in a process of its own: callers of the service, and the gateway that its messages go to.

`python -m tests.bench.load_generator` reads one JSON object from standard input (see `Job`), warms up, writes `warm`
and waits for a line. Then it measures, writes `done`, and one JSON object with the results. The gateway keeps running
until the standard input ends and every caller has finished what it was doing: a message without a gateway would open
the provider's circuit, and the next load would be refused.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal
from urllib.parse import urlsplit

import msgspec
import uvloop

from tests.bench.load_connections import Caller, Gateway

NUMBERS_PER_SEED: Final = 10_000_000
SPREAD: Final = 3**18
"""Coprime to the count of numbers: consecutive callers have numbers of different blocks, and none comes twice."""

WRONG_CODE: Final = "0000000"
ATTEMPTS: Final = 5
REFUSED: Final = (429, 503)
MESSAGE_SECONDS: Final = 30.0
RECONNECT_SECONDS: Final = 0.05

Kind = Literal["cycle", "code", "decoy", "wrong", "post"]


class Job(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to do.

    `kind` is `cycle` (request a code, wait for the message, verify), `code` (the same without verifying), `decoy` (a
    request without a message), `wrong` (a wrong code; a verification is requested for every five) or `post` (the same
    request every time).

    Closed loop: `callers` connections, each sends when it has its last answer, for `seconds`, or until `count` units
    are done. Open loop: with `per_second`, arrivals of a Poisson process, each timed from its scheduled moment, so a
    stalled service is charged for all that arrived meanwhile. `pause` seconds before each request keep what the service
    does after an answer apart from the next request.
    """

    url: str
    gateway_port: int = 0
    kind: Kind = "cycle"
    callers: int = 64
    seconds: float = 0.0
    count: int = 0
    per_second: float = 0.0
    warm_up: float = 0.5
    prepared: int = 0
    pause: float = 0.0
    seed: int = 1
    path: str = ""
    body: str = ""
    key: str = ""


@dataclass(slots=True)
class Results:
    """Seconds by step, answers by status, and finished units."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[str] = field(default_factory=Counter)
    units: int = 0


class Generator:
    """Runs one job."""

    gateway: ClassVar[type[Gateway]] = Gateway

    def __init__(self, job: Job) -> None:
        self.job, self.results = job, Results()
        self._headers = self.headers(job.key)
        self._idle: list[Caller] = []
        self._random = random.Random(job.seed)  # noqa: S311 - arrivals, not secrets
        self._numbers = iter(range(job.seed * NUMBERS_PER_SEED, (job.seed + 1) * NUMBERS_PER_SEED))
        self._attempts: deque[str] = deque()
        self._callers: list[asyncio.Task[None]] = []
        self._is_ending = False
        units: Mapping[Kind, Callable[[float], Awaitable[None]]] = {
            "cycle": self.cycle,
            "code": self._code,
            "decoy": self._decoy,
            "wrong": self._wrong,
            "post": self._post,
        }
        self._unit = units[job.kind]

    def headers(self, key: str) -> str:
        """Return the header lines of each request."""
        credential = f"Authorization: Bearer {key}\r\n" if key else ""
        return f"{credential}Content-Type: application/json\r\n"

    async def run(self, lines: asyncio.StreamReader) -> dict[str, object]:
        """Warm up and measure; `lines` is the standard input."""
        if self.job.gateway_port:
            await asyncio.get_running_loop().create_server(self.gateway, "127.0.0.1", self.job.gateway_port)
        for _ in range(0, self.job.prepared, self.job.callers):
            await asyncio.gather(*(self._prepare() for _ in range(self.job.callers)))
        is_timed = not self.job.count and not self.job.per_second
        if is_timed:
            self._callers = self._closed()
            await asyncio.sleep(self.job.warm_up)
        elif self.job.warm_up:
            await self._finite(round(self.job.callers * 2))
        say("warm")
        await lines.readline()
        self.results, started, used = Results(), time.monotonic(), own_cpu_seconds()
        if self.job.per_second:
            await self._open()
        elif self.job.count:
            await self._finite(self.job.count)
        else:
            await self._until_told(lines)
        results, took = self.results, time.monotonic() - started
        for caller in self._callers:
            if caller.done():
                caller.result()  # it failed
        self._is_ending = True
        return {
            "seconds": took,
            "own_cpu_seconds": own_cpu_seconds() - used,
            "count": results.units,
            "statuses": dict(results.statuses),
            "times": {step: [round(1000 * one, 3) for one in times] for step, times in results.seconds.items()},
        }

    async def finish(self) -> None:
        """Wait until every caller has finished its last unit."""
        await asyncio.gather(*self._callers)

    async def _until_told(self, lines: asyncio.StreamReader) -> None:
        """Wait for `seconds`, or until a line or the end of the standard input arrives."""
        try:
            async with asyncio.timeout(self.job.seconds):
                await lines.readline()
        except TimeoutError:
            return

    def _closed(self) -> list[asyncio.Task[None]]:
        async def repeat() -> None:
            while not self._is_ending:
                await self._one(time.monotonic())

        return [asyncio.create_task(repeat()) for _ in range(self.job.callers)]

    async def _finite(self, count: int) -> None:
        left = count

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await self._one(time.monotonic())

        await asyncio.gather(*(work() for _ in range(self.job.callers)))

    async def _open(self) -> None:
        due, tasks = time.monotonic(), []
        until = due + self.job.seconds
        while (due := due + self._random.expovariate(self.job.per_second)) < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(self._one(due)))
        await asyncio.gather(*tasks)

    async def _one(self, due: float) -> None:
        try:
            await self._unit(due)
        except TimeoutError:
            self.results.statuses["no message"] += 1
        except ConnectionError:
            self.results.statuses["closed"] += 1
            await asyncio.sleep(RECONNECT_SECONDS)
        else:
            self.results.units += 1

    async def _send(self, target: str, body: bytes) -> tuple[int, bytes]:
        """Send a request on the connection that was used last, or on a new one."""
        caller = self._idle.pop() if self._idle else None
        if caller is None or caller.closed:
            where = urlsplit(self.job.url)
            assert where.hostname and where.port
            _, caller = await asyncio.get_running_loop().create_connection(Caller, where.hostname, where.port)
        answer = await caller.send(target, self._headers, body)
        self._idle.append(caller)
        return answer

    async def timed(self, step: str, due: float, target: str, body: bytes) -> tuple[int, bytes]:
        """Send a request of a step that was due at a time, to a target (method and path); return status and body."""
        if self.job.pause:
            await asyncio.sleep(self.job.pause)
        status, answer = await self._send(target, body)
        self.results.statuses[f"{step} {status}"] += 1
        self.results.seconds[step].append(time.monotonic() - due)
        return status, answer

    def next_number(self) -> str:
        """Return a number (digits only) that this job has not used."""
        return f"62812{next(self._numbers) * SPREAD % 10**9:09d}"

    async def _request(self, due: float, *, decoy: bool = False) -> tuple[str, str] | None:
        """Request a code; return the id and the code of the message. None if it was refused or is a decoy."""
        number = self.next_number()
        arrived = None if decoy or not self.job.gateway_port else Gateway.expect_message(number)
        ending = b',"decoy":true' if decoy else b""
        body = b'{"phone":"+%s","purpose":"login"%s}' % (number.encode(), ending)
        status, answer = await self.timed("request", due, "POST /v1/request-code", body)
        if status not in (202, *REFUSED):
            raise SystemExit(answer.decode())
        if status != 202:
            Gateway.waiting.pop(number, None)
            return None
        verification_id = json.loads(answer)["verification_id"]
        if arrived is None:
            return verification_id, ""
        accepted = time.monotonic()
        code, at = await message_of(arrived)
        self.results.seconds["delivery"].append(max(0.0, at - accepted))
        return verification_id, code

    async def cycle(self, due: float) -> None:
        """Request a code, wait for its message, and verify it."""
        if found := await self._request(due):
            body = json.dumps({"verification_id": found[0], "code": found[1]}).encode()
            await self.timed("verify", time.monotonic(), "POST /v1/verify-code", body)

    async def _code(self, due: float) -> None:
        await self._request(due)

    async def _decoy(self, due: float) -> None:
        await self._request(due, decoy=True)

    async def _prepare(self) -> None:
        if found := await self._request(time.monotonic(), decoy=self.job.prepared > 0):
            self._attempts.extend([found[0]] * ATTEMPTS)

    async def _wrong(self, due: float) -> None:
        if not self._attempts:
            await self._prepare()
        if self._attempts:
            body = json.dumps({"verification_id": self._attempts.popleft(), "code": WRONG_CODE}).encode()
            await self.timed("wrong", due, "POST /v1/verify-code", body)

    async def _post(self, due: float) -> None:
        await self.timed("post", due, f"POST {self.job.path}", self.job.body.encode())


async def message_of(arrived: asyncio.Future[tuple[str, float]]) -> tuple[str, float]:
    """Return the code of a message and its time.

    Raises:
        TimeoutError: It has not arrived within `MESSAGE_SECONDS`.
    """
    async with asyncio.timeout(MESSAGE_SECONDS):
        return await arrived


def own_cpu_seconds() -> float:
    """CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def say(line: str) -> None:
    """Write a line to whoever started this process."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(make: Callable[[Job], Generator] = Generator) -> None:
    """Read the job, run it, print the result, and wait for the end of the standard input."""
    lines = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    generator = make(msgspec.json.decode(await lines.readline(), type=Job))
    result = await generator.run(lines)
    say("done")
    say(json.dumps(result))
    await lines.read()
    await generator.finish()


if __name__ == "__main__":
    uvloop.run(main())
