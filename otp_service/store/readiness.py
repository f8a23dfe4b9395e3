"""Whether the store may be used: every primary replies, accepts writes, and does not evict keys.

A server that evicts keys when its memory is full would forget wrong codes, so calls are refused until every primary is
known not to evict (each new connection checks it too, in `pipelined_connection.py`: after a failover another server may
reply). Other problems, such as a server that accepts no writes, are reported by `ready`: calls that need it fail by
themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from redis import exceptions as redis_errors

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG
from otp_service.store.replies import RETRY_AFTER_MS, SAFE_EVICTION_POLICY, EvictionRefused, ScriptReply
from otp_service.store.topology import Topology

__all__ = ["StoreReadiness", "StoreStatus", "persists", "probe"]

FIRST_PROBE_SECONDS: Final = 1.0
"""How long the start of the service waits for the first probe."""

PROBE_INTERVAL_SECONDS: Final = 1.0

PROBLEM_PROBE_INTERVAL_SECONDS: Final = 0.3
"""While there is a problem."""

PROBES_PER_SECOND: Final = 20
"""Faster calls of `/readyz` get the last status again (at most 50 ms old), so that no flood reaches the store."""

PROBE_BURST: Final = 10

RETRY_WITHIN_SECONDS: Final = 0.3
"""A probe that loses a connection within this time is retried; later, its caller has waited long enough."""


NOT_REACHABLE: Final = "not reachable"
_PROBLEM_BY_CLASS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis_errors.ReadOnlyError, "read-only"),
    (redis_errors.OutOfMemoryError, "out of memory"),
    (redis_errors.BusyLoadingError, "loading its data"),
    (redis_errors.ClusterDownError, "cluster down"),
    (redis_errors.MasterDownError, "read-only"),
    (redis_errors.AuthenticationError, "credentials refused"),
    (redis_errors.NoPermissionError, "a command is not permitted"),
    (ssl.SSLError, "TLS failed"),
)
_PROBLEM_BY_CODE: Final = {
    "NOREPLICAS": "too few replicas",
    "READONLY": "read-only",
    "OOM": "out of memory",
    "MISCONF": "cannot save its data",
    "NOAUTH": "credentials refused",
    "WRONGPASS": "credentials refused",
    "NOPERM": "a command is not permitted",
    "ACL": "a command is not permitted",
    "BUSY": "busy with a script",
}


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The result of a probe.

    Attributes:
        problems: What is wrong, in words without addresses; empty: the store may be used.
        unsafe_policies: Eviction policies that forget keys ("": not reported).
        reached: At least one primary answered.
    """

    problems: tuple[str, ...] = ()
    unsafe_policies: tuple[str, ...] = ()
    reached: bool = True

    @property
    def detail(self) -> str:
        """One sentence for an error response."""
        return f"The store cannot be used now: {'; '.join(self.problems) or 'it was not probed yet'}."


async def probe(topology: Topology, *, allow_eviction: bool) -> StoreStatus:
    """Probe every primary; probe again when a connection was lost, because that alone is not a problem."""
    loop = asyncio.get_running_loop()
    retry_until = loop.time() + RETRY_WITHIN_SECONDS
    results = await topology.probe()
    if any(map(_lost_connection, results)) and loop.time() < retry_until:
        results = await topology.probe()
    return _status(results, allow_eviction=allow_eviction)


async def persists(topology: Topology) -> bool:
    """Return whether data survives a restart: an append-only file or snapshots. True if that is not reported."""
    try:
        info = await topology.command("INFO", "persistence")  # the client parses it into a mapping
        saves = await topology.command("CONFIG", "GET", "save")
    except Refused:
        return True
    values = saves.values() if isinstance(saves, dict) else saves[1::2]
    return bool(info.get("aof_enabled")) or any(values)


