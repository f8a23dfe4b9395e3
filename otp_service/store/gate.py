"""Whether the store can be trusted with guesses: it must answer, and it must not forget them.

A server that evicts keys under memory pressure would forget wrong guesses, so it is refused. The gate stays shut
until a server has been looked at; a store that is away at the start is looked at as soon as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from otp_service.domain.errors import Refused
from otp_service.observability import LOG
from otp_service.store.link import unavailable
from otp_service.store.topology import Topology

__all__ = ["Findings", "Gate", "inspect"]

LOOK_AGAIN_SECONDS: Final = 0.5
FIRST_LOOK_SECONDS: Final = 1.0
_SAFE_POLICY: Final = "noeviction"


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at the server found: its eviction policy, and whether anything outlives its restart."""

    policy: str
    persists: bool

    @property
    def may_evict(self) -> bool:
        """A full server would forget keys."""
        return self.policy != _SAFE_POLICY


async def inspect(topology: Topology) -> Findings:
    """Look at the server; raises `Refused` (`store_unavailable`) when it does not answer."""
    facts = _facts(await topology.command("INFO", "everything"))
    persists = facts.get("aof_enabled") == "1" or await _saves(topology)
    return Findings(facts.get("maxmemory_policy", _SAFE_POLICY), persists)


async def _saves(topology: Topology) -> bool:
    """Snapshots are configured, or we are not allowed to know."""
    try:
        answer = await topology.command("CONFIG", "GET", "save")
    except Refused:
        return True
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    return any(_text(value) for value in pairs.values())


class Gate:
    """Shut until the server was found fit."""

    def __init__(self, topology: Topology, *, allow_eviction: bool) -> None:
        """Look through `topology`; `allow_eviction` accepts a server that may forget."""
        self._topology = topology
        self._allow_eviction = allow_eviction
        self._open = False
        self._task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raise `Refused` (`store_unavailable`) while the gate is shut."""
        if not self._open:
            raise unavailable()

    async def ready(self) -> None:
        """Raise `Refused` while the gate is shut or the server does not answer now."""
        self.check()
        await self._topology.command("PING")

    async def start(self) -> None:
        """Begin to look; wait a moment for the first look, so that who is served first is not refused for it."""
        self._task = asyncio.create_task(self._look(), name="store-gate")
        await asyncio.wait({self._task}, timeout=FIRST_LOOK_SECONDS)

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        told = False
        while not self._open:
            with contextlib.suppress(Refused):
                findings = await inspect(self._topology)
                self._open = self._allow_eviction or not findings.may_evict
                if not self._open and not told:
                    LOG.error("store_refused", maxmemory_policy=findings.policy)
                    told = True
            if not self._open:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _facts(answer: object) -> dict[str, str]:
    """Read INFO, which comes as text or, parsed by the client, as a mapping."""
    if isinstance(answer, dict):
        return {_text(name): _text(value) for name, value in answer.items()}
    lines = (line.partition(":") for line in _text(answer).splitlines())
    return {name: value.strip() for name, _, value in lines}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
