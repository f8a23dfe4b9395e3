"""The limits of calls to providers, shared by all replicas: circuit, rate, concurrent calls, and daily caps.

One script acquires the call and charges the provider. The caps of the tenant and the country are in other hash slots:
they are checked in the same batch, charged only with a permit, and everything is undone when one of them refuses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from otp_service.domain.errors import Refused
from otp_service.domain.events import CIRCUIT_EVENTS, EventTarget
from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.domain.provider_policy import Caps, DeferReason, Deferred, Permit, ProviderPolicy
from otp_service.observability import LOG, METRICS
from otp_service.store.event_targets import event_args
from otp_service.store.keys import partition_of_id, provider_keys
from otp_service.store.provider_charges import ProviderCharges, spend_group
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.shared_accounts import (
    Account,
    SharedAccounts,
    read_refusal,
    read_usage,
    refund_calls,
    report_alert,
)
from otp_service.store.topology import Topology

__all__ = ["OPEN_MS", "RedisProviderLimiter"]

OPEN_MS: Final[Mapping[Outcome | None, tuple[int, int]]] = {
    Outcome.CONFIG_ERROR: (30_000, 240_000),
    Outcome.FUNDS: (60_000, 480_000),
    None: (2_000, 6_000),
}
"""For how long a circuit opens at first and at most, by outcome; None: too many calls failed.

The time is doubled when the circuit opens again without a success in between.

An operator must correct credentials or add funds, which takes time; a gateway that fails may be back at any moment, and
codes wait for it. `lua/_circuit.lua` knows the longest time.
"""

PAUSE_MS: Final = 1_000
"""How long a gateway that throttles us is not called, when it does not say for how long."""

MAX_PAUSE_MS: Final = 60_000
"""A longer `Retry-After` of a gateway counts as this; `lua/provider_acquire.lua` knows it."""


_NO_CAPS: Final[Mapping[str, Caps]] = MappingProxyType({})
_CAP_REPLIES: Final = (b"capped", b"held")


class RedisProviderLimiter:
    """`domain.provider_policy.ProviderLimiter` on any topology."""

    def __init__(
        self,
        topology: Topology,
        policies: Mapping[str, ProviderPolicy],
        tenants: Mapping[str, Caps],
        call_ms: Mapping[str, int],
        *,
        countries: Mapping[str, Caps] = _NO_CAPS,
        charge_reporting: Collection[str] = (),
        event_targets: Sequence[EventTarget] = (),
    ) -> None:
        """Use `topology`.

        Args:
            topology: Sends the calls.
            policies: The policies of all providers.
            tenants: The caps of the tenants that have some.
            call_ms: For each provider, the time within which a call ends.
            countries: The caps by country, or `ANY_COUNTRY` for each other country.
            charge_reporting: The providers whose gateways report what they charged.
            event_targets: Who gets events about caps and circuits.
        """
        self._topology = topology
        self._policies = policies
        self._call_ms = call_ms
        self._circuit_events = {
            name: event_args(provider_keys(name).events, event_targets, CIRCUIT_EVENTS, name) for name in policies
        }
        self._accounts = SharedAccounts(topology, tenants, countries, event_targets)
        self._charges = ProviderCharges(topology, policies, self._accounts, charge_reporting, event_targets)

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
        """Acquire the call and charge every account, or nothing; see the port."""
        policy = self._policies[provider]
        cost, group = policy.cost(country, segments), spend_group(country, policy.currency, tenant)
        accounts = () if repeats else self._accounts.of(tenant, country)
        charge = self._charges.charge_args(provider, group, None if repeats else cost, is_last=not accounts)
        call = self._acquire_call(provider, message_id, country, max_wait_ms, charge)
        reply, *usages = await self._topology.send([call, *(account.usage_call([cost]) for account in accounts)])
        capped = _read_capped(usages, accounts)
        if reply[0] != b"permit":
            refusal = read_refusal(reply, _refusal_reason(reply[0]))
            return refusal if refusal.reason is DeferReason.CAPPED or capped is None else capped
        permit = Permit(provider, tenant, message_id, country, cost, int(reply[1]), repeats)
        charged = capped or await self._charge(permit, accounts)
        if isinstance(charged, Deferred):
            await self._undo(permit)
            return charged
        report_alert(reply[4], provider, DeferReason.CAPPED, int(reply[2]), int(reply[3]))
        return replace(permit, shared_ms=charged)

    async def _charge(self, permit: Permit, accounts: Sequence[Account]) -> tuple[int, ...] | Deferred:
        """Charge the tenant and the country; if the store fails meanwhile, the provider gets back what it can."""
        try:
            return await self._accounts.charge(accounts, permit)
        except Refused:
            with contextlib.suppress(Refused):
                await self._undo(permit)
            raise

    async def _undo(self, permit: Permit) -> None:
        """Release a permit of which only the provider's part was acquired."""
        await self._topology.send([self._release_call(permit, None), self._charges.refund_call(permit)])

    async def release(self, permit: Permit, result: SendResult | None) -> None:
        """Count the result in the circuits, and refund or correct the charge; see the port."""
        calls = [self._release_call(permit, result)]
        is_sent = result is not None and not result.outcome.definitely_not_sent
        if not is_sent and not permit.repeats:
            calls.append(self._charges.refund_call(permit))
            accounts = self._accounts.of(permit.tenant, permit.country)
            calls += refund_calls(accounts, permit, permit.shared_ms)
        _report_circuits(permit, result, (await self._topology.send(calls))[0])
        if is_sent and result is not None and result.charged is not None:
            amount = (result.charged, result.charged_currency)
            await self._charges.correct(permit.provider, permit.message_id, *amount, "result")

    async def correct_charge(self, provider: str, message_id: str, charged: Decimal, currency: str) -> None:
        """Count what the gateway charged according to a receipt or a report; see the port."""
        if partition_of_id(message_id) is not None:
            await self._charges.correct(provider, message_id, charged, currency, "receipt")

    def _acquire_call(
        self, provider: str, message_id: str, country: str, max_wait_ms: int, charge: tuple[str | bytes | int, ...]
    ) -> ScriptCall:
        policy, keys = self._policies[provider], provider_keys(provider)
        interval_ms = 1000 / policy.max_per_second if policy.max_per_second else 0
        args = (message_id, f"{interval_ms:.0f}", policy.max_concurrent, self._call_ms[provider], max_wait_ms)
        names = (
            keys.circuit,
            keys.queue,
            keys.poll_times,
            keys.calls,
            keys.destination(country),
            keys.usage,
            keys.charge(message_id),
        )
        return ScriptCall(script("provider_acquire"), names, (*args, *charge))

    def _release_call(self, permit: Permit, result: SendResult | None) -> ScriptCall:
        keys = provider_keys(permit.provider)
        signal = result.health if result else HealthSignal.NONE
        why = result.outcome.value if result else ""
        first_ms, max_ms = _open_ms(result)
        args = (permit.message_id, signal, why, first_ms, max_ms, _pause_ms(result), permit.country)
        names = (keys.circuit, keys.calls, keys.destination(permit.country))
        return ScriptCall(script("provider_release"), names, (*args, *self._circuit_events[permit.provider]))


