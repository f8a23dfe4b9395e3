"""Decides the next step of a message from the results so far. Pure: no I/O, no clock of its own.

- A provider that accepted the message is never called again. A provider with an ambiguous outcome is called again only
  if its gateway deduplicates sends by our message id (`idempotent_send`).
- A rejection of the recipient is final for all providers of the channel.
- After an ambiguous outcome, another provider is called only after `hold_ms`.
- Providers that were not called yet come first, in the order of the route. Providers with a retryable failure follow,
  after a backoff and not before their `Retry-After`.
- No call starts after the code expires.

A message may have several channels. Each rule above holds for all of them together, and the providers of a channel come
before those of the next one. After a provider has accepted the message, no other provider of its channel or of an
earlier one is called, and those of later channels only if no receipt reports the delivery within `channel_hold_ms`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Final

import msgspec

from otp_service.domain.channel_route import ChannelRoute
from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.results import DeliveryUpdate
from otp_service.domain.verification import MAX_CODE_AGE_MS, Delivery

__all__ = [
    "CallProvider",
    "CodeLifetime",
    "Finish",
    "RetryRules",
    "Step",
    "WaitFor",
    "next_step",
    "report_query_delay_ms",
    "update_for",
]

MIN_BACKOFF_MS: Final = 500
MAX_BACKOFF_MS: Final = 15_000
BACKOFF_DIVISOR: Final = 4
"""The backoff grows with the age of the message: a quarter of its age at the failure."""

REPORT_QUERY_DIVISOR: Final = 2
"""The delay before the next report query is half of the time since the send."""

_POSSIBLY_ACCEPTED: Final = frozenset(
    {
        DeliveryStatus.SENDING,
        DeliveryStatus.SENT,
        DeliveryStatus.DELIVERED,
        DeliveryStatus.UNDELIVERED,
        DeliveryStatus.UNKNOWN,
    }
)
_STATUSES: Final = {Outcome.ACCEPTED: DeliveryStatus.SENT, Outcome.AMBIGUOUS: DeliveryStatus.UNKNOWN}
"""The status of a delivery by the outcome of its call; that of any other outcome is `FAILED`."""

_REJECTS_RECIPIENT: Final = {"": False} | {outcome.value: outcome.rejects_recipient for outcome in Outcome}
_RETRYABLE: Final = {"": False} | {outcome.value: outcome.retryable for outcome in Outcome}
"""What `Delivery.error` implies. An outcome of a later version is not in here: only its replicas can continue."""

_NONE_EXCLUDED: Final[Mapping[str, int]] = MappingProxyType({})


class RetryRules(msgspec.Struct, frozen=True):
    """The configured limits of failover and retry.

    `hold_ms`: how long other providers are not called after an ambiguous outcome; 0: they are never called.
    `max_texts`: how many providers may have accepted the message at most.
    `idempotent_send`: the names of the providers that deduplicate sends by our message id.
    `channel_hold_ms`: how long the next channel waits for a receipt of an accepted message; 0: it is never used after
    an acceptance, only after failures.
    """

    hold_ms: int
    max_texts: int
    idempotent_send: Collection[str] = frozenset()
    channel_hold_ms: int = 0


class CodeLifetime(msgspec.Struct, frozen=True):
    """When the code was created and expires, and the current time, in ms of the store's clock."""

    created_ms: int
    expires_ms: int
    now_ms: int


class CallProvider(msgspec.Struct, frozen=True):
    """Call this provider now."""

    provider: str


class WaitFor(msgspec.Struct, frozen=True):
    """Decide again after `ms` milliseconds."""

    ms: int


class Finish(msgspec.Struct, frozen=True):
    """No provider can be called before the code expires."""


Step = CallProvider | WaitFor | Finish


def next_step(
    deliveries: Sequence[Delivery],
    routes: Sequence[ChannelRoute],
    rules: RetryRules,
    lifetime: CodeLifetime,
    excluded: Mapping[str, int] = _NONE_EXCLUDED,
) -> Step:
    """Decide what to do with a message now.

    Args:
        deliveries: The state of the message at the providers that were tried, one per provider.
        routes: The message's providers by channel, in their order; each provider once.
        rules: The limits of failover and retry.
        lifetime: The times of the code.
        excluded: Providers that take no calls now, and until when, in ms of the store's clock.
    """
    open_routes, opens_ms = _open_routes(deliveries, routes, rules)
    if not open_routes:
        return Finish()
    rejected = {delivery.channel for delivery in deliveries if _REJECTS_RECIPIENT[delivery.error]}
    route = [provider for one in open_routes if one.channel not in rejected for provider in one.providers]
    allowed = _failover_candidates(deliveries, route, rules, lifetime)
    allowed += _repeat_candidates(deliveries, route, rules, lifetime)
    candidates = [(max(at_ms, opens_ms, excluded.get(provider, 0)), provider) for at_ms, provider in allowed]
    for at_ms, provider in candidates:
        if at_ms <= lifetime.now_ms:
            return CallProvider(provider)
    earliest_ms = min((at_ms for at_ms, _ in candidates), default=lifetime.expires_ms)
    return WaitFor(earliest_ms - lifetime.now_ms) if earliest_ms < lifetime.expires_ms else Finish()


