"""What to do next with a message: decided from what its providers said so far, without doing it.

The rules, in this order: who surely or maybe has the text is never asked again; a verdict about the recipient is
final everywhere; an ambiguous outcome is held, and then one other provider is asked; providers that were never asked
come before those that may be asked again; those come back with a growing pause until the code ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.verification import Delivery

__all__ = ["Rules", "Stop", "Try", "Wait", "next_step"]

SHORTEST_PAUSE_MS: Final = 500
LONGEST_PAUSE_MS: Final = 15_000
PAUSE_SHARE: Final = 4
"""Pauses grow with the age of the message: a quarter of it."""

_WITH_GATEWAY: Final = frozenset({DeliveryStatus.SENT, DeliveryStatus.DELIVERED})
_MAYBE_THERE: Final = frozenset(
    {*_WITH_GATEWAY, DeliveryStatus.UNKNOWN, DeliveryStatus.UNDELIVERED, DeliveryStatus.SENDING}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """`hold_ms` 0: an ambiguous outcome never fails over. `max_texts` gateways may have accepted, at most."""

    hold_ms: int
    max_texts: int


@dataclass(frozen=True, slots=True)
class Try:
    """Ask this provider now."""

    provider: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again in so many milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more is to be done."""


def next_step(
    deliveries: Sequence[Delivery], route: Sequence[str], rules: Rules, *, created_ms: int, expires_ms: int, now_ms: int
) -> Try | Wait | Stop:
    """Decide from `deliveries` (one per provider, times in ms of the store's clock) what to do at `now_ms`."""
    if any(d.status in _WITH_GATEWAY for d in deliveries) or _is_final(deliveries):
        return Stop()
    if sum(d.status in _MAYBE_THERE for d in deliveries) >= rules.max_texts:
        return Stop()
    held = max((d.at_ms for d in deliveries if d.status == DeliveryStatus.UNKNOWN), default=None)
    if held is not None:
        if rules.hold_ms == 0 or not _unasked(deliveries, route):
            return Stop()
        if held + rules.hold_ms > now_ms:
            return _wait(held + rules.hold_ms, now_ms, expires_ms)
    for provider in _unasked(deliveries, route):
        return Try(provider)
    return _again(deliveries, route, created_ms, expires_ms, now_ms)


def _is_final(deliveries: Sequence[Delivery]) -> bool:
    return any(d.error and Outcome(d.error).about_recipient for d in deliveries)


def _unasked(deliveries: Sequence[Delivery], route: Sequence[str]) -> list[str]:
    asked = {d.provider for d in deliveries if d.error or d.status in _MAYBE_THERE}
    return [provider for provider in route if provider not in asked]


def _again(
    deliveries: Sequence[Delivery], route: Sequence[str], created_ms: int, expires_ms: int, now_ms: int
) -> Try | Wait | Stop:
    """Ask again whoever may be asked again, the one that rested longest first."""
    if any(d.status == DeliveryStatus.UNKNOWN for d in deliveries):
        return Stop()
    rested = sorted(
        (d.at_ms, d.provider) for d in deliveries if d.provider in route and d.error and Outcome(d.error).retryable
    )
    if not rested:
        return Stop()
    at_ms, provider = rested[0]
    pause = min(max((at_ms - created_ms) // PAUSE_SHARE, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS)
    return Try(provider) if at_ms + pause <= now_ms else _wait(at_ms + pause, now_ms, expires_ms)


def _wait(until_ms: int, now_ms: int, expires_ms: int) -> Wait | Stop:
    return Wait(until_ms - now_ms) if until_ms < expires_ms else Stop()
