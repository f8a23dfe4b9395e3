"""The daily usage of tenants and countries: the accounts to which a message is charged besides its provider.

Each account is in a hash slot of its own, so a message is charged to one after the other, and refunded to the earlier
ones when one refuses it. While a charge can still be refunded, other messages at the cap wait for a moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from otp_service.domain.errors import Refused
from otp_service.domain.events import EventTarget, EventType
from otp_service.domain.provider_policy import Caps, DeferReason, Deferred, Permit, caps_of_country
from otp_service.observability import LOG
from otp_service.store.encoding import encode_optional
from otp_service.store.event_targets import event_args
from otp_service.store.keys import changed_price_key, country_usage_key, tenant_usage_key, usage_events_key
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = [
    "Account",
    "PriceChange",
    "SharedAccounts",
    "Usage",
    "read_refusal",
    "read_usage",
    "refund_calls",
    "report_alert",
]


class PriceChange(NamedTuple):
    """The price of a message at its provider, in millionths.

    `cost` was charged at `charged_ms`, `price` is counted now, after `number` changes.
    """

    price: int
    cost: int
    number: int
    charged_ms: int


class Account(NamedTuple):
    """The daily usage of a tenant or a country, its caps, and the reason to report when they block.

    `events`: the arguments by which scripts emit the event that a cap is nearly reached.
    """

    name: str
    key: str
    caps: Caps
    reason: DeferReason
    events: tuple[str | bytes, ...] = ()

    def usage_call(self, prices: Sequence[int]) -> ScriptCall:
        """Return the call that checks the caps for a message at each of `prices` (millionths), for a batch."""
        caps = self.caps
        limits = (encode_optional(caps.messages), encode_optional(caps.spend), int(caps.block))
        return ScriptCall(script("daily_usage"), (self.key,), (*limits, *prices))

    def charge_call(self, permit: Permit, *, is_last: bool) -> ScriptCall:
        """Return the call that charges a message; `is_last`: no other cap can still refuse it."""
        caps = self.caps
        limits = (encode_optional(caps.messages), encode_optional(caps.spend), int(caps.block))
        alert = (str(caps.alert_threshold), "" if is_last else "1")
        args = (permit.cost, *limits, *alert, permit.charged_ms, *self.events)
        return ScriptCall(script("charge"), self._keys(permit.provider, permit.message_id, permit.charged_ms), args)

    def refund_call(self, permit: Permit, charged_ms: int) -> ScriptCall:
        """Return the call that removes the charge of a message; `charged_ms` is when this account was charged."""
        keys = self._keys(permit.provider, permit.message_id, permit.charged_ms)
        return ScriptCall(script("refund"), keys, (permit.cost, charged_ms))

    def correct_call(self, provider: str, message_id: str, change: PriceChange) -> ScriptCall:
        """Return the call that changes the price of a charged message."""
        args = (*change, encode_optional(self.caps.spend), str(self.caps.alert_threshold), *self.events)
        return ScriptCall(script("correct_charge"), self._keys(provider, message_id, change.charged_ms), args)

    def _keys(self, provider: str, message_id: str, charged_ms: int) -> tuple[str, str]:
        return (self.key, changed_price_key(self.key, provider, message_id, charged_ms))


class SharedAccounts:
    """The accounts of the tenants and countries that have caps."""

    def __init__(
        self,
        topology: Topology,
        tenants: Mapping[str, Caps],
        countries: Mapping[str, Caps],
        event_targets: Sequence[EventTarget] = (),
    ) -> None:
        """Use `topology`; `countries` has the caps by country or `ANY_COUNTRY`; `event_targets` get events."""
        self._topology = topology
        self._event_targets = event_targets
        self._of_tenants = {
            name: self._account("tenant", name, tenant_usage_key(name), caps, DeferReason.TENANT_CAPPED)
            for name, caps in tenants.items()
            if caps.is_limited
        }
        self._countries = countries if any(caps.is_limited for caps in countries.values()) else {}

    def of(self, tenant: str, country: str) -> tuple[Account, ...]:
        """Return the accounts to which a message is charged: that of its tenant and that of its country."""
        of_tenant = self._of_tenants.get(tenant)
        accounts = () if of_tenant is None else (of_tenant,)
        if self._countries and (caps := caps_of_country(self._countries, country)).is_limited:
            key = country_usage_key(country)
            accounts = (*accounts, self._account("country", country, key, caps, DeferReason.COUNTRY_CAPPED))
        return accounts

    def _account(self, kind: str, name: str, key: str, caps: Caps, reason: DeferReason) -> Account:
        events = event_args(usage_events_key(key), self._event_targets, (EventType.CAP_NEAR,), kind, name)
        return Account(name, key, caps, reason, events)

    async def charge(self, accounts: Sequence[Account], permit: Permit) -> tuple[int, ...] | Deferred:
        """Charge the message of a permit to `accounts`, one after the other; if one refuses, none of them is charged.

        Returns:
            When each account was charged, in ms; or why the message is refused.
        """
        times: list[int] = []
        for account in accounts:
            is_last = len(times) == len(accounts) - 1
            try:
                [reply] = await self._topology.send([account.charge_call(permit, is_last=is_last)])
            except Refused:
                with contextlib.suppress(Refused):
                    await self._refund(accounts, permit, times)
                raise
            if reply[0] != b"charged":
                await self._refund(accounts, permit, times)
                return read_refusal(reply, account.reason)
            report_alert(reply[4], account.name, account.reason, int(reply[2]), int(reply[3]))
            times.append(int(reply[1]))
        return tuple(times)

    async def _refund(self, accounts: Sequence[Account], permit: Permit, times: Sequence[int]) -> None:
        if calls := refund_calls(accounts, permit, times):
            await self._topology.send(calls)

    async def correct(self, accounts: Sequence[Account], provider: str, message_id: str, change: PriceChange) -> None:
        """Change the price of a message that was charged to `accounts`. Safe to repeat."""
        if not accounts or not change.number:
            return
        replies = await self._topology.send([one.correct_call(provider, message_id, change) for one in accounts])
        for account, reply in zip(accounts, replies, strict=True):
            if reply[0] == b"corrected":
                report_alert(reply[3], account.name, account.reason, int(reply[1]), int(reply[2]))


def refund_calls(accounts: Sequence[Account], permit: Permit, times: Sequence[int]) -> list[ScriptCall]:
    """Return the calls that remove the charges of a message, each by the time at which its account was charged."""
    return [account.refund_call(permit, at_ms) for account, at_ms in zip(accounts, times, strict=False)]


def read_refusal(reply: ScriptReply, reason: DeferReason) -> Deferred:
    """Read the reply of a script that has refused a message at a cap."""
    return Deferred(DeferReason.WAIT if reply[0] == b"held" else reason, int(reply[2]))


class Usage(NamedTuple):
    """What `daily_usage` replies.

    `exceeds`: for each price, whether a message would exceed a cap. `until_tomorrow_ms`: for how long. `held_ms`: after
    which time to ask again, because the last charge may be refunded; 0: it is final.
    """

    until_tomorrow_ms: int
    held_ms: int
    exceeds: tuple[bool, ...]

    def deferred(self, reason: DeferReason) -> Deferred:
        """Return how to defer a message that exceeds a cap."""
        if self.held_ms:
            return Deferred(DeferReason.WAIT, self.held_ms)
        return Deferred(reason, self.until_tomorrow_ms)


def read_usage(reply: ScriptReply) -> Usage:
    """Read the reply of `daily_usage`."""
    until_tomorrow_ms, held_ms, *exceeds = reply
    return Usage(int(until_tomorrow_ms), int(held_ms), tuple(bool(one) for one in exceeds))


def report_alert(crossed: bytes, name: str, reason: DeferReason, messages: int, spend: int) -> None:
    """Log that a charge `crossed` the alert threshold of a cap, if it did."""
    if crossed:
        LOG.warning("cap_nearly_reached", who=name, cap=reason.value, messages=messages, spend=spend)