def _open_ms(result: SendResult | None) -> tuple[int, int]:
    """Return for how long a circuit opens first and at most, if this result opens it."""
    if result is None or result.health is not HealthSignal.TRIP:
        return OPEN_MS[None]
    return OPEN_MS.get(result.outcome, OPEN_MS[Outcome.CONFIG_ERROR])


def _pause_ms(result: SendResult | None) -> int:
    """Return for how long the gateway asked us not to call it."""
    if result is None or result.outcome is not Outcome.THROTTLED:
        return 0
    return PAUSE_MS if result.retry_after is None else min(int(result.retry_after * 1000), MAX_PAUSE_MS)


def _read_capped(usages: Sequence[ScriptReply], accounts: Sequence[Account]) -> Deferred | None:
    """Return which of `accounts` is at its cap; None: none is."""
    for account, usage in zip(accounts, usages, strict=True):
        usage_today = read_usage(usage)
        if usage_today.exceeds[0]:
            return usage_today.deferred(account.reason)
    return None


def _refusal_reason(word: bytes) -> DeferReason:
    return DeferReason.CAPPED if word in _CAP_REPLIES else DeferReason(word.decode())


def _report_circuits(permit: Permit, result: SendResult | None, reply: ScriptReply) -> None:
    """Set the metrics of the circuits after a call, and log those that it opened."""
    state, opened, destination_state, destination_opened = reply
    METRICS.circuit_open.labels(permit.provider).set(state == b"open")
    METRICS.destination_circuit_open.labels(permit.provider, permit.country).set(destination_state == b"open")
    why = result.outcome.value if result else ""
    if opened:
        LOG.error("circuit_opened", provider=permit.provider, why=why)
    if destination_opened:
        LOG.error("destination_circuit_opened", provider=permit.provider, country=permit.country, why=why)
