"""The way of one message while a replica has its lease: what is known of it, and what stands in its way right now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from otp_service.delivery.retry_policy import CodeLifetime
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.provider_policy import DeferReason, Deferred
from otp_service.domain.results import ClaimedMessage, DeliveryUpdate
from otp_service.domain.verification import Delivery

__all__ = ["DeliveryState"]


class DeliveryState:
    """A claimed message, its route, and what its providers said so far. Times are ms of the store's clock."""

    def __init__(self, message: ClaimedMessage, route: tuple[str, ...]) -> None:
        """Start with what the record says."""
        self.message = message
        self.route = route
        self._by_provider = {delivery.provider: delivery for delivery in message.record.deliveries}
        self._shut: dict[str, tuple[int, DeferReason]] = {}
        self.set_clock(message.now_ms)

    @property
    def lease(self) -> int:
        """The number of the lease that we have."""
        return self.message.record.lease

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """How the message stands at each provider that was tried."""
        return tuple(self._by_provider.values())

    @property
    def shut(self) -> Mapping[str, int]:
        """Until when providers take nothing."""
        return {provider: until_ms for provider, (until_ms, _) in self._shut.items()}

    @property
    def now_ms(self) -> int:
        """The moment: the store's last word about it, and what has passed since."""
        return self._clock_ms + int((asyncio.get_running_loop().time() - self._clock_set) * 1000)

    @property
    def life(self) -> CodeLifetime:
        """The code's life, as the plan wants it."""
        record = self.message.record
        return CodeLifetime(record.created_ms, record.expires_ms, self.now_ms)

    @property
    def hindrance(self) -> Outcome:
        """Why nobody was asked: no route any more, open circuits, or a cap or a queue."""
        if not self.route:
            return Outcome.CONFIG_ERROR
        only_open = all(why is DeferReason.OPEN for _, why in self._shut.values())
        return Outcome.TRANSIENT if only_open else Outcome.THROTTLED

    def set_clock(self, now_ms: int) -> None:
        """Hear from the store what time it is."""
        self._clock_ms, self._clock_set = now_ms, asyncio.get_running_loop().time()

    def at(self, status: DeliveryStatus) -> Delivery | None:
        """Find the last provider with this status."""
        found = [delivery for delivery in self.deliveries if delivery.status == status]
        return found[-1] if found else None

    def exclude(self, provider: str, held: Deferred) -> None:
        """Note that a provider takes nothing for a while."""
        self._shut[provider] = (self.now_ms + held.retry_in_ms, held.reason)

    def repeats(self, provider: str) -> bool:
        """Say whether a call to a provider repeats one that is in doubt."""
        before = self._by_provider.get(provider)
        return before is not None and (before.repeats or before.status == DeliveryStatus.UNKNOWN)

    def learn(self, news: DeliveryUpdate) -> Delivery:
        """Note what became of a call, as the store will write it down."""
        now = self.now_ms
        before = self._by_provider.get(news.provider) or Delivery(news.provider, DeliveryStatus.QUEUED, now)
        repeats = self.repeats(news.provider)
        status, error = news.status, news.error
        if repeats and status in (DeliveryStatus.QUEUED, DeliveryStatus.FAILED):
            status, error = DeliveryStatus.UNKNOWN, Outcome.AMBIGUOUS.value
        self._by_provider[news.provider] = Delivery(
            news.provider,
            status,
            now,
            error,
            before.provider_message_id or news.provider_message_id,
            news.call,
            now + news.again_in_ms if news.again_in_ms else 0,
            (before.ambiguous_since_ms if repeats else 0) or (now if status is DeliveryStatus.UNKNOWN else 0),
            repeats,
        )
        return self._by_provider[news.provider]
