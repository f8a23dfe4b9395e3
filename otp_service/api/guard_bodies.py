"""The bodies of the routes by which operators see the guard and change its breakers, with their examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from otp_service.api.mapping import rfc3339
from otp_service.api.members import Time
from otp_service.domain.guard import GuardMode, RecordedDecision
from otp_service.domain.guard_counts import Counts
from otp_service.domain.guard_report import BreakerReason, BreakerReport, GuardReport, ScopeReport

__all__ = [
    "GUARD_SUCCESSES",
    "BreakerBody",
    "GuardOverview",
    "GuardScopeDetails",
    "SetBreakerBody",
    "breaker_response",
    "guard_overview_response",
    "guard_scope_response",
]

MS_PER_HOUR: Final = 3_600_000


class SetBreakerBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The state that a breaker gets."""

    state: Annotated[
        Literal["open", "closed"],
        Meta(description="`open`: only probes pass. `closed`: all pass, and the counts begin again."),
    ]
    seconds: (
        Annotated[int, Meta(ge=60, le=86_400, description="With `open`: how long, by default as configured.")] | None
    ) = None


class GuardCounts(Struct, frozen=True, kw_only=True):
    """Messages, and how many of their codes were verified: the conversion is their quotient."""

    sent: int
    verified: int


class BreakerBody(Struct, frozen=True, kw_only=True):
    """A breaker: while it is open, messages to numbers that never verified a code stop, except for probes."""

    state: Literal["open", "closed"]
    since: Annotated[Time | None, Meta(description="Since when it is open, or its current counts began.")]
    until: Annotated[Time | None, Meta(description="Until when it is open; null: it is closed.")]
    reason: Annotated[
        BreakerReason | None,
        Meta(description="Why it is open: the conversion of messages, or of the probes before, or an operator."),
    ]
    cause: Annotated[GuardCounts, Meta(description="The messages, or the probes, on which it opened.")]
    probes: Annotated[GuardCounts, Meta(description="The probes since it opened.")]


class GuardScope(Struct, frozen=True, kw_only=True):
    """A country, or all of them: its breakers, and its messages to numbers that never verified a code, or did."""

    scope: Annotated[str, Meta(description="ISO 3166-1 alpha-2, or `all`.")]
    breaker: Annotated[BreakerBody, Meta(description="That of the tenants in the mode `deny`.")]
    observed_breaker: Annotated[BreakerBody, Meta(description="That of the tenants in `observe`; it denies nothing.")]
    new: GuardCounts
    known: GuardCounts


class GuardHour(Struct, frozen=True, kw_only=True):
    """The messages of one hour."""

    at: Annotated[Time, Meta(description="When the hour began.")]
    new: GuardCounts
    known: GuardCounts


class GuardArea(Struct, frozen=True, kw_only=True):
    """The messages to the numbers that begin alike."""

    area: Annotated[str, Meta(description="The country code and the first digits after it.")]
    new: GuardCounts
    known: GuardCounts


class GuardFindingBody(Struct, frozen=True, kw_only=True):
    """What a rule found: the counts of which level, with its limit among the figures."""

    rule: str
    level: str
    figures: dict[str, float]


class GuardDecisionBody(Struct, frozen=True, kw_only=True):
    """Equal decisions of one moment; it names no number."""

    at: Annotated[Time, Meta(description="When the last of them was made.")]
    count: int
    mode: GuardMode
    denied: bool
    tenant: str
    country: str
    area: str
    known: Annotated[bool, Meta(description="Whether the number has verified a code before.")]
    findings: list[GuardFindingBody]


class GuardOverview(Struct, frozen=True, kw_only=True):
    """The scopes that have messages of the last 24 hours or an open breaker, and the newest 100 decisions."""

    scopes: list[GuardScope]
    decisions: list[GuardDecisionBody]


class GuardScopeDetails(GuardScope, frozen=True, kw_only=True):
    """One scope: its messages of the last 48 hours, by hour and by area, and its newest 100 decisions."""

    hours: list[GuardHour]
    areas: list[GuardArea]
    decisions: list[GuardDecisionBody]


