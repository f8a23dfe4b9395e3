"""What the guard keeps in Redis beside the counts of a request: verifications, decisions, and what operators read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from otp_service.domain.guard import (
    GuardDecision,
    GuardFinding,
    GuardMode,
    GuardPolicy,
    GuardRule,
    GuardVerified,
    RecordedDecision,
)
from otp_service.domain.guard_counts import Counts
from otp_service.observability import LOG
from otp_service.store.guard_calls import set_breaker_call, verified_calls
from otp_service.store.keys import GuardKeys, guard_decisions_key
from otp_service.store.pipelined_connection import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["KEPT_HOURS", "GuardReport", "RedisGuard", "ScopeReport"]

MAX_DECISIONS: Final = 1_000
DECISIONS_KEPT_MS: Final = 30 * 86_400_000
BATCH: Final = 80
"""Verifications that are counted by one batch of calls."""

KEPT_HOURS: Final = 48
"""How many hours of counts operators can read."""

_SENT: Final = "s"
_KNOWN: Final = "k"


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    """A recorded decision as it is stored."""

    at_ms: int
    count: int
    mode: GuardMode
    tenant: str
    country: str
    area: str
    known: bool
    findings: tuple[tuple[GuardRule, str, dict[str, float], int], ...]


_DECODER: Final = msgspec.msgpack.Decoder(_Packed)


@dataclass(frozen=True, slots=True)
class ScopeReport:
    """The breaker of a scope and its counts. Times are in ms.

    Attributes:
        open_until_ms: Until when the breaker is open; 0: it is closed.
        probes: The probes since it opened.
        hours: By hour since 1970, the messages to new and to known numbers.
        areas: By area, the messages to new and to known numbers in all hours.
    """

    open_until_ms: int
    probes: Counts
    hours: Mapping[int, tuple[Counts, Counts]] = field(default_factory=dict)
    areas: Mapping[str, tuple[Counts, Counts]] = field(default_factory=dict)

    @property
    def total(self) -> tuple[Counts, Counts]:
        """The messages to new and to known numbers in all hours."""
        new, known = Counts(), Counts()
        for of_new, of_known in self.hours.values():
            new, known = new.plus(of_new), known.plus(of_known)
        return new, known


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What operators see: the newest decisions first, and the scopes that have counts or an open breaker."""

    decisions: Sequence[RecordedDecision]
    scopes: Mapping[str, ScopeReport]


class RedisGuard:
    """`domain.guard.GuardStore` on any topology, and what operators read and change."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def count_verified(self, verified: Sequence[GuardVerified]) -> None:
        """Count verifications; see the port."""
        for start in range(0, len(verified), BATCH):
            calls: list[ScriptCall] = []
            for one in verified[start : start + BATCH]:
                known, quiet = one.is_known, one.is_quiet
                calls += verified_calls(one.request.subject, one.requested_ms, is_known=known, is_quiet=quiet)
            await self._topology.send(calls)

    async def record(self, decisions: Sequence[RecordedDecision]) -> None:
        """Add decisions to the list; see the port."""
        packed = [msgspec.msgpack.encode(_pack(one)) for one in decisions[-MAX_DECISIONS:]]
        args: tuple[int | bytes, ...] = (MAX_DECISIONS, DECISIONS_KEPT_MS, *packed)
        await self._topology.send([ScriptCall(script("guard_record"), (guard_decisions_key(),), args)])

    async def report(self, scopes: Iterable[str], *, hours: int, decisions: int) -> GuardReport:
        """Read the newest `decisions` and the counts of the last `hours` (at most `KEPT_HOURS`) of some scopes.

        Raises:
            Refused: The store is unavailable.
        """
        names = list(scopes)
        calls = [ScriptCall(script("guard_decisions"), (guard_decisions_key(),), (decisions,))]
        for name in names:
            keys = GuardKeys(name)
            calls.append(ScriptCall(script("guard_report"), (keys.breaker,), (keys.prefix, hours)))
        packed, *replies = await self._topology.send(calls)
        read = {name: _read_report(reply) for name, reply in zip(names, replies, strict=True)}
        used = {name: one for name, one in read.items() if one.hours or one.open_until_ms}
        return GuardReport(_unpack(packed), used)

    async def close_breaker(self, scope: str, policy: GuardPolicy) -> bool:
        """Close a breaker and start its counts anew; return whether it had any state."""
        [reply] = await self._topology.send([set_breaker_call(scope, policy, 0)])
        return bool(reply[0] == b"set")


def _pack(recorded: RecordedDecision) -> _Packed:
    one = recorded.decision
    findings = tuple((found.rule, found.level, dict(found.figures), found.wait_ms) for found in one.findings)
    return _Packed(one.at_ms, recorded.count, one.mode, one.tenant, one.country, one.area, one.known, findings)


def _unpack(packed: Sequence[bytes]) -> list[RecordedDecision]:
    """Return the decisions; one that cannot be read, such as one of a later version, is left out."""
    decisions = []
    for text in packed:
        try:
            one = _DECODER.decode(text)
        except (msgspec.MsgspecError, ValueError):
            LOG.warning("guard_decision_unreadable")
            continue
        findings = tuple(GuardFinding(*found) for found in one.findings)
        decision = GuardDecision(one.at_ms, one.mode, one.tenant, one.country, one.area, one.known, findings)
        decisions.append(RecordedDecision(decision, one.count))
    return decisions


def _read_report(reply: ScriptReply) -> ScopeReport:
    now_ms, until_ms, _, probes_sent, probes_verified, *hours = reply
    by_hour: dict[int, tuple[Counts, Counts]] = {}
    areas: dict[str, tuple[Counts, Counts]] = {}
    for hour, fields in zip(hours[::2], hours[1::2], strict=True):
        by_hour[int(hour)] = (Counts(), Counts())
        for name, count in zip(fields[::2], fields[1::2], strict=True):
            text = name.decode()
            what, kind, level, number = text[:1], text[1:2], text[2:], int(count)
            added = Counts(number, 0) if what == _SENT else Counts(0, number)
            if level == "c":
                by_hour[int(hour)] = _plus(by_hour[int(hour)], kind, added)
            elif level.startswith("a|"):
                area = level.removeprefix("a|")
                areas[area] = _plus(areas.get(area, (Counts(), Counts())), kind, added)
    is_open = int(until_ms) > int(now_ms)
    probes = Counts(int(probes_sent), int(probes_verified))
    return ScopeReport(int(until_ms) if is_open else 0, probes, by_hour, areas)


def _plus(counts: tuple[Counts, Counts], kind: str, added: Counts) -> tuple[Counts, Counts]:
    new, known = counts
    return (new, known.plus(added)) if kind == _KNOWN else (new.plus(added), known)
