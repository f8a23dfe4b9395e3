"""What to do next with a message: decided from what its providers said so far, without doing it.

The rules: who surely has the text is never asked again, and who may have it only if it tells our messages apart and
sends each once. A verdict about the recipient is final everywhere. An ambiguous outcome is held, and then another
provider is asked. Providers that were never asked come before those that may be asked again; those come back with a
growing pause, and not before the moment that they named. Nothing is begun after the code's end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.verification import Delivery

__all__ = ["CallProvider", "CodeLifetime", "Finish", "RetryRules", "WaitFor", "next_step", "report_query_delay_ms"]

SHORTEST_PAUSE_MS: Final = 500
LONGEST_PAUSE_MS: Final = 15_000
PAUSE_SHARE: Final = 4
"""Pauses grow with the age of the message: a quarter of it."""

REPORT_SHARE: Final = 2
"""A message that was sent is asked for again after half of the time that has passed since."""

_WITH_GATEWAY: Final = frozenset({DeliveryStatus.SENT, DeliveryStatus.DELIVERED})
_MAYBE_THERE: Final = frozenset(
    {*_WITH_GATEWAY, DeliveryStatus.UNKNOWN, DeliveryStatus.UNDELIVERED, DeliveryStatus.SENDING}
)
_NOBODY: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`hold_ms` 0: an ambiguous outcome never fails over. `max_texts` gateways may have accepted, at most.

    `idempotent_send` are the providers that send a message once, however often they are asked for it.
    """

    hold_ms: int
    max_texts: int
    idempotent_send: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CodeLifetime:
    """The code's life and the present moment, in ms of the store's clock."""

    created_ms: int
    expires_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class CallProvider:
    """Ask this provider now."""

    provider: str


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Look again in so many milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more is to be done."""


def next_step(
    deliveries: Sequence[Delivery],
    route: Sequence[str],
    rules: RetryRules,
    life: CodeLifetime,
    shut: Mapping[str, int] = _NOBODY,
) -> CallProvider | WaitFor | Finish:
    """Decide from `deliveries`, one per provider; `shut` says until when a provider of the route takes nothing."""
    if any(d.status in _WITH_GATEWAY for d in deliveries) or _is_final(deliveries):
        return Finish()
    moments = [
        (max(at_ms, shut.get(provider, 0)), provider)
        for at_ms, provider in (*_others(deliveries, route, rules, life), *_repeats(deliveries, route, rules, life))
    ]
    for at_ms, provider in moments:
        if at_ms <= life.now_ms:
            return CallProvider(provider)
    soonest = min((at_ms for at_ms, _ in moments), default=life.expires_ms)
    return WaitFor(soonest - life.now_ms) if soonest < life.expires_ms else Finish()


def report_query_delay_ms(sent_ms: int, now_ms: int, first_ms: int) -> int:
    """Say in how many ms a message that was sent at `sent_ms` is asked for: after `first_ms`, then ever later."""
    return max(first_ms, (now_ms - sent_ms) // REPORT_SHARE)


def _is_final(deliveries: Sequence[Delivery]) -> bool:
    return any(d.error and Outcome(d.error).rejects_recipient for d in deliveries)


def _others(
    deliveries: Sequence[Delivery], route: Sequence[str], rules: RetryRules, life: CodeLifetime
) -> Iterator[tuple[int, str]]:
    """Say when the providers may be asked that surely have no text: the unasked in order, then those that rested."""
    if sum(d.status in _MAYBE_THERE for d in deliveries) >= rules.max_texts:
        return
    doubtful = [d.ambiguous_since_ms or d.at_ms for d in deliveries if d.status == DeliveryStatus.UNKNOWN]
    if doubtful and rules.hold_ms == 0:
        return
    held_ms = max(doubtful) + rules.hold_ms if doubtful else 0
    asked = {d.provider for d in deliveries if d.error or d.status in _MAYBE_THERE}
    yield from ((held_ms, provider) for provider in route if provider not in asked)
    rested = [d for d in deliveries if d.provider in route and d.status not in _MAYBE_THERE and _retryable(d)]
    for delivery in sorted(rested, key=lambda d: d.at_ms):
        yield max(held_ms, _after_pause(delivery, life)), delivery.provider


def _repeats(
    deliveries: Sequence[Delivery], route: Sequence[str], rules: RetryRules, life: CodeLifetime
) -> Iterator[tuple[int, str]]:
    """Say when the providers may be asked again that may have the text, and would send it once."""
    askable = set(route) & set(rules.idempotent_send)
    for delivery in deliveries:
        if delivery.status == DeliveryStatus.UNKNOWN and delivery.provider in askable:
            yield _after_pause(delivery, life), delivery.provider


def _retryable(delivery: Delivery) -> bool:
    return bool(delivery.error) and Outcome(delivery.error).retryable


def _after_pause(delivery: Delivery, life: CodeLifetime) -> int:
    pause = min(max((delivery.at_ms - life.created_ms) // PAUSE_SHARE, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS)
    return max(delivery.at_ms + pause, delivery.again_ms)
