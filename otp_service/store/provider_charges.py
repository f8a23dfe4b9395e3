"""What messages cost: the configured price is charged before the call, and corrected by what the gateway reports.

The sums of a provider and the charge of each message are in one hash slot, so one script changes them together. The
tenant's and the country's sums follow: each change of a price has a number, so that it counts once there, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal

from otp_service.domain.events import EventTarget, EventType
from otp_service.domain.provider_policy import DeferReason, Permit, ProviderPolicy, millionths
from otp_service.observability import LOG
from otp_service.store.encoding import encode_optional
from otp_service.store.event_targets import event_args
from otp_service.store.keys import provider_keys
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.shared_accounts import PriceChange, SharedAccounts, report_alert
from otp_service.store.topology import Topology

__all__ = ["ProviderCharges", "spend_group"]

MAX_CHARGED: Final = Decimal(1_000_000)
"""What a gateway may charge for one message, in units of its currency; more is an error of the gateway."""

Source = Literal["result", "receipt"]


def spend_group(country: str, currency: str, tenant: str) -> str:
    """Return the name of a group of messages in the spend history."""
    return f"{country}:{currency}:{tenant}"


class ProviderCharges:
    """The charges of messages at providers: refunds and corrections."""

    def __init__(
        self,
        topology: Topology,
        policies: Mapping[str, ProviderPolicy],
        accounts: SharedAccounts,
        reporting: Collection[str],
        event_targets: Sequence[EventTarget] = (),
    ) -> None:
        """Use `topology`; `reporting` has the providers whose gateways report what they charged.

        `event_targets` get an event when a cap is nearly reached.
        """
        self._topology = topology
        self._policies = policies
        self._accounts = accounts
        self._reporting = frozenset(reporting)
        self._events = {
            name: event_args(provider_keys(name).events, event_targets, (EventType.CAP_NEAR,), name)
            for name in policies
        }
        self._ignored: set[tuple[str, str]] = set()

    def charge_args(
        self, provider: str, group: str, cost: int | None, *, is_last: bool
    ) -> tuple[str | bytes | int, ...]:
        """Return the arguments with which `provider_acquire` charges a message; `cost` None: it is charged already."""
        caps = self._policies[provider].caps
        return (
            encode_optional(cost),
            encode_optional(caps.messages),
            encode_optional(caps.spend),
            int(caps.block),
            str(caps.alert_threshold),
            "" if is_last else "1",
            provider_keys(provider).spend_history,
            group,
            int(provider in self._reporting),
            *self._events[provider],
        )

    def refund_call(self, permit: Permit) -> ScriptCall:
        """Return the call that removes the charge of a message at its provider."""
        keys = provider_keys(permit.provider)
        group = spend_group(permit.country, self._policies[permit.provider].currency, permit.tenant)
        args = (permit.cost, permit.charged_ms, keys.spend_history, group)
        return ScriptCall(script("provider_refund"), (keys.usage, keys.charge(permit.message_id)), args)

    async def correct(self, provider: str, message_id: str, charged: Decimal, currency: str, source: Source) -> None:
        """Replace the configured price of a message; see `domain.provider_policy.Charges`."""
        if not self._is_usable(provider, charged, currency):
            return
        caps, keys = self._policies[provider].caps, provider_keys(provider)
        args = (
            millionths(charged, up=True),
            source,
            keys.spend_history,
            encode_optional(caps.spend),
            str(caps.alert_threshold),
            *self._events[provider],
        )
        names = (keys.usage, keys.charge(message_id))
        [reply] = await self._topology.send([ScriptCall(script("provider_correct_charge"), names, args)])
        if reply[0] == b"charged":
            await self._correct_accounts(provider, message_id, reply)

    async def _correct_accounts(self, provider: str, message_id: str, reply: ScriptReply) -> None:
        """Change the sums of the tenant and the country as the provider's script did, now or before.

        So a repeated receipt completes what failed after the provider's part.
        """
        _, group, charged_ms, cost, price, number, alert, messages, spend = reply
        report_alert(alert, provider, DeferReason.CAPPED, int(messages), int(spend))
        country, _, tenant = group.decode().split(":")
        change = PriceChange(int(price), int(cost), int(number), int(charged_ms))
        await self._accounts.correct(self._accounts.of(tenant, country), provider, message_id, change)

    def _is_usable(self, provider: str, charged: Decimal, currency: str) -> bool:
        """Return whether an amount is in the provider's currency and not absurd; otherwise log it, once for each."""
        if provider not in self._policies or provider not in self._reporting:
            return False
        expected = self._policies[provider].currency
        if currency and expected and currency.upper() != expected:
            self._log_once("charge_in_other_currency", provider, expected)
            return False
        if not charged.is_finite() or not 0 <= charged <= MAX_CHARGED:
            self._log_once("charge_unusable", provider, expected)
            return False
        return True

    def _log_once(self, event: str, provider: str, currency: str) -> None:
        """Log an event once for a provider, without the amount and the currency that the gateway sent."""
        if (event, provider) not in self._ignored:
            self._ignored.add((event, provider))
            LOG.warning(event, provider=provider, currency=currency)
