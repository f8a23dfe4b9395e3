"""The limits of calls to providers, shared by all replicas: circuit, rate, concurrent calls, and daily caps.

The script of a provider and the scripts of the daily usage are in different hash slots, so one batch calls them all,
and undoes what succeeded when one of them refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.domain.provider_policy import Caps, DeferReason, Deferred, Permit, ProviderPolicy
from otp_service.observability import LOG, METRICS
from otp_service.store.encoding import encode_optional
from otp_service.store.keys import ProviderKeys, tenant_usage_key
from otp_service.store.pipelined_connection import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["OPEN_MS", "RedisProviderLimiter"]

OPEN_MS: Final[Mapping[Outcome | None, tuple[int, int]]] = {
    Outcome.CONFIG_ERROR: (30_000, 240_000),
    Outcome.FUNDS: (60_000, 480_000),
    None: (2_000, 6_000),
}
"""For how long a circuit opens first and at most, by outcome; None: too many calls failed. Doubled each time in a row.

An operator must correct credentials or add funds, which takes time; a gateway that fails may be back at any moment, and
codes wait for it.
"""

PAUSE_MS: Final = 1_000
"""How long a gateway that throttles us is not called, when it does not say for how long."""

MAX_PAUSE_MS: Final = 60_000
"""A longer `Retry-After` of a gateway counts as this."""


class _Account(NamedTuple):
    """The daily usage of a provider or a tenant, its caps, and the reason to report when they block."""

    name: str
    key: str
    caps: Caps
    reason: DeferReason


class RedisProviderLimiter:
    """`domain.provider_policy.ProviderLimiter` on any topology."""

    def __init__(
        self,
        topology: Topology,
        policies: Mapping[str, ProviderPolicy],
        tenants: Mapping[str, Caps],
        call_ms: Mapping[str, int],
    ) -> None:
        """Use `topology`.

        Args:
            topology: Sends the calls.
            policies: The policies of all providers.
            tenants: The caps of the tenants that have some.
            call_ms: For each provider, the time within which a call ends.
        """
        self._topology = topology
        self._policies = policies
        self._tenants = tenants
        self._call_ms = call_ms

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
        """Acquire the call and charge the daily usages in one batch, or nothing; see the port."""
        cost = self._policies[provider].cost(country, segments)
        accounts = [] if repeats else self._accounts(provider, tenant)
        calls = [self._acquire_call(provider, message_id, country, max_wait_ms)]
        calls += [_charge_call(account, cost) for account in accounts]
        reply, *charges = await self._topology.send(calls)
        permit = Permit(provider, tenant, message_id, country, cost, int(reply[1]), repeats)
        deferred = _read_deferred(reply, charges, accounts)
        if deferred is None:
            for account, charge in zip(accounts, charges, strict=True):
                _report_threshold(account, charge)
            return permit
        undo = [
            _refund_call(account, permit)
            for account, charge in zip(accounts, charges, strict=True)
            if charge[0] == b"charged"
        ]
        if reply[0] == b"permit":
            undo.append(_release_call(permit, None))
        if undo:
            await self._topology.send(undo)
        return deferred

    async def release(self, permit: Permit, answer: SendResult | None) -> None:
        """Count the result in the circuits, and refund what was definitely not sent; see the port."""
        calls = [_release_call(permit, answer)]
        if not permit.repeats and (answer is None or answer.outcome.definitely_not_sent):
            calls += [_refund_call(account, permit) for account in self._accounts(permit.provider, permit.tenant)]
        _report_circuits(permit, answer, (await self._topology.send(calls))[0])

    def _acquire_call(self, provider: str, message_id: str, country: str, max_wait_ms: int) -> ScriptCall:
        policy, keys = self._policies[provider], ProviderKeys(provider)
        interval_ms = 1000 / policy.max_per_second if policy.max_per_second else 0
        args = (message_id, f"{interval_ms:.0f}", policy.max_concurrent, self._call_ms[provider], max_wait_ms)
        names = (keys.circuit, keys.queue, keys.poll_times, keys.calls, keys.destination(country))
        return ScriptCall(script("provider_acquire"), names, args)

    def _accounts(self, provider: str, tenant: str) -> list[_Account]:
        """Return the accounts that a message is charged to: the provider's, and the tenant's if it has caps."""
        caps = self._policies[provider].caps
        accounts = [_Account(provider, ProviderKeys(provider).usage, caps, DeferReason.CAPPED)]
        tenant_caps = self._tenants.get(tenant)
        if tenant_caps is not None and tenant_caps.is_limited:
            accounts.append(_Account(tenant, tenant_usage_key(tenant), tenant_caps, DeferReason.TENANT_CAPPED))
        return accounts


def _charge_call(account: _Account, cost: int) -> ScriptCall:
    caps = account.caps
    limits = (encode_optional(caps.messages), encode_optional(caps.spend), int(caps.block), str(caps.alert_threshold))
    return ScriptCall(script("charge"), (account.key,), (cost, *limits))


def _refund_call(account: _Account, permit: Permit) -> ScriptCall:
    return ScriptCall(script("refund"), (account.key,), (permit.cost, permit.charged_ms))


def _release_call(permit: Permit, answer: SendResult | None) -> ScriptCall:
    keys = ProviderKeys(permit.provider)
    signal = answer.health if answer else HealthSignal.NONE
    why = answer.outcome.value if answer else ""
    first_ms, max_ms = _open_ms(answer)
    args = (permit.message_id, signal, why, first_ms, max_ms, _pause_ms(answer), permit.country)
    return ScriptCall(script("provider_release"), (keys.circuit, keys.calls, keys.destination(permit.country)), args)


def _open_ms(answer: SendResult | None) -> tuple[int, int]:
    """Return for how long a circuit opens first and at most, if this result opens it."""
    if answer is None or answer.health is not HealthSignal.TRIP:
        return OPEN_MS[None]
    return OPEN_MS.get(answer.outcome, OPEN_MS[Outcome.CONFIG_ERROR])


def _pause_ms(answer: SendResult | None) -> int:
    """Return for how long the gateway asked us not to call it."""
    if answer is None or answer.outcome is not Outcome.THROTTLED:
        return 0
    return PAUSE_MS if answer.retry_after is None else min(int(answer.retry_after * 1000), MAX_PAUSE_MS)


def _read_deferred(reply: ScriptReply, charges: list[ScriptReply], accounts: list[_Account]) -> Deferred | None:
    """Return why the call may not be made; caps first. None: it may."""
    for account, charge in zip(accounts, charges, strict=True):
        if charge[0] == b"capped":
            return Deferred(account.reason, int(charge[2]))
    return None if reply[0] == b"permit" else Deferred(DeferReason(reply[0].decode()), int(reply[2]))


def _report_threshold(account: _Account, charge: ScriptReply) -> None:
    """Log when this charge crossed the alert threshold of a cap."""
    if charge[4]:
        LOG.warning(
            "cap_nearly_reached",
            who=account.name,
            cap=account.reason.value,
            messages=int(charge[2]),
            spend=int(charge[3]),
        )


def _report_circuits(permit: Permit, answer: SendResult | None, reply: ScriptReply) -> None:
    """Set the metrics of the circuits after a call, and log those that it opened."""
    state, opened, destination_state, destination_opened = reply
    METRICS.circuit_open.labels(permit.provider).set(state == b"open")
    METRICS.destination_circuit_open.labels(permit.provider, permit.country).set(destination_state == b"open")
    why = answer.outcome.value if answer else ""
    if opened:
        LOG.error("circuit_opened", provider=permit.provider, why=why)
    if destination_opened:
        LOG.error("destination_circuit_opened", provider=permit.provider, country=permit.country, why=why)
