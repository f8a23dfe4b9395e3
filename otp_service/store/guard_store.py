"""What the guard keeps in Redis beside the counts of a request: verifications, decisions, and what operators read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from otp_service.domain.guard_report import MAX_DECISIONS, BreakerReason, BreakerReport, GuardReport, ScopeReport
from otp_service.observability import LOG
from otp_service.store.guard_calls import verified_calls
from otp_service.store.keys import GuardKeys, guard_decisions_key
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisGuard"]

DECISIONS_KEPT_MS: Final = 30 * 86_400_000
BATCH: Final = 80
"""Verifications that are counted by one batch of calls."""

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


_REASONS: Final = {reason.value.encode() for reason in BreakerReason}
_DECODER: Final = msgspec.msgpack.Decoder(_Packed)


class RedisGuard:
    """`domain.guard.GuardStore` and `domain.guard_report.GuardReports` on any topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def count_verified(self, verified: Sequence[GuardVerified]) -> None:
        """Count verifications; see the port."""
        for start in range(0, len(verified), BATCH):
            calls: list[ScriptCall] = []
            for one in verified[start : start + BATCH]:
                subject, policy = one.request.subject, one.request.policy
                known, quiet = one.is_known, one.is_quiet
                calls += verified_calls(subject, policy, one.requested_ms, is_known=known, is_quiet=quiet)
            await self._topology.send(calls)

    async def record(self, decisions: Sequence[RecordedDecision]) -> None:
        """Add decisions to the list; see the port."""
        packed = [msgspec.msgpack.encode(_pack(one)) for one in decisions[-MAX_DECISIONS:]]
        args: tuple[int | bytes, ...] = (MAX_DECISIONS, DECISIONS_KEPT_MS, *packed)
        await self._topology.send([ScriptCall(script("guard_record"), (guard_decisions_key(),), args)])

    async def report(self, scopes: Iterable[str], *, hours: int, decisions: int) -> GuardReport:
        """Read the decisions and the scopes; see the port."""
        names = list(scopes)
        calls = [ScriptCall(script("guard_decisions"), (guard_decisions_key(),), (decisions,))]
        for name in names:
            keys = GuardKeys(name)
            breakers = (keys.breaker, keys.observed_breaker)
            calls.append(ScriptCall(script("guard_report"), breakers, (keys.prefix, hours)))
        packed, *replies = await self._topology.send(calls)
        return GuardReport(
            _unpack(packed), {name: _read_report(reply) for name, reply in zip(names, replies, strict=True)}
        )

    async def open_breaker(self, scope: str, policy: GuardPolicy, open_ms: int) -> int:
        """Open the breaker of the tenants whose mode is `deny`; see the port."""
        args = ("", open_ms, policy.breaker.probe_seconds * 1000, BreakerReason.OPERATOR.value)
        [reply] = await self._topology.send(
            [ScriptCall(script("guard_set_breaker"), (GuardKeys(scope).breaker,), args)]
        )
        return int(reply[1])

    async def close_breaker(self, scope: str, policy: GuardPolicy) -> bool:
        """Close both breakers; see the port."""
        keys, args = GuardKeys(scope), ("", 0, policy.breaker.probe_seconds * 1000, "")
        breakers = (keys.breaker, keys.observed_breaker)
        replies = await self._topology.send([ScriptCall(script("guard_set_breaker"), (key,), args) for key in breakers])
        return any(reply[0] == b"set" for reply in replies)


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
    now_ms, breaker, observed_breaker, *hours = reply
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
    breakers = [_read_breaker(one, int(now_ms)) for one in (breaker, observed_breaker)]
    return ScopeReport(breakers[0], breakers[1], by_hour, areas)


def _read_breaker(values: ScriptReply, now_ms: int) -> BreakerReport:
    until_ms, opened_ms, since_ms, probes_sent, probes_verified, sent, verified = map(int, values[:-1])
    if until_ms <= now_ms:
        return BreakerReport(since_ms=since_ms)
    reason = BreakerReason(values[-1].decode()) if values[-1] in _REASONS else None
    probes = Counts(probes_sent, probes_verified)
    return BreakerReport(until_ms, opened_ms, reason, Counts(sent, verified), probes)


def _plus(counts: tuple[Counts, Counts], kind: str, added: Counts) -> tuple[Counts, Counts]:
    new, known = counts
    return (new, known.plus(added)) if kind == _KNOWN else (new.plus(added), known)
