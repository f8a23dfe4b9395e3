"""Whether the store may be used: every primary answers, takes writes, and does not evict keys.

A server that evicts keys when its memory is full would forget wrong guesses, so calls are refused until every primary
is known not to (each new connection asks too, in `link.py`: a fail-over may bring another server). What else is wrong,
such as a server that takes no writes, is told by `ready`: calls that need it fail by themselves.
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
from otp_service.store.pipelined_connection import RETRY_AFTER_MS, SAFE_POLICY, EvictionRefused, ScriptReply
from otp_service.store.topology import Topology

__all__ = ["StoreReadiness", "StoreStatus", "persists", "probe"]

FIRST_PROBE_SECONDS: Final = 1.0
PROBE_EVERY_SECONDS: Final = 1.0
PROBE_SOON_SECONDS: Final = 0.3
"""While something is wrong."""
PROBES_A_SECOND: Final = 20
PROBE_BURST: Final = 10
"""Whoever asks more often is told the last status again (at most 50 ms old), so that no flood reaches the store."""
TRY_AGAIN_SECONDS: Final = 0.3
"""A probe that fails within this time may be tried again before its caller has waited for too long."""

NOT_REACHABLE: Final = "not reachable"
_BY_CLASS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis_errors.ReadOnlyError, "read-only"),
    (redis_errors.OutOfMemoryError, "out of memory"),
    (redis_errors.BusyLoadingError, "loading its data"),
    (redis_errors.ClusterDownError, "cluster down"),
    (redis_errors.MasterDownError, "read-only"),
    (redis_errors.AuthenticationError, "credentials refused"),
    (redis_errors.NoPermissionError, "a command is not permitted"),
    (ssl.SSLError, "TLS failed"),
)
_BY_CODE: Final = {
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
    """What is wrong with the store, in words without addresses; nothing: it may be used.

    `unsafe_policies` are eviction policies that forget ("": not told), `reached` says that some primary answered.
    """

    problems: tuple[str, ...] = ()
    unsafe_policies: tuple[str, ...] = ()
    reached: bool = True

    @property
    def detail(self) -> str:
        """One sentence for a person."""
        return f"The store cannot be used now: {'; '.join(self.problems) or 'it was not looked at yet'}."


async def probe(topology: Topology, *, allow_eviction: bool) -> StoreStatus:
    """Try every primary, once more when a connection was lost on the way: that alone is no problem."""
    loop = asyncio.get_running_loop()
    again_until = loop.time() + TRY_AGAIN_SECONDS
    answers = await topology.probe()
    if any(map(_lost, answers)) and loop.time() < again_until:
        answers = await topology.probe()
    return _status(answers, allow_eviction=allow_eviction)


async def persists(topology: Topology) -> bool:
    """Say whether anything outlives a restart: an append-only file, snapshots, or we are not allowed to know."""
    try:
        facts = await topology.command("INFO", "persistence")  # the client makes a mapping of it
        saves = await topology.command("CONFIG", "GET", "save")
    except Refused:
        return True
    values = saves.values() if isinstance(saves, dict) else saves[1::2]
    return bool(facts.get("aof_enabled")) or any(values)


class _Budget:
    """How many probes may be made: a burst, and then so many a second."""

    def __init__(self) -> None:
        self._left = float(PROBE_BURST)
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take one, if there is one."""
        now = time.monotonic()
        self._left = min(PROBE_BURST, self._left + (now - self._at) * PROBES_A_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class StoreReadiness:
    """Watches the store from `start` to `stop`."""

    def __init__(self, topology: Topology, *, allow_eviction: bool) -> None:
        """Probe through `topology`; `allow_eviction` accepts servers that may forget."""
        self._topology = topology
        self._allow_eviction = allow_eviction
        self._status = StoreStatus((NOT_REACHABLE,), reached=False)
        self._trusted = False
        self._told: tuple[str, ...] = ()
        self._budget = _Budget()
        self._probed_at = -math.inf
        self._probing = asyncio.Lock()
        self._probed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raise `Refused` (`store_unavailable`) while it is not known that the store does not evict keys."""
        if not self._trusted:
            raise _refused(self._status)

    async def ready(self) -> None:
        """Raise `Refused` (`store_unavailable`, with what is wrong) unless every primary can be used now."""
        status = await self._fresh()
        if status.problems:
            raise _refused(status)

    async def start(self) -> None:
        """Begin to watch; wait a moment for the first probe, so that who is served first is not refused for it."""
        self._task = asyncio.create_task(self._watch(), name="store-readiness")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_PROBE_SECONDS):
                await self._probed.wait()

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                await self._fresh()
            except Exception:
                LOG.exception("store_probe_failed")
            self._probed.set()
            await asyncio.sleep(PROBE_SOON_SECONDS if self._status.problems else PROBE_EVERY_SECONDS)

    async def _fresh(self) -> StoreStatus:
        """Give the status, probed now or a moment ago; who comes while a probe is under way waits for its answer."""
        asked_at = time.monotonic()
        async with self._probing:
            if self._probed_at < asked_at and self._budget.take():
                self._note(await probe(self._topology, allow_eviction=self._allow_eviction))
                self._probed_at = time.monotonic()
        return self._status

    def _note(self, status: StoreStatus) -> None:
        """Keep a status; a change is logged once. Trust ends when a server may evict, and begins when none does."""
        self._status = status
        if status.unsafe_policies:
            self._trusted = False
        elif status.reached:
            self._trusted = True
        if status.problems == self._told:
            return
        self._told = status.problems
        if status.unsafe_policies:
            policies = ", ".join(policy or "unknown" for policy in status.unsafe_policies)
            LOG.error("store_refused", maxmemory_policy=policies, problems="; ".join(status.problems))
        elif status.problems:
            LOG.warning("store_not_ready", problems="; ".join(status.problems))
        else:
            LOG.info("store_ready")


def _status(answers: Sequence[ScriptReply | Refused], *, allow_eviction: bool) -> StoreStatus:
    problems, policies = [], set[str]()
    for answer in answers:
        policy = _policy(answer)
        if policy is None:
            problems.append(_word(answer.__cause__))
        elif policy != SAFE_POLICY and not allow_eviction:
            policies.add(policy)
            problems.append(f"may evict keys (maxmemory-policy {policy})" if policy else "eviction policy unknown")
    reached = any(not isinstance(answer, Refused) for answer in answers)
    return StoreStatus(tuple(sorted(set(problems))), tuple(sorted(policies)), reached)


def _policy(answer: ScriptReply | Refused) -> str | None:
    """Read the eviction policy; None: the server did not get so far."""
    if not isinstance(answer, Refused):
        return str(answer[0].decode())
    cause = answer.__cause__
    return cause.policy if isinstance(cause, EvictionRefused) else None


def _word(cause: BaseException | None) -> str:
    """Say in words what a server refused, or that it did not answer."""
    for error in _chain(cause):
        for kind, word in _BY_CLASS:
            if isinstance(error, kind):
                return word
        if isinstance(error, redis_errors.ResponseError):
            return _BY_CODE.get(str(error).lstrip("-").partition(" ")[0], "commands refused")
    return NOT_REACHABLE


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk from an error to what caused it: the client wraps what happens while it connects."""
    while error is not None:
        yield error
        error = error.__cause__


def _lost(answer: ScriptReply | Refused) -> bool:
    cause = answer.__cause__ if isinstance(answer, Refused) else None
    return isinstance(cause, redis_errors.ConnectionError | OSError) and not isinstance(
        cause, redis_errors.BusyLoadingError | redis_errors.AuthenticationError | TimeoutError
    )


def _refused(status: StoreStatus) -> Refused:
    return Refused(Reason.STORE_UNAVAILABLE, status.detail, retry_after_ms=RETRY_AFTER_MS)
