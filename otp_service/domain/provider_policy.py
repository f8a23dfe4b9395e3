"""What a gateway may be asked today, for all replicas: circuit, pace, calls at a time, and money.

Amounts of money are whole millionths of the currency, so that sums are exact in the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Final, Protocol

from otp_service.domain.message import SendResult

__all__ = [
    "Availability",
    "Caps",
    "Circuits",
    "DeferReason",
    "Deferred",
    "Permit",
    "ProviderLimiter",
    "ProviderPolicy",
    "ProviderState",
    "millionths",
]

DEFAULT_AREA: Final = "default"


def millionths(amount: Decimal, *, up: bool = False) -> int:
    """Write money as whole millionths, rounded down, or `up`: a price that is too small to be written is still one."""
    return int((amount * 1_000_000).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be handed over on one day (UTC); `block` False only alerts."""

    messages: int | None = None
    spend: int | None = None
    alert_threshold: float = 0.8
    block: bool = True

    @property
    def is_limited(self) -> bool:
        """There is something to count."""
        return self.messages is not None or self.spend is not None


@dataclass(frozen=True, slots=True)
class ProviderPolicy:
    """What the config allows of one provider. `price` is per segment, in millionths, by country or `default`."""

    max_per_second: float | None = None
    max_concurrent: int = 16
    price: Mapping[str, int] = field(default_factory=dict)
    caps: Caps = Caps()

    def cost(self, country: str, segments: int) -> int:
        """Say what a message costs, in millionths."""
        return self.price.get(country, self.price.get(DEFAULT_AREA, 0)) * segments


class DeferReason(StrEnum):
    """Why a gateway is not asked now."""

    WAIT = "wait"
    SLOW = "slow"
    OPEN = "open"
    CAPPED = "capped"
    TENANT_CAPPED = "tenant_capped"


@dataclass(frozen=True, slots=True)
class Permit:
    """The gateway may be called; everything is charged, unless it `repeats` what was. Give `done` the outcome.

    `country` is the number's, ISO 3166 alpha-2: the call counts in the provider's circuit for it.
    """

    provider: str
    tenant: str
    message_id: str
    country: str
    cost: int
    charged_ms: int
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Deferred:
    """Nothing was taken; ask again in `retry_in_ms` at the earliest."""

    reason: DeferReason
    retry_in_ms: int


class Availability(StrEnum):
    """How a gateway stands for a new message."""

    OK = "ok"
    OPEN = "open"
    CAPPED = "capped"


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A look at a gateway: `retry_in_ms` until it may be otherwise, what was handed over today, in millionths.

    `capped_ms`: until when its caps, or the tenant's, have no room for the message; 0: they have.
    """

    availability: Availability
    retry_in_ms: int
    open_reason: str
    active_calls: int
    messages: int
    spend: int
    capped_ms: int = 0


class ProviderLimiter(Protocol):
    """The right to call a gateway, shared by all replicas."""

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
        """Ask for one call: `max_wait_ms` is how long the message may still wait.

        `repeats`: the gateway is asked again for a text that it sends once, and that was charged before.
        """

    async def release(self, permit: Permit, answer: SendResult | None) -> None:
        """End it; None: the call was not made. What was surely not sent is not charged."""


class Circuits(Protocol):
    """The circuits that all replicas share, for who has no message to send."""

    async def out_of_funds(self, providers: Sequence[str]) -> Sequence[str]:
        """Name those of `providers` that are not asked, or only to try them, because their account was empty."""

    async def close_after_top_up(self, provider: str) -> bool:
        """Close its circuit if it is still open for want of money; True: this call did it."""
