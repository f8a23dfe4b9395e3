"""The guard's part of the batch that admits a request: its script calls, what they reply, and the calls that undo it.

The scopes of a request are in hash slots of their own: its country, all countries, and the client's address.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otp_service.domain.errors import Refused
from otp_service.domain.events import EventTarget
from otp_service.domain.guard import GuardMode, GuardPolicy, GuardRequest, GuardSubject
from otp_service.domain.guard_counts import (
    ALL_COUNTRIES_SCOPE,
    BreakerCounts,
    Counts,
    GuardCounted,
    GuardFigures,
    LevelCounts,
    QuietCountries,
    ScopeCounts,
    country_levels,
    everywhere_levels,
    known_member,
)
from otp_service.domain.guard_rules import BreakerChange, check_breaker
from otp_service.store.encoding import encode_optional
from otp_service.store.guard_events import pack_event
from otp_service.store.keys import GuardKeys, guard_address_key
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script

__all__ = [
    "GuardBatch",
    "breaker_calls",
    "set_breaker_call",
    "undo_counted_calls",
    "verified_calls",
]

_TAG_CHARS: Final = 4
_HEAD: Final = 13
"""How many elements of a reply stand before the counts of the levels."""


class GuardBatch:
    """The calls for one request; none if the guard is off."""

    def __init__(self, request: GuardRequest | None, quiet: QuietCountries) -> None:
        """Make the calls for `request`."""
        self._request = request
        self._quiet = quiet
        self.calls: list[ScriptCall] = []
        if request is not None:
            subject, policy = request.subject, request.policy
            self._is_quiet = subject.country in quiet
            self._levels = everywhere_levels(is_quiet=self._is_quiet)
            self.calls = [
                _acquire_call(subject.country, request, country_levels(subject), of_country=True),
                _acquire_call(ALL_COUNTRIES_SCOPE, request, self._levels, of_country=False),
            ]
            if subject.address:
                self.calls.append(_add_to_address_call(subject, policy))

    def read(self, replies: Sequence[ScriptReply]) -> GuardCounted | None:
        """Read the replies to all calls; None if the guard is off."""
        if self._request is None:
            return None
        subject = self._request.subject
        extra = int(subject.decoy)
        country = _read_scope(replies[0], country_levels(subject), extra)
        if not subject.relayed:
            self._quiet.learn(subject.country, country, self._request.policy)
        everywhere = _read_scope(replies[1], self._levels, extra)
        numbers, added_ms = (int(replies[2][1]), int(replies[2][2])) if subject.address else (0, 0)
        figures = GuardFigures(country, everywhere, numbers, self._is_quiet)
        return GuardCounted(self._request, figures, bool(replies[0][3]), added_ms)

    def undo_calls(self, replies: Sequence[ScriptReply | Refused]) -> list[ScriptCall]:
        """Return the calls that remove what the answered calls have counted."""
        if self._request is None:
            return []
        subject = self._request.subject
        calls = []
        for scope, levels, reply in zip(
            (subject.country, ALL_COUNTRIES_SCOPE), (country_levels(subject), self._levels), replies[:2], strict=True
        ):
            if not isinstance(reply, Refused):
                counts, is_added = _read_scope(reply, levels, 0), bool(reply[3])
                calls.append(_release_call(scope, self._request, levels, counts, is_added=is_added))
        added = replies[2] if subject.address else None
        if added is not None and not isinstance(added, Refused) and added[2]:
            calls.append(_remove_from_address_call(subject, int(added[2])))
        return calls


def undo_counted_calls(counted: GuardCounted | None, targets: Sequence[EventTarget] = ()) -> list[ScriptCall]:
    """Return the calls that remove what was counted for a request, and add the event of its decision for `targets`."""
    if counted is None:
        return []
    event = pack_event(counted.decision, targets)
    subject, figures = counted.request.subject, counted.figures
    levels = everywhere_levels(is_quiet=figures.is_quiet)
    calls = [
        _release_call(
            subject.country,
            counted.request,
            country_levels(subject),
            figures.country,
            is_added=counted.added_in_block,
        ),
        _release_call(ALL_COUNTRIES_SCOPE, counted.request, levels, figures.everywhere, is_added=False, event=event),
    ]
    added_ms = counted.added_at_address_ms
    return [*calls, _remove_from_address_call(subject, added_ms)] if added_ms else calls


def _breaker_key(scope: str, policy: GuardPolicy) -> str:
    """Return the breaker that the messages of a tenant count at."""
    keys = GuardKeys(scope)
    return keys.breaker if policy.mode is GuardMode.DENY else keys.observed_breaker


def _number_tag(subject: GuardSubject) -> bytes:
    """Return the four bytes that distinguish a number from others of its block or address."""
    return known_member(subject.recipient[_TAG_CHARS:]).member.to_bytes(4, "big")


def _add_to_address_call(subject: GuardSubject, policy: GuardPolicy) -> ScriptCall:
    args = ("add", _number_tag(subject), policy.address.seconds, policy.address.count)
    return ScriptCall(script("guard_address"), (guard_address_key(subject.address),), args)


def _remove_from_address_call(subject: GuardSubject, added_ms: int | None = None) -> ScriptCall:
    """Return the call that removes the request that was added at a time; None: all requests for the number."""
    args = ("remove", _number_tag(subject), encode_optional(added_ms))
    return ScriptCall(script("guard_address"), (guard_address_key(subject.address),), args)


def verified_calls(
    subject: GuardSubject, policy: GuardPolicy, at_ms: int, *, is_known: bool, is_quiet: bool
) -> list[ScriptCall]:
    """Return the calls that count the verification of a message that was requested at `at_ms`."""
    country, everywhere = GuardKeys(subject.country), GuardKeys(ALL_COUNTRIES_SCOPE)
    number = (*known_member(subject.recipient), _number_tag(subject))
    kind, levels = "k" if is_known else "n", everywhere_levels(is_quiet=is_quiet)
    of_country = (country.prefix, at_ms, kind, *number, *country_levels(subject))
    calls = [
        ScriptCall(script("guard_verified"), (_breaker_key(subject.country, policy),), of_country),
        ScriptCall(
            script("guard_verified"),
            (_breaker_key(ALL_COUNTRIES_SCOPE, policy),),
            (everywhere.prefix, at_ms, "n", "", "", "", *levels),
        ),
    ]
    return [*calls, _remove_from_address_call(subject)] if subject.address else calls


def breaker_calls(counted: GuardCounted) -> list[ScriptCall]:
    """Return the calls that open or close breakers after a request; nearly always none."""
    policy, figures = counted.request.policy, counted.figures
    if figures.country.is_known or counted.request.subject.relayed:
        return []
    scopes = {counted.request.subject.country: figures.country, ALL_COUNTRIES_SCOPE: figures.everywhere}
    calls = []
    for scope, counts in scopes.items():
        _, change = check_breaker(policy, scope, counts)
        if change is not None:
            open_ms = policy.breaker.open_seconds * 1000 if change is BreakerChange.OPEN else 0
            calls.append(set_breaker_call(scope, policy, open_ms, counts.breaker.until_ms))
    return calls


def set_breaker_call(scope: str, policy: GuardPolicy, open_ms: int, until_ms: int) -> ScriptCall:
    """Return the call that opens (for `open_ms`) or closes (0) a breaker, if it is still open until `until_ms`."""
    args = (until_ms, open_ms, policy.breaker.probe_seconds * 1000, "")
    return ScriptCall(script("guard_set_breaker"), (_breaker_key(scope, policy),), args)


def _acquire_call(scope: str, request: GuardRequest, levels: Sequence[str], *, of_country: bool) -> ScriptCall:
    subject, policy, keys = request.subject, request.policy, GuardKeys(scope)
    numbers: tuple[str | bytes | int, ...] = ("", "", "", "", "")
    if of_country:
        window = policy.relayed_sequence if subject.relayed else policy.sequence
        numbers = (*known_member(subject.recipient), _number_tag(subject), window.seconds, window.count)
    args = (
        keys.prefix,
        "r" if subject.relayed else int(subject.decoy),
        policy.window_hours,
        policy.breaker.window_seconds * 1000,
        policy.breaker.probe_seconds * 1000,
        *numbers,
        *levels,
    )
    return ScriptCall(script("guard_acquire"), (_breaker_key(scope, policy),), args)


def _release_call(
    scope: str,
    request: GuardRequest,
    levels: Sequence[str],
    counts: ScopeCounts,
    *,
    is_added: bool,
    event: bytes = b"",
) -> ScriptCall:
    keys, breaker = GuardKeys(scope), counts.breaker
    subject, policy = request.subject, request.policy
    args = (
        keys.prefix,
        counts.now_ms,
        "r" if subject.relayed else "k" if counts.is_known else "n",
        int(subject.decoy or subject.relayed),
        _number_tag(subject) if is_added else b"",
        breaker.until_ms,
        int(breaker.is_probe),
        event,
        *levels,
    )
    return ScriptCall(script("guard_release"), (_breaker_key(scope, policy),), args)


def _read_scope(reply: ScriptReply, levels: Sequence[str], extra: int) -> ScopeCounts:
    """Read the reply of `guard_acquire`.

    `extra` is 1 for a decoy: it is not stored as sent, but its counts include it like any other request.
    """
    now_ms, kind, numbers, _, _, sent, verified, until_ms, _, next_probe_ms = reply[:10]
    probes_sent, probes_verified, is_probe = reply[10:_HEAD]
    is_counted = kind == b"n" and int(until_ms) <= int(now_ms)
    breaker = BreakerCounts(
        int(sent) + (extra if is_counted else 0),
        int(verified),
        int(until_ms),
        int(next_probe_ms),
        bool(is_probe),
        Counts(int(probes_sent), int(probes_verified)),
    )
    sums = [int(count) for count in reply[_HEAD:]]
    spans = [sums[at : at + 2 * len(levels)] for at in range(0, len(sums), 2 * len(levels))]
    found = {
        level: _level_counts(level, [span[2 * at : 2 * at + 2] for span in spans], extra)
        for at, level in enumerate(levels)
    }
    return ScopeCounts(int(now_ms), found, breaker, int(numbers), kind == b"k")


def _level_counts(level: str, spans: Sequence[Sequence[int]], extra: int) -> LevelCounts:
    pending, burst, window, today, past = (Counts(*span) for span in spans)
    added = Counts(extra)
    if level.startswith("b"):  # a block is counted by day only
        return LevelCounts(today=today.plus(added), past=past)
    return LevelCounts(pending.plus(added), burst.plus(added), window.plus(added), today.plus(added), past)
