"""Limits on calls to providers, shared by all replicas: circuit, rate, concurrency and daily caps.

Amounts of money are integers, in millionths of the currency's unit, so that the store adds them exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from otp_service.domain.message import SendResult

__all__ = [
    "Availability",
    "Caps",
    "Charges",
    "Circuits",
    "DeferReason",
    "Deferred",
    "Permit",
    "ProviderLimiter",
    "ProviderPolicy",
    "ProviderState",
    "caps_of_country",
    "millionths",
]

ANY_COUNTRY: Final = "default"
"""The key for all countries without a price, or caps, of their own."""


def millionths(amount: Decimal, *, up: bool = False) -> int:
    """Convert an amount to whole millionths, rounded down, or `up` so that a tiny price does not become 0."""
    return int((amount * 1_000_000).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))


class Caps(msgspec.Struct, frozen=True):
    """The maximum per day (UTC). None: no cap. `spend` in millionths.

    `alert_threshold`: the fraction of a cap at which an alert is logged. `block`: whether a reached cap prevents calls.
    """

    messages: int | None = None
    spend: int | None = None
    alert_threshold: float = 0.8
    block: bool = True

    @property
    def is_limited(self) -> bool:
        """Whether there is any cap."""
        return self.messages is not None or self.spend is not None


_NO_CAPS: Final = Caps()


def caps_of_country(countries: Mapping[str, Caps], country: str) -> Caps:
    """Return the caps of a country; those of `ANY_COUNTRY` apply to each other country by itself."""
    return countries.get(country, countries.get(ANY_COUNTRY, _NO_CAPS)) if country else _NO_CAPS


@dataclass(frozen=True, slots=True)
class ProviderPolicy:
    """The configured limits and prices of one provider.

    `price` is per SMS segment in millionths of `currency`, by country (ISO 3166 alpha-2) or `ANY_COUNTRY`.
    """

    max_per_second: float | None = None
    max_concurrent: int = 16
    price: Mapping[str, int] = field(default_factory=dict)
    caps: Caps = _NO_CAPS
    currency: str = ""

    def cost(self, country: str, segments: int) -> int:
        """Return the cost of a message in millionths; 0 if no price is configured."""
        return self.price.get(country, self.price.get(ANY_COUNTRY, 0)) * segments


class DeferReason(StrEnum):
    """Why a provider may not be called now."""

    WAIT = "wait"
    """The message is in the provider's queue, for its rate or its concurrency."""
    SLOW = "slow"
    """Its turn would come too late, or the gateway asked for a pause."""
    OPEN = "open"
    """The circuit of the provider or of the destination is open."""
    CAPPED = "capped"
    """The provider's daily cap is reached."""
    TENANT_CAPPED = "tenant_capped"
    """The tenant's daily cap is reached."""
    COUNTRY_CAPPED = "country_capped"
    """The daily cap of the number's country is reached."""


class Permit(msgspec.Struct, frozen=True):
    """The right to make one call; pass it to `ProviderLimiter.release` with the result.

    The message is charged to the caps already (`cost` in millionths at `charged_ms`), unless the call `repeats` one
    that was charged before. `message_id` is ours. `country` is that of the number, ISO 3166 alpha-2: the call counts
    in the provider's circuit for this destination. `shared_ms`: when the caps of the tenant and of the country were
    charged, of those that exist.
    """

    provider: str
    tenant: str
    message_id: str
    country: str
    cost: int
    charged_ms: int
    repeats: bool = False
    shared_ms: tuple[int, ...] = ()


class Deferred(msgspec.Struct, frozen=True):
    """The call is not allowed now, and nothing is charged; retry after `retry_in_ms` at the earliest."""

    reason: DeferReason
    retry_in_ms: int


class Availability(StrEnum):
    """Whether a provider takes a new message."""

    OK = "ok"
    OPEN = "open"
    CAPPED = "capped"


class ProviderState(msgspec.Struct, frozen=True):
    """The availability of a provider for a message, and its counters.

    `retry_in_ms`: when the availability may change. `open_reason`: the name of the outcome that opened the circuit,
    also while it is half open; "" if it is closed. `active_calls`: calls in progress. `messages` and `spend` (in
    millionths): today's totals. `capped_ms`: how long the message would exceed the caps of the provider, the tenant or
    the country; 0: it does not.
    """

    availability: Availability
    retry_in_ms: int
    open_reason: str
    active_calls: int
    messages: int
    spend: int
    capped_ms: int = 0


class Charges(Protocol):
    """The prices of messages that gateways report after the call."""

    async def correct_charge(self, provider: str, message_id: str, charged: Decimal, currency: str) -> None:
        """Replace the configured price of a message by what its gateway charged, in the sums of the day of the call.

        A repeated call changes nothing; a later one with another amount replaces it.

        Args:
            provider: The provider's name.
            message_id: Our id of the message.
            charged: The amount, for the whole message.
            currency: Its currency (ISO 4217); "" for that of the account. An amount in another currency than the
                provider's is ignored.
        """


class ProviderLimiter(Charges, Protocol):
    """Permits for calls to providers, shared by all replicas."""

    async def acquire(
        self,
        provider: str,
        tenant: str,
        message_id: str,
        *,
        country: str,
        segments: int,
        max_wait_ms: int,
        repeats: bool = False,
    ) -> Permit | Deferred:
        """Acquire a permit for one call and charge the message to the caps.

        Args:
            provider: The provider's name.
            tenant: The tenant's name, for its caps.
            message_id: Our id of the message; it keeps its position in the provider's queue under this id.
            country: The number's country, ISO 3166 alpha-2.
            segments: The number of SMS segments, for the cost.
            max_wait_ms: How long the message can wait in the queue; a longer wait is `DeferReason.SLOW` at once.
            repeats: The call repeats one with an ambiguous outcome; the message is not charged again.
        """

    async def release(self, permit: Permit, result: SendResult | None) -> None:
        """End the call and update the circuits.

        Args:
            permit: The permit from `acquire`.
            result: The result of the call; None: the call was not made. A message that was definitely not sent is
                not charged.
        """


class Circuits(Protocol):
    """The circuits of providers, for monitoring without a message to send."""

    async def out_of_funds(self, providers: Sequence[str]) -> Sequence[str]:
        """Return those of `providers` whose circuit is open or half open for lack of funds."""

    async def close_after_top_up(self, provider: str) -> bool:
        """Close a provider's circuit if it is still open for lack of funds; return whether this call closed it."""
