"""The base of all simulators: an HTTP server on loopback whose failures are scripted request by request.

It uses bare streams, because most failures are below HTTP: a port on which nothing listens, a request that gets no
response, a connection that is closed after the request. Requests are recorded as they were received, before any
validation. Each connection serves one request and is closed.

A refused connection cannot be counted, so an outage (`Down`) lasts for a time and not for a number of requests: it
begins when the script reaches it, and the script continues after it.
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
    "Behavior",
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

PORT_RETRY_SECONDS: Final = 0.5
"""The interval at which a gateway tries to reopen its port while another process has it."""

_REASONS: Final = {200: "OK", 302: "Found", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(frozen=True, slots=True)
class Request:
    """A received request; `target` is path and query as in the request line, header names are in lower case."""

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
        """The percent-encoded query, without the question mark."""
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class SimulatorResponse:
    """A response; `Content-Length` and `Connection: close` are added."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return the response as HTTP/1.1."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Scripted')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(self.body)}", "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Hang:
    """Send no response; with `processed` False, do not process the request either."""

    processed: bool = True


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection without a response; with `processed` False, do not process the request either."""

    processed: bool = True


@dataclass(frozen=True, slots=True)
class Slow:
    """Process the request at once, and respond after a delay."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Respond:
    """Do not process the request, and send this response."""

    response: SimulatorResponse


@dataclass(frozen=True, slots=True)
class Raw:
    """Do not process the request; write these bytes and close the connection."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Down:
    """Stop listening for some seconds from the moment that the script reaches it; as `always`, until that changes."""

    seconds: float = 1.0


Behavior = Hang | Cut | Slow | Respond | Raw
ScriptStep = Behavior | Down | None


class Simulator(ABC):
    """A scripted HTTP server; a subclass implements the gateway in `answer`.

    Use it as a context manager. After `close`, `listen` reopens the same port. `requests` are all requests received.
    If `scripted_paths` is not empty, the script applies to requests to these paths only, and all other requests are
    processed normally.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.scripted_paths: frozenset[str] = frozenset()
        self._always: ScriptStep = None
        self._pending: deque[ScriptStep] = deque()
        self._port = ListeningPort(self._connected)
        self._is_open = False
        self._timer: asyncio.TimerHandle | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @abstractmethod
    def answer(self, request: Request) -> SimulatorResponse:
        """Process a request as the gateway does."""

    @property
    def url(self) -> str:
        """The base URL; valid after `bind` or `listen`."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def port(self) -> int:
        """The port; valid after `bind` or `listen`."""
        return self._port.number

    @property
    def listening(self) -> bool:
        """True if a connection is accepted now."""
        return self._port.listening

    @property
    def always(self) -> ScriptStep:
        """The step for every request after the pending steps; None processes it normally."""
        return self._always

    @always.setter
    def always(self, step: ScriptStep) -> None:
        self._always = step
        self._apply_outage()

    @property
    def pending_steps(self) -> tuple[ScriptStep, ...]:
        """The steps that are not done yet."""
        return tuple(self._pending)

    def script(self, *steps: ScriptStep, replace_pending: bool = False) -> None:
        """Append steps, one for each of the next requests (None processes it normally); or replace pending ones."""
        if replace_pending:
            self._pending.clear()
            self._cancel_timer()
        self._pending.extend(steps)
        self._apply_outage()

    def bind(self, port: int = 0) -> None:
        """Bind `port` before `listen`; 0 is any free port. Raises OSError if the port is in use."""
        self._port.bind(port)

    async def listen(self, port: int = 0) -> None:
        """Listen on `port`; 0 is the port that it had before, or else any free port."""
        await self._port.open(port)
        self._is_open = True
        self._apply_outage()

    async def close(self) -> None:
        """Stop listening, and drop all connections."""
        self._is_open = False
        self._cancel_timer()
        await self._port.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _apply_outage(self) -> None:
        """Close the port if the current step is an outage, else reopen it."""
        if not self._is_open or self._timer is not None:
            return
        step = self._pending[0] if self._pending else self._always
        if not isinstance(step, Down):
            if not self._port.resume_listening():
                self._start_timer(PORT_RETRY_SECONDS, self._apply_outage)
            return
        self._port.stop_listening()
        if self._pending:
            self._start_timer(step.seconds, self._end_outage)

    def _end_outage(self) -> None:
        self._pending.popleft()
        self._apply_outage()

    def _start_timer(self, seconds: float, then: Callable[[], None]) -> None:
        def expired() -> None:
            self._timer = None
            then()

        self._timer = asyncio.get_running_loop().call_later(seconds, expired)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
                request = await _read(reader)
                self.requests.append(request)
                await self._respond(request, reader, writer)
        finally:
            writer.transport.abort()

    async def _respond(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behavior = self._next_behavior(request)
        match behavior:
            case None:
                await _write(writer, self.answer(request).encoded())
            case Slow(seconds):
                response = self.answer(request)
                await asyncio.sleep(seconds)
                await _write(writer, response.encoded())
            case Hang(processed) | Cut(processed):
                if processed:
                    self.answer(request)
                if isinstance(behavior, Hang):
                    await reader.read()  # until the client closes the connection
            case Respond(response):
                await _write(writer, response.encoded())
            case Raw(data):
                await _write(writer, data)

    def _next_behavior(self, request: Request) -> Behavior | None:
        """Remove and return the next step; a request accepted before an outage began is processed normally."""
        if self.scripted_paths and request.path not in self.scripted_paths:
            return None
        step = self._always
        if self._pending:
            step = None if isinstance(self._pending[0], Down) else self._pending.popleft()
            self._apply_outage()
        return None if isinstance(step, Down) else step


async def _read(reader: asyncio.StreamReader) -> Request:
    """Read one request; raises ValueError if it is not HTTP, and EOFError if it is incomplete."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write all data, and close the connection after the client has received it."""
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
