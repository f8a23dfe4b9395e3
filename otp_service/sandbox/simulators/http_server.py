"""The ground that simulators stand on: one HTTP server on loopback, whose failures are scripted request by request.

It is written on bare streams, because most of what it is for lies below HTTP: a port where nobody listens, a request
that is read and never answered, a connection that is cut after it. A request is kept as the bytes that came, before
anything judges it. Each connection carries one request, as with a gateway that closes.

Who is refused a connection leaves no trace here, so an outage (`Down`) is not told in requests but in seconds: it
begins when its turn comes, and the script goes on when it is over.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from otp_service.sandbox.simulators.listening_port import LOOPBACK, ListeningPort

__all__ = [
    "Behaviour",
    "Cut",
    "Down",
    "Hang",
    "Raw",
    "Request",
    "Respond",
    "ScriptStep",
    "Simulator",
    "SimulatorResponse",
    "Slow",
]

PORT_WANTED_SECONDS: Final = 0.5
"""How often a gateway that comes back tries for its port while somebody else has it."""

_REASONS: Final = {200: "OK", 302: "Found", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. `target` is path and query as they stood in the request line; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark, still encoded."""
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class SimulatorResponse:
    """An answer; its length is added."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Write it down as HTTP/1.1."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Scripted')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(self.body)}", "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Hang:
    """Act on the request, and never answer; `acts` False: do not even act."""

    processed: bool = True


@dataclass(frozen=True, slots=True)
class Cut:
    """Act on the request, and close the connection instead of answering; `acts` False: do not even act."""

    processed: bool = True


@dataclass(frozen=True, slots=True)
class Slow:
    """Act on the request at once, and answer only after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Respond:
    """Do not act on the request, and answer this."""

    reply: SimulatorResponse


@dataclass(frozen=True, slots=True)
class Raw:
    """Do not act on the request, write these bytes, and close."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Down:
    """Do not listen, for so many seconds from when its turn comes; as `always`: until told otherwise."""

    seconds: float = 1.0


Behaviour = Hang | Cut | Slow | Respond | Raw
ScriptStep = Behaviour | Down | None


class Simulator(ABC):
    """A server whose `requests` can be counted; `answer` is the gateway's own part.

    Use it as a context. `close` and a later `listen` are a gateway that goes down and comes back on its port. With
    paths in `only`, the script is for requests to those, and every other one is answered as the gateway does.
    """

    def __init__(self) -> None:
        """Answer every request as the gateway does, until told otherwise."""
        self.requests: list[Request] = []
        self.scripted_paths: frozenset[str] = frozenset()
        self._always: ScriptStep = None
        self._next: deque[ScriptStep] = deque()
        self._port = ListeningPort(self._connected)
        self._open = False
        self._waiting: asyncio.TimerHandle | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @abstractmethod
    def answer(self, request: Request) -> SimulatorResponse:
        """Do what the gateway does with a request."""

    @property
    def url(self) -> str:
        """The address, for `base_url`; it has a port once it has listened."""
        return f"http://{LOOPBACK}:{self._port.number}"

    @property
    def listening(self) -> bool:
        """Whether a connection would be taken now."""
        return self._port.listening

    @property
    def always(self) -> ScriptStep:
        """What it does when the script is at its end."""
        return self._always

    @always.setter
    def always(self, step: ScriptStep) -> None:
        self._always = step
        self._take_turn()

    @property
    def pending_steps(self) -> tuple[ScriptStep, ...]:
        """What is still to come."""
        return tuple(self._next)

    def script(self, *steps: ScriptStep, replace_pending: bool = False) -> None:
        """Behave like this for the next requests, one each (None: as the gateway does); then as `always` says.

        `anew`: forget what was still to come.
        """
        if replace_pending:
            self._next.clear()
            self._stop_waiting()
        self._next.extend(steps)
        self._take_turn()

    def bind(self, port: int = 0) -> None:
        """Take `port` (0: any that is free) before `listen`; raises OSError."""
        self._port.bind(port)

    async def listen(self, port: int = 0) -> None:
        """Listen on `port`; 0: on the port that it has, or else on any that is free."""
        await self._port.open(port)
        self._open = True
        self._take_turn()

    async def close(self) -> None:
        """Listen no more, and drop every connection."""
        self._open = False
        self._stop_waiting()
        await self._port.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def _take_turn(self) -> None:
        """Leave the port, or come back to it, when that is what the script has come to."""
        if not self._open or self._waiting is not None:
            return
        step = self._next[0] if self._next else self._always
        if not isinstance(step, Down):
            if not self._port.come_back():
                self._wait(PORT_WANTED_SECONDS, self._take_turn)
            return
        self._port.leave()
        if self._next:
            self._wait(step.seconds, self._end_outage)

    def _end_outage(self) -> None:
        self._next.popleft()
        self._take_turn()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        def woken() -> None:
            self._waiting = None
            then()

        self._waiting = asyncio.get_running_loop().call_later(seconds, woken)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
                request = await _read(reader)
                self.requests.append(request)
                await self._behave(request, reader, writer)
        finally:
            writer.transport.abort()

    async def _behave(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behaviour = self._behaviour(request)
        match behaviour:
            case None:
                await _write(writer, self.answer(request).encoded())
            case Slow(seconds):
                reply = self.answer(request)
                await asyncio.sleep(seconds)
                await _write(writer, reply.encoded())
            case Hang(processed) | Cut(processed):
                if processed:
                    self.answer(request)
                if isinstance(behaviour, Hang):
                    await reader.read()  # until the client has had enough
            case Respond(reply):
                await _write(writer, reply.encoded())
            case Raw(data):
                await _write(writer, data)

    def _behaviour(self, request: Request) -> Behaviour | None:
        """Take the next step of the script; who got in before an outage is served."""
        if self.scripted_paths and request.path not in self.scripted_paths:
            return None
        step = self._always
        if self._next:
            step = None if isinstance(self._next[0], Down) else self._next.popleft()
            self._take_turn()
        return None if isinstance(step, Down) else step


async def _read(reader: asyncio.StreamReader) -> Request:
    """Read one request; raises ValueError or EOFError for what is none."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write everything, and let the client read it before the connection ends."""
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