def guard_overview_response(report: GuardReport) -> GuardOverview:
    """Return the body of the overview."""
    scopes = [GuardScope(**_scope_members(name, scope)) for name, scope in report.scopes.items()]
    return GuardOverview(scopes=scopes, decisions=[_decision(one) for one in report.decisions])


def guard_scope_response(name: str, report: GuardReport) -> GuardScopeDetails:
    """Return the body of one scope."""
    scope = report.scopes[name]
    return GuardScopeDetails(
        **_scope_members(name, scope),
        hours=[GuardHour(at=rfc3339(hour * MS_PER_HOUR), **_both(counts)) for hour, counts in scope.hours.items()],
        areas=[GuardArea(area=area, **_both(counts)) for area, counts in sorted(scope.areas.items())],
        decisions=[_decision(one) for one in report.decisions],
    )


def breaker_response(breaker: BreakerReport) -> BreakerBody:
    """Return the body of a breaker."""
    return BreakerBody(
        state="open" if breaker.open_until_ms else "closed",
        since=rfc3339(breaker.since_ms) if breaker.since_ms else None,
        until=rfc3339(breaker.open_until_ms) if breaker.open_until_ms else None,
        reason=breaker.reason,
        cause=_counts(breaker.cause),
        probes=_counts(breaker.probes),
    )


def _scope_members(name: str, scope: ScopeReport) -> dict[str, Any]:
    breakers = {
        "breaker": breaker_response(scope.breaker),
        "observed_breaker": breaker_response(scope.observed_breaker),
    }
    return {"scope": name, **breakers, **_both(scope.total)}


def _both(counts: tuple[Counts, Counts]) -> dict[str, GuardCounts]:
    new, known = counts
    return {"new": _counts(new), "known": _counts(known)}


def _counts(counts: Counts) -> GuardCounts:
    return GuardCounts(sent=counts.sent, verified=counts.verified)


def _decision(recorded: RecordedDecision) -> GuardDecisionBody:
    one = recorded.decision
    return GuardDecisionBody(
        at=rfc3339(one.at_ms),
        count=recorded.count,
        mode=one.mode,
        denied=one.denies,
        tenant=one.tenant,
        country=one.country,
        area=one.area,
        known=one.known,
        findings=[
            GuardFindingBody(rule=found.rule.value, level=found.level, figures=dict(found.figures))
            for found in one.findings
        ],
    )


_OPEN: Final = {
    "state": "open",
    "since": "2026-11-22T10:00:00Z",
    "until": "2026-11-22T11:00:00Z",
    "reason": "conversion",
    "cause": {"sent": 140, "verified": 9},
    "probes": {"sent": 3, "verified": 0},
}
_CLOSED: Final = {
    "state": "closed",
    "since": None,
    "until": None,
    "reason": None,
    "cause": {"sent": 0, "verified": 0},
    "probes": {"sent": 0, "verified": 0},
}
_BOTH: Final = {"new": {"sent": 400, "verified": 130}, "known": {"sent": 90, "verified": 81}}
_SCOPE: Final = {"scope": "ID", "breaker": _OPEN, "observed_breaker": _CLOSED, **_BOTH}
_DECISION: Final = {
    "at": "2026-11-22T10:00:00Z",
    "count": 7,
    "mode": "deny",
    "denied": True,
    "tenant": "acme",
    "country": "ID",
    "area": "+62812",
    "known": False,
    "findings": [{"rule": "sequence", "level": "block", "figures": {"numbers": 11, "limit": 10}}],
}
_HOURS: Final = [{"at": "2026-11-22T10:00:00Z", **_BOTH}]
_AREAS: Final = [{"area": "+62812", **_BOTH}]
GUARD_SUCCESSES: Final[Mapping[str, tuple[int, type[msgspec.Struct], Any]]] = {
    "guard_overview": (200, GuardOverview, {"scopes": [_SCOPE], "decisions": [_DECISION]}),
    "guard_scope": (
        200,
        GuardScopeDetails,
        {**_SCOPE, "hours": _HOURS, "areas": _AREAS, "decisions": [_DECISION]},
    ),
    "guard_breaker": (200, BreakerBody, _OPEN | {"reason": "operator"}),
}
"""The status, the body and an example of each action."""