def update_for(provider: str, call: int, result: SendResult) -> DeliveryUpdate:
    """Return what to record of a result; `call` is the lease under which the call began."""
    outcome = result.outcome
    retry_after_ms = min((result.retry_after or 0) * 1000, MAX_CODE_AGE_MS) if outcome.retryable else 0
    return DeliveryUpdate(
        provider=provider,
        call=call,
        status=_STATUSES.get(outcome, DeliveryStatus.FAILED),
        error="" if outcome is Outcome.ACCEPTED else str(outcome),
        provider_message_id=result.provider_message_id,
        parts=result.parts,
        retry_after_ms=int(retry_after_ms),
    )


def report_query_delay_ms(sent_ms: int, now_ms: int, first_ms: int) -> int:
    """Return in how many ms to query the report of a message that was sent at `sent_ms`; at least `first_ms`."""
    return max(first_ms, (now_ms - sent_ms) // REPORT_QUERY_DIVISOR)


def _open_routes(
    deliveries: Sequence[Delivery], routes: Sequence[ChannelRoute], rules: RetryRules
) -> tuple[Sequence[ChannelRoute], int]:
    """Return the routes whose providers may still be called, and from when on, in ms of the store's clock.

    These are all routes and 0 while no provider has accepted the message, and none when it is delivered.
    """
    channels: list[str] = [route.channel for route in routes]
    first, accepted_ms = 0, 0
    for delivery in deliveries:
        if delivery.status == DeliveryStatus.DELIVERED:
            return (), 0
        if delivery.status == DeliveryStatus.SENT:
            if not rules.channel_hold_ms or delivery.channel not in channels:  # one that was configured is the last one
                return (), 0
            first = max(first, channels.index(delivery.channel) + 1)
            accepted_ms = max(accepted_ms, delivery.at_ms)
    return routes[first:], accepted_ms + rules.channel_hold_ms if first else 0


def _failover_candidates(
    deliveries: Sequence[Delivery], route: Sequence[str], rules: RetryRules, lifetime: CodeLifetime
) -> list[tuple[int, str]]:
    """Return providers that definitely do not have the message, with the earliest time of a call.

    Providers that were not called come first, in the order of the route, then those to retry, oldest failure first.
    """
    accepted = [delivery for delivery in deliveries if delivery.status in _POSSIBLY_ACCEPTED]
    ambiguous_since = [one.ambiguous_since_ms or one.at_ms for one in accepted if one.status == DeliveryStatus.UNKNOWN]
    if len(accepted) >= rules.max_texts or (ambiguous_since and rules.hold_ms == 0):
        return []
    held_until_ms = max(ambiguous_since) + rules.hold_ms if ambiguous_since else 0
    failed = [delivery for delivery in deliveries if delivery.error and delivery not in accepted]
    called = {delivery.provider for delivery in (*accepted, *failed)}
    retries = [one for one in failed if _RETRYABLE[one.error] and one.provider in route]
    retries.sort(key=attrgetter("at_ms"))
    return [(held_until_ms, provider) for provider in route if provider not in called] + [
        (max(held_until_ms, _after_backoff(delivery, lifetime)), delivery.provider) for delivery in retries
    ]


def _repeat_candidates(
    deliveries: Sequence[Delivery], route: Sequence[str], rules: RetryRules, lifetime: CodeLifetime
) -> list[tuple[int, str]]:
    """Return providers with an ambiguous outcome that deduplicate sends, with the earliest time of a call."""
    return [
        (_after_backoff(delivery, lifetime), delivery.provider)
        for delivery in deliveries
        if delivery.status == DeliveryStatus.UNKNOWN
        and delivery.provider in route
        and delivery.provider in rules.idempotent_send
    ]


def _after_backoff(delivery: Delivery, lifetime: CodeLifetime) -> int:
    age_ms = delivery.at_ms - lifetime.created_ms
    backoff_ms = min(max(age_ms // BACKOFF_DIVISOR, MIN_BACKOFF_MS), MAX_BACKOFF_MS)
    return max(delivery.at_ms + backoff_ms, delivery.retry_at_ms)
