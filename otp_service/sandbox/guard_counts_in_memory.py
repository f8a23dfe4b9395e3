"""The counts of the guard in memory, with a clock that the caller moves: what `store.guard` keeps in Redis.

The simulation of traffic uses it, because a week has many messages. A test compares it with the store's counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from otp_service.domain.guard import GuardPolicy, GuardRequest, GuardSubject
from otp_service.domain.guard_counts import (
    ALL_COUNTRIES_SCOPE,
    BURST_HOURS,
    PAST_DAYS,
    PENDING_MINUTES,
    BreakerCounts,
    Counts,
    GuardCounted,
    GuardFigures,
    LevelCounts,
    QuietCountries,
    ScopeCounts,
    country_levels,
    everywhere_levels,
)
from otp_service.domain.guard_rules import BreakerChange, check_breaker
from otp_service.domain.limits import Window

__all__ = ["GuardCountsInMemory"]

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
IN_PROGRESS_SECONDS = 60

_Numbers = dict[str, list[int]]
"""By number, when it was requested, in seconds."""


class _Level:
    """The buckets of one level: by span, the messages and the verifications by the number of the span since 1970."""

    def __init__(self) -> None:
        self.minutes: dict[int, list[int]] = {}
        self.hours: dict[int, list[int]] = {}
        self.days: dict[int, list[int]] = {}

    def add(self, at_ms: int, amount: int, *, verified: bool) -> None:
        """Add to the buckets of a time."""
        for buckets, length in ((self.minutes, MINUTE_MS), (self.hours, HOUR_MS), (self.days, DAY_MS)):
            buckets.setdefault(at_ms // length, [0, 0])[verified] += amount

    def counts(self, now_ms: int, window_hours: int, extra: int, *, by_day_only: bool) -> LevelCounts:
        """Return the sums of the spans that end now, with `extra` messages."""
        day = now_ms // DAY_MS
        today, past = _sum(self.days, day, day, extra), _sum(self.days, day - PAST_DAYS, day - 1, 0)
        if by_day_only:
            return LevelCounts(today=today, past=past)
        minute, hour = now_ms // MINUTE_MS, now_ms // HOUR_MS
        return LevelCounts(
            _sum(self.minutes, minute - PENDING_MINUTES + 1, minute, extra),
            _sum(self.hours, hour - BURST_HOURS + 1, hour, extra),
            _sum(self.hours, hour - window_hours + 1, hour, extra),
            today,
            past,
        )


def _sum(buckets: dict[int, list[int]], first: int, last: int, extra: int) -> Counts:
    found = [buckets[at] for at in range(first, last + 1) if at in buckets]
    return Counts(extra + sum([bucket[0] for bucket in found]), sum([bucket[1] for bucket in found]))


@dataclass(slots=True)
class _Breaker:
    """The state of a breaker, as `lua/_guard_breaker.lua` keeps it."""

    since: int = 0
    sent: int = 0
    verified: int = 0
    until: int = 0
    opened: int = 0
    next_probe: int = 0
    probes_sent: int = 0
    probes_verified: int = 0


@dataclass(slots=True)
class _Scope:
    """The buckets, the numbers and the breaker of a scope. A bucket is named by its span, its level and its time."""

    levels: defaultdict[str, _Level] = field(default_factory=lambda: defaultdict(_Level))
    numbers: defaultdict[str, _Numbers] = field(default_factory=lambda: defaultdict(dict))
    known: set[str] = field(default_factory=set)
    breaker: _Breaker = field(default_factory=_Breaker)

    def add(self, levels: Iterable[str], at_ms: int, amount: int, *, verified: bool = False) -> None:
        """Add to several levels."""
        for level in levels:
            self.levels[level].add(at_ms, amount, verified=verified)

    def counts(self, level: str, now_ms: int, window_hours: int, extra: int) -> LevelCounts:
        """Return the counts of one level; those of a block are by day only."""
        return self.levels[level].counts(now_ms, window_hours, extra, by_day_only=level[1:2] == "b")


class GuardCountsInMemory:
    """All counts of a service."""

    def __init__(self, policy: GuardPolicy) -> None:
        self._policy = policy
        self._quiet = QuietCountries()
        self._scopes: defaultdict[str, _Scope] = defaultdict(_Scope)
        self._addresses: defaultdict[str, _Numbers] = defaultdict(dict)

    def acquire(self, subject: GuardSubject, now_ms: int) -> GuardCounted:
        """Count a request, and return the counts with it."""
        scope, everywhere = self._scopes[subject.country], self._scopes[ALL_COUNTRIES_SCOPE]
        is_known = subject.recipient in scope.known
        names = country_levels(subject)
        levels = _with_class(names, is_known=is_known)
        numbers, is_added = _add_number(scope.numbers[levels[3]], subject.recipient, now_ms, self._policy.sequence)
        country = self._count(scope, dict(zip(levels, names, strict=True)), subject, now_ms, breaks=not is_known)
        country = ScopeCounts(now_ms, country.levels, country.breaker, numbers, is_known)
        quiet = subject.country in self._quiet
        self._quiet.learn(subject.country, country, self._policy)
        all_levels = {f"n{level}": level for level in everywhere_levels(is_quiet=quiet)}
        all_counts = self._count(everywhere, all_levels, subject, now_ms, breaks=True)
        at_address, added_at_address = 0, False
        if subject.address:
            log = self._addresses[subject.address]
            at_address, added_at_address = _add_number(log, subject.recipient, now_ms, self._policy.address)
        figures = GuardFigures(country, all_counts, at_address, quiet)
        return GuardCounted(GuardRequest(subject, self._policy), figures, is_added, now_ms * added_at_address)

    def _count(
        self, scope: _Scope, levels: dict[str, str], subject: GuardSubject, now_ms: int, *, breaks: bool
    ) -> ScopeCounts:
        extra = int(subject.decoy)
        if not subject.decoy:
            scope.add(levels, now_ms, 1)
        breaker = self._count_at_breaker(scope.breaker, now_ms, extra) if breaks else _read(scope.breaker, 0)
        hours = self._policy.window_hours
        found = {name: scope.counts(level, now_ms, hours, extra) for level, name in levels.items()}
        return ScopeCounts(now_ms, found, breaker)

    def _count_at_breaker(self, state: _Breaker, now_ms: int, decoy: int) -> BreakerCounts:
        rules, is_probe = self._policy.breaker, False
        if state.until > now_ms:
            if is_probe := now_ms >= state.next_probe:
                state.next_probe = now_ms + rules.probe_seconds * 1000
                state.probes_sent += 1 - decoy
            return _read(state, 0, is_probe=is_probe)
        if state.until == 0 and now_ms - state.since >= rules.window_seconds * 1000:
            state.since, state.sent, state.verified = now_ms, 0, 0
        state.sent += 1 - decoy
        return _read(state, decoy)

    def change_breakers(self, counted: GuardCounted) -> list[tuple[str, BreakerChange]]:
        """Open and close the breakers as the counts of a request demand; return what changed."""
        changes = []
        if counted.figures.country.is_known:
            return []
        for name, counts in (
            (counted.request.subject.country, counted.figures.country),
            (ALL_COUNTRIES_SCOPE, counted.figures.everywhere),
        ):
            _, change = check_breaker(self._policy, name, counts)
            state = self._scopes[name].breaker
            if change and state.until == counts.breaker.until_ms:
                self._change(state, change, counted.figures.country.now_ms)
                changes.append((name, change))
        return changes

    def _change(self, state: _Breaker, change: BreakerChange, now_ms: int) -> None:
        rules = self._policy.breaker
        state.since, state.sent, state.verified, state.probes_sent, state.probes_verified = now_ms, 0, 0, 0, 0
        state.until, state.opened, state.next_probe = 0, 0, 0
        if change is BreakerChange.OPEN:
            state.until, state.opened = now_ms + rules.open_seconds * 1000, now_ms
            state.next_probe = now_ms + rules.probe_seconds * 1000

    def release(self, counted: GuardCounted) -> None:
        """Undo the counts of a request that was denied."""
        subject, figures, at_ms = counted.request.subject, counted.figures, counted.figures.country.now_ms
        scope, everywhere = self._scopes[subject.country], self._scopes[ALL_COUNTRIES_SCOPE]
        levels = _with_class(country_levels(subject), is_known=figures.country.is_known)
        if counted.added_in_block:
            _remove_number(scope.numbers[levels[3]], subject.recipient, at_ms)
        if counted.added_at_address_ms:
            _remove_number(self._addresses[subject.address], subject.recipient, counted.added_at_address_ms)
        if subject.decoy:
            return
        scope.add(levels, at_ms, -1)
        everywhere.add(_of_everywhere(figures), at_ms, -1)
        if not figures.country.is_known:
            _release_breaker(scope.breaker, figures.country.breaker, at_ms)
        _release_breaker(everywhere.breaker, figures.everywhere.breaker, at_ms)

    def verify(self, counted: GuardCounted) -> None:
        """Count the verification of a request's code, and remember its number."""
        subject, figures, at_ms = counted.request.subject, counted.figures, counted.figures.country.now_ms
        scope, everywhere = self._scopes[subject.country], self._scopes[ALL_COUNTRIES_SCOPE]
        is_known = figures.country.is_known
        scope.add(_with_class(country_levels(subject), is_known=is_known), at_ms, 1, verified=True)
        everywhere.add(_of_everywhere(figures), at_ms, 1, verified=True)
        if not is_known:
            _verify_at_breaker(scope.breaker, at_ms)
        _verify_at_breaker(everywhere.breaker, at_ms)
        scope.known.add(subject.recipient)
        scope.numbers[_with_class(country_levels(subject), is_known=is_known)[3]].pop(subject.recipient, None)
        if subject.address:
            self._addresses[subject.address].pop(subject.recipient, None)


