"""A load generator in a process of its own: callers of the service, and the gateway that its messages go to.

`python -m tests.bench.load_generator` reads one JSON object from standard input (see `Job`), runs it, and prints one
JSON object with the results. The gateway speaks EIMS V1 and remembers the code of each number, so a caller that has
requested a code can verify it. Both are plain asyncio protocols over httptools: the generator costs a fraction of what
it measures.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar, Final, cast
from urllib.parse import unquote_plus, urlsplit

import httptools
import msgspec
import uvloop

CODE: Final = re.compile(r"\b(\d{6})\b")


class Job(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to do. `kind` is `cycle` (request, wait for the message, verify), or one request repeated.

    Closed loop: `callers` connections, each sends when it has the last answer, until `count` are done. Open loop: with
    `per_second`, arrivals of a Poisson process, each timed from its scheduled moment.
    """

    url: str
    gateway_port: int
    kind: str = "cycle"
    callers: int = 64
    count: int = 2000
    warm_up: int = 200
    per_second: float = 0.0
    seed: int = 1
    path: str = ""
    body: str = ""
    key: str = "bench"


@dataclass(slots=True)
class Result:
    """Seconds by step, and answers by status."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, step: str, seconds: float) -> None:
        """Add one time."""
        self.seconds.setdefault(step, []).append(seconds)


class Gateway(asyncio.Protocol):
    """EIMS V1 `sendsms`, without its checks."""

    codes: ClassVar[dict[str, str]] = {}
    waiting: ClassVar[dict[str, asyncio.Future[str]]] = {}
    ids = 0
    connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start parsing."""
        Gateway.connections += 1
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Keep the code of the message."""
        query = dict(pair.split("=", 1) for pair in url.decode().partition("?")[2].split("&"))
        number, found = query["numbers"], CODE.search(unquote_plus(query["content"]))
        assert found
        self._number = number
        waiting = Gateway.waiting.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(found[1])
        else:
            Gateway.codes[number] = found[1]

    def on_message_complete(self) -> None:
        """Accept it."""
        Gateway.ids += 1
        body = f'{{"status":0,"success":1,"fail":0,"array":[["{self._number}",{Gateway.ids}]]}}'.encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


class Caller(asyncio.Protocol):
    """One connection to the service; one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast("asyncio.Transport", transport)
        self.closed = False
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def data_received(self, data: bytes) -> None:
        """Parse an answer."""
        self._parser.feed_data(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Fail the request that waits."""
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed"))

    def on_body(self, body: bytes) -> None:
        """Keep the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Give the answer."""
        assert self._answer is not None
        if not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), self._body))

    async def post(self, path: str, key: str, body: bytes) -> tuple[int, bytes]:
        """Send one request; the status and the body of its answer."""
        self._parser, self._body = httptools.HttpResponseParser(self), b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            b"POST %s HTTP/1.1\r\nHost: otp\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (path.encode(), key.encode(), len(body), body)
        )
        return await self._answer


class Generator:
    """Runs one job."""

    def __init__(self, job: Job) -> None:
        """Prepare `job`."""
        self.job, self.result = job, Result()
        self._idle: list[Caller] = []
        self._slots = asyncio.Semaphore(job.callers)
        self._random = random.Random(job.seed)  # noqa: S311 - arrivals, not secrets
        self._numbers = iter(range(job.seed * 10_000_000, 10**9))

    async def run(self) -> dict[str, object]:
        """Do it."""
        server = await asyncio.get_running_loop().create_server(Gateway, "127.0.0.1", self.job.gateway_port)
        await self._closed(self.job.warm_up)
        self.result = Result()
        say("warm")
        sys.stdin.readline()
        started = time.monotonic()
        await (self._open() if self.job.per_second else self._closed(self.job.count))
        took = time.monotonic() - started
        say("done")
        server.close()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "seconds": took,
            "count": self.job.count,
            "statuses": dict(self.result.statuses),
            "times": {
                step: {f"p{q}": quantile(times, q / 100) for q in (50, 90, 99, 99.9)}
                for step, times in self.result.seconds.items()
            },
            "own_cpu": usage.ru_utime + usage.ru_stime,
            "gateway_connections": Gateway.connections,
        }

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a request on the connection that was used last, or on a new one."""
        async with self._slots:
            caller = self._idle.pop() if self._idle else None
            if caller is None or caller.closed:
                where = urlsplit(self.job.url)
                assert where.hostname and where.port
                _, caller = await asyncio.get_running_loop().create_connection(Caller, where.hostname, where.port)
            answer = await caller.post(path, self.job.key, body)
            self._idle.append(caller)
            return answer

    async def _closed(self, count: int) -> None:
        left = count

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await self._one(time.monotonic())

        await asyncio.gather(*(work() for _ in range(self.job.callers)))

    async def _open(self) -> None:
        due, tasks = time.monotonic(), []
        for _ in range(self.job.count):
            due += self._random.expovariate(self.job.per_second)
            delay = due - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            tasks.append(asyncio.create_task(self._one(due)))
        await asyncio.gather(*tasks)

    async def _one(self, due: float) -> None:
        if self.job.kind == "cycle":
            await self._cycle(due)
            return
        status, _ = await self._post(self.job.path, self.job.body.encode())
        self.result.statuses[str(status)] += 1
        self.result.add("request", time.monotonic() - due)

    async def _cycle(self, due: float) -> None:
        number = f"62812{next(self._numbers):09d}"[:14]
        arrived = asyncio.get_running_loop().create_future()
        Gateway.waiting[number] = arrived
        status, answer = await self._post("/v1/request-code", b'{"phone":"+%s","purpose":"login"}' % number.encode())
        self.result.statuses[f"request {status}"] += 1
        if status != 202:
            if status not in (429, 503):
                raise SystemExit(answer.decode())
            return
        accepted = time.monotonic()
        self.result.add("request", accepted - due)
        code = await arrived
        self.result.add("delivery", max(0.0, time.monotonic() - accepted))
        again = time.monotonic()
        body = json.dumps({"verification_id": json.loads(answer)["verification_id"], "code": code}).encode()
        status, _ = await self._post("/v1/verify-code", body)
        self.result.statuses[f"verify {status}"] += 1
        self.result.add("verify", time.monotonic() - again)


def say(line: str) -> None:
    """Write a line to whoever started this process."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def quantile(times: list[float], share: float) -> float:
    """Give a quantile in ms."""
    ordered = sorted(times)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)


async def main() -> None:
    """Read the job, run it, print the result."""
    job = msgspec.json.decode(sys.stdin.readline(), type=Job)
    say(json.dumps(await Generator(job).run()))


if __name__ == "__main__":
    uvloop.run(main())