class _ProbeRateLimit:
    """A token bucket for probes."""

    def __init__(self) -> None:
        self._left = float(PROBE_BURST)
        self._at = time.monotonic()

    def acquire(self) -> bool:
        """Take one token; False when there is none."""
        now = time.monotonic()
        self._left = min(PROBE_BURST, self._left + (now - self._at) * PROBES_PER_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class StoreReadiness:
    """Probes the store regularly between `start` and `stop`."""

    def __init__(self, topology: Topology, *, allow_eviction: bool) -> None:
        """Probe through `topology`; `allow_eviction` accepts servers that may evict keys."""
        self._topology = topology
        self._allow_eviction = allow_eviction
        self._status = StoreStatus((NOT_REACHABLE,), reached=False)
        self._trusted = False
        self._reported: tuple[str, ...] = ()
        self._rate_limit = _ProbeRateLimit()
        self._probed_at = -math.inf
        self._probing = asyncio.Lock()
        self._probed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raise `Refused` (`store_unavailable`) unless the store is known not to evict keys."""
        if not self._trusted:
            raise _refused(self._status)

    async def ready(self) -> None:
        """Raise `Refused` (`store_unavailable`, with the problems) unless every primary can be used now."""
        status = await self._current_status()
        if status.problems:
            raise _refused(status)

    async def start(self) -> None:
        """Start probing; wait a moment for the first result, so that the first requests are not refused without one."""
        self._task = asyncio.create_task(self._probe_forever(), name="store-readiness")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_PROBE_SECONDS):
                await self._probed.wait()

    async def stop(self) -> None:
        """Stop probing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _probe_forever(self) -> None:
        while True:
            try:
                await self._current_status()
            except Exception:
                LOG.exception("store_probe_failed")
            self._probed.set()
            await asyncio.sleep(PROBLEM_PROBE_INTERVAL_SECONDS if self._status.problems else PROBE_INTERVAL_SECONDS)

    async def _current_status(self) -> StoreStatus:
        """Return a status probed now or a moment ago; callers during a probe wait for its result."""
        asked_at = time.monotonic()
        async with self._probing:
            if self._probed_at < asked_at and self._rate_limit.acquire():
                self._update(await probe(self._topology, allow_eviction=self._allow_eviction))
                self._probed_at = time.monotonic()
        return self._status

    def _update(self, status: StoreStatus) -> None:
        """Store a status, and log a change once. `_trusted` is False while a server may evict keys."""
        self._status = status
        if status.unsafe_policies:
            self._trusted = False
        elif status.reached:
            self._trusted = True
        if status.problems == self._reported:
            return
        self._reported = status.problems
        if status.unsafe_policies:
            policies = ", ".join(policy or "unknown" for policy in status.unsafe_policies)
            LOG.error("store_refused", maxmemory_policy=policies, problems="; ".join(status.problems))
        elif status.problems:
            LOG.warning("store_not_ready", problems="; ".join(status.problems))
        else:
            LOG.info("store_ready")


def _status(results: Sequence[ScriptReply | Refused], *, allow_eviction: bool) -> StoreStatus:
    problems, policies = [], set[str]()
    for result in results:
        policy = _policy(result)
        if policy is None:
            problems.append(_describe(result.__cause__))
        elif policy != SAFE_EVICTION_POLICY and not allow_eviction:
            policies.add(policy)
            problems.append(f"may evict keys (maxmemory-policy {policy})" if policy else "eviction policy unknown")
    reached = any(not isinstance(result, Refused) for result in results)
    return StoreStatus(tuple(sorted(set(problems))), tuple(sorted(policies)), reached)


def _policy(result: ScriptReply | Refused) -> str | None:
    """Return the eviction policy; None when the server did not report any."""
    if not isinstance(result, Refused):
        return str(result[0].decode())
    cause = result.__cause__
    return cause.policy if isinstance(cause, EvictionRefused) else None


def _describe(cause: BaseException | None) -> str:
    """Return in words why a server cannot be used."""
    for error in _causes(cause):
        for kind, word in _PROBLEM_BY_CLASS:
            if isinstance(error, kind):
                return word
        if isinstance(error, redis_errors.ResponseError):
            return _PROBLEM_BY_CODE.get(str(error).lstrip("-").partition(" ")[0], "commands refused")
    return NOT_REACHABLE


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes: the client wraps what happens while it connects."""
    while error is not None:
        yield error
        error = error.__cause__


def _lost_connection(result: ScriptReply | Refused) -> bool:
    cause = result.__cause__ if isinstance(result, Refused) else None
    return isinstance(cause, redis_errors.ConnectionError | OSError) and not isinstance(
        cause, redis_errors.BusyLoadingError | redis_errors.AuthenticationError | TimeoutError
    )


def _refused(status: StoreStatus) -> Refused:
    return Refused(Reason.STORE_UNAVAILABLE, status.detail, retry_after_ms=RETRY_AFTER_MS)
