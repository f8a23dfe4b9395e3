"""The table `[guard]`: the guard against SMS pumping, with the thresholds of its rules."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from otp_service.domain import guard
from otp_service.domain.limits import Window
from otp_service.providers.config_fields import Table
from otp_service.settings.field_types import RateWindow

__all__ = ["Guard", "GuardBreaker", "GuardModeName"]

GuardModeName = Literal["off", "observe", "deny"]

_RULES = guard.GuardPolicy()
_BREAKER = _RULES.breaker
Messages = Annotated[int, Meta(ge=1, le=1_000_000)]
Share = Annotated[float, Meta(ge=0.05, le=0.95)]


class GuardBreaker(Table, frozen=True, kw_only=True):
    """The breaker of each country, and that of all countries together: it stops messages to numbers that are not known.

    It opens for `open_seconds` when more than `sends` messages were requested within `window_seconds` and a smaller
    share than `conversion` was verified (0: there is no breaker). One message in `probe_seconds` passes; after `probes`
    of them their own conversion decides whether it closes.
    """

    sends: Messages = _BREAKER.sends
    conversion: Annotated[float, Meta(ge=0, le=0.9)] = _BREAKER.conversion
    window_seconds: Annotated[int, Meta(ge=60, le=86_400)] = _BREAKER.window_seconds
    open_seconds: Annotated[int, Meta(ge=60, le=86_400)] = _BREAKER.open_seconds
    probe_seconds: Annotated[int, Meta(ge=1, le=3_600)] = _BREAKER.probe_seconds
    probes: Annotated[int, Meta(ge=1, le=1_000)] = _BREAKER.probes


class Guard(Table, frozen=True, kw_only=True):
    """The guard against SMS pumping. `observe` counts and records what `deny` would deny; `off` stores nothing.

    `unverified_block` and `unverified_area` are unverified messages to a block of 10,000 numbers in eight days, and to
    an area (the leading digits) in `window_hours`. `burst` is those of a tenant to a country in two hours. In a busy
    area or country, `burst_factor` times as many as usual are allowed. `quiet_burst` is those to all countries together
    that had fewer than `quiet_verified` verified messages in seven days. These four find something only while the
    conversion is below `conversion_drop` of the usual one, which is `usual_conversion` where there is no past.
    `sequence` is different numbers of one block, and `address` of one client address, without a verified code.
    `relayed_sequence` is different numbers of one block to which hooks send the codes of other products.
    `operator_tenants` are the tenants whose API keys with the scope `admin` see what the guard has counted and decided
    for all tenants, and open and close breakers; by default, only the tenant of a service that has no other one.
    """

    mode: GuardModeName = "off"
    operator_tenants: tuple[str, ...] = ()
    unverified_block: Messages = _RULES.unverified_block
    unverified_area: Messages = _RULES.unverified_area
    window_hours: Annotated[int, Meta(ge=2, le=24)] = _RULES.window_hours
    burst: Messages = _RULES.burst
    burst_factor: Annotated[float, Meta(ge=1, le=100)] = _RULES.burst_factor
    quiet_burst: Messages = _RULES.quiet_burst
    quiet_verified: Messages = _RULES.quiet_verified
    conversion_drop: Share = _RULES.conversion_drop
    usual_conversion: Share = _RULES.usual_conversion
    sequence: RateWindow = _RULES.sequence
    relayed_sequence: RateWindow = _RULES.relayed_sequence
    address: RateWindow = _RULES.address
    breaker: GuardBreaker = field(default_factory=GuardBreaker)

    def numbers(self) -> dict[str, Window]:
        """Return the windows of different numbers, by their keys."""
        return {"sequence": self.sequence, "relayed_sequence": self.relayed_sequence, "address": self.address}