def _add_number(log: _Numbers, recipient: str, now_ms: int, window: Window) -> tuple[int, bool]:
    """Add a request; return how many numbers there are with it, and whether it was added."""
    now_s = now_ms // 1000
    for number, times in list(log.items()):
        log[number] = [at_s for at_s in times if at_s > now_s - window.seconds]
        if not log[number]:
            del log[number]
    if recipient not in log and len(log) >= window.count:
        return len(log) + 1, False
    settled = [at_s for at_s in log.get(recipient, ()) if at_s <= now_s - IN_PROGRESS_SECONDS]
    in_progress = [at_s for at_s in log.get(recipient, ()) if at_s > now_s - IN_PROGRESS_SECONDS]
    log[recipient] = [*settled[-1:], *in_progress, now_s]
    return len(log), True


def _remove_number(log: _Numbers, recipient: str, at_ms: int) -> None:
    """Remove the request of a time; the number stays while it has others."""
    if at_ms // 1000 in (times := log.get(recipient, [])):
        times.remove(at_ms // 1000)
        if not times:
            del log[recipient]


def _with_class(levels: Iterable[str], *, is_known: bool) -> tuple[str, ...]:
    return tuple(("k" if is_known else "n") + level for level in levels)


def _of_everywhere(figures: GuardFigures) -> tuple[str, ...]:
    return _with_class(everywhere_levels(is_quiet=figures.is_quiet), is_known=False)


def _read(state: _Breaker, extra: int, *, is_probe: bool = False) -> BreakerCounts:
    probes = Counts(state.probes_sent, state.probes_verified)
    return BreakerCounts(state.sent + extra, state.verified, state.until, state.next_probe, is_probe, probes)


def _release_breaker(state: _Breaker, counts: BreakerCounts, at_ms: int) -> None:
    if counts.until_ms != state.until or state.since > at_ms:
        return
    if counts.is_probe:
        state.probes_sent, state.next_probe = max(0, state.probes_sent - 1), at_ms
    elif state.until <= at_ms:
        state.sent = max(0, state.sent - 1)


def _verify_at_breaker(state: _Breaker, at_ms: int) -> None:
    if state.opened and at_ms >= state.opened:
        state.probes_verified += 1
    elif not state.until and at_ms >= state.since:
        state.verified += 1
