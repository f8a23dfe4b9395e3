"""The state of one message while this replica holds its lease."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from otp_service.delivery.retry_policy import CodeLifetime
from otp_service.domain.channel_route import ChannelRoute
from otp_service.domain.message import Channel
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.provider_policy import DeferReason, Deferred
from otp_service.domain.results import ClaimedMessage, DeliveryUpdate
from otp_service.domain.verification import Delivery

__all__ = ["DeliveryState"]

_ONLY_OPEN: Final = frozenset({DeferReason.OPEN})


class DeliveryState:
    """A claimed message, its routes, and its state at each provider. Times are in ms of the store's clock."""

    def __init__(self, message: ClaimedMessage, recipient: str, routes: tuple[ChannelRoute, ...]) -> None:
        """Start from the stored record.

        Args:
            message: The message.
            recipient: The number in E.164, or the address; "" if it cannot be opened.
            routes: The message's providers by channel, in their order; empty if there is none.
        """
        self.message = message
        self.recipient = recipient
        self.routes = routes
        self.lease = message.record.lease
        """The number of the lease under which this replica works on the message."""
        self.excluded: dict[str, int] = {}
        """The providers that take no calls now, and until when."""
        self._defer_reasons: dict[str, DeferReason] = {}
        self._channels = {name: route.channel for route in routes for name in route.providers}
        self._by_provider = {delivery.provider: self._with_channel(delivery) for delivery in message.record.deliveries}
        self.deliveries = tuple(self._by_provider.values())
        """The state of the message at each provider that was tried."""
        self.set_clock(message.now_ms)

    @property
    def now_ms(self) -> int:
        """The time of the store's last reply, plus the time that has passed in this process since."""
        return self._store_ms + int((asyncio.get_running_loop().time() - self._set_at) * 1000)

    @property
    def is_queued(self) -> bool:
        """Whether no call is in progress, and none has a result that a report or a lookup may change."""
        return all(delivery.status == DeliveryStatus.QUEUED for delivery in self.deliveries)

    @property
    def lifetime(self) -> CodeLifetime:
        """The times of the code, as the retry policy needs them."""
        record = self.message.record
        return CodeLifetime(record.created_ms, record.expires_ms, self.now_ms)

    @property
    def not_called_outcome(self) -> Outcome:
        """The outcome to record for providers that were never called.

        `config_error` without a route, `transient` if only open circuits prevented the calls, else `throttled`.
        """
        if not self.routes:
            return Outcome.CONFIG_ERROR
        only_open = _ONLY_OPEN.issuperset(self._defer_reasons.values())
        return Outcome.TRANSIENT if only_open else Outcome.THROTTLED

    def channel_of(self, provider: str) -> Channel:
        """Return the channel by which a provider of the routes sends the message."""
        return self._channels[provider]

    def set_clock(self, now_ms: int) -> None:
        """Synchronize `now_ms` with a time that the store just returned."""
        self._store_ms, self._set_at = now_ms, asyncio.get_running_loop().time()

    def find_all(self, status: DeliveryStatus) -> list[Delivery]:
        """Return the deliveries with this status, the most recent provider's first."""
        return [delivery for delivery in reversed(self.deliveries) if delivery.status == status]

    def exclude(self, provider: str, deferred: Deferred) -> None:
        """Exclude a provider until it may take calls again."""
        self.excluded[provider] = self.now_ms + deferred.retry_in_ms
        self._defer_reasons[provider] = deferred.reason

    def is_repeat(self, provider: str) -> bool:
        """Return whether a call to a provider repeats one whose outcome is ambiguous."""
        before = self._by_provider.get(provider)
        return before is not None and (before.repeats or before.status == DeliveryStatus.UNKNOWN)

    def apply(self, update: DeliveryUpdate) -> Delivery:
        """Apply the result of a call as the store will record it, and return the provider's new state.

        A failed repeat does not prove that the first call failed, so the state stays `unknown`.
        """
        now = self.now_ms
        before = self._by_provider.get(update.provider) or self._with_channel(
            Delivery(update.provider, DeliveryStatus.QUEUED, now)
        )
        repeats = self.is_repeat(update.provider)
        status, error = update.status, update.error
        if repeats and status in (DeliveryStatus.QUEUED, DeliveryStatus.FAILED):
            status, error = DeliveryStatus.UNKNOWN, str(Outcome.AMBIGUOUS)
        ambiguous_since_ms = before.ambiguous_since_ms if repeats else 0
        if status is DeliveryStatus.UNKNOWN and not ambiguous_since_ms:
            ambiguous_since_ms = now
        is_same_text = repeats or update.call == before.call
        delivery = Delivery(
            provider=update.provider,
            status=status,
            at_ms=now,
            error=error,
            provider_message_id=(before.provider_message_id if is_same_text else "") or update.provider_message_id,
            call=update.call,
            retry_at_ms=now + update.retry_after_ms if update.retry_after_ms else 0,
            ambiguous_since_ms=ambiguous_since_ms,
            repeats=repeats,
            channel=before.channel,
        )
        self._by_provider[update.provider] = delivery
        self.deliveries = tuple(self._by_provider.values())
        return delivery

    def _with_channel(self, delivery: Delivery) -> Delivery:
        """Return the delivery with its channel; earlier versions do not write it."""
        if delivery.channel:
            return delivery
        channel = self._channels.get(delivery.provider, self.message.record.channel)
        return msgspec.structs.replace(delivery, channel=str(channel))
