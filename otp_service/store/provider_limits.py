"""The right to call a gateway, in Redis: one script per gateway in its own slot, one per day's account in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.domain.provider_policy import (
    Availability,
    Caps,
    DeferReason,
    Deferred,
    Permit,
    ProviderPolicy,
    ProviderState,
)
from otp_service.observability import LOG, METRICS
from otp_service.store.keys import ProviderKeys, tenant_day_key
from otp_service.store.pipelined_connection import ScriptCall, ScriptReply
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisProviderLimiter", "day_state_call", "passing_caps", "state_call", "state_of"]

OPEN_MS: Final[Mapping[Outcome | None, tuple[int, int]]] = {
    Outcome.CONFIG_ERROR: (30_000, 240_000),
    Outcome.FUNDS: (60_000, 480_000),
    None: (2_000, 6_000),
}
"""For how long a circuit opens first and at most, by outcome; None: too many calls failed. Doubled each time in a row.

Rights and money come back by somebody's hand; a gateway that was away may be back at any moment, and codes wait for it.
"""

REST_MS: Final = 1_000
"""For how long a gateway that says "slower" is left alone when it does not say for how long."""

LONGEST_REST_MS: Final = 60_000
"""A gateway's `Retry-After` holds no message longer: the next one asks again."""


class RedisProviderLimiter:
    """`domain.dispatch.Dispatch` on any topology."""

    def __init__(
        self,
        topology: Topology,
        policies: Mapping[str, ProviderPolicy],
        tenants: Mapping[str, Caps],
        call_ms: Mapping[str, int],
    ) -> None:
        """Hold `policies` by provider and caps by tenant; a call to a provider ends within its `call_ms`."""
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
        """Ask the gateway and charge both accounts in one batch; what was taken in vain is given back."""
        policy, keys = self._policies[provider], ProviderKeys(provider)
        cost = policy.cost(country, segments)
        pace = 1000 / policy.max_per_second if policy.max_per_second else 0
        args = (message_id, f"{pace:.0f}", policy.max_concurrent, self._call_ms[provider], max_wait_ms)
        taking = (keys.circuit, keys.queue, keys.comebacks, keys.calls, keys.destination(country))
        calls = [ScriptCall(script("provider_acquire"), taking, args)]
        accounts = [] if repeats else self._accounts(provider, tenant)
        calls += [_charge(key, cost, caps) for key, caps, _ in accounts]
        taken, *charges = await self._topology.send(calls)
        permit = Permit(provider, tenant, message_id, country, cost, int(taken[1]), repeats)
        held = _held(taken, charges, accounts)
        if held is None:
            for (_, _, hindrance), charge in zip(accounts, charges, strict=True):
                _alert(provider if hindrance is DeferReason.CAPPED else tenant, hindrance, charge)
            return permit
        undo = [
            _refund(key, permit)
            for (key, _, _), charge in zip(accounts, charges, strict=True)
            if charge[0] == b"charged"
        ]
        if taken[0] == b"go":
            undo.append(_done_call(permit, None))
        if undo:
            await self._topology.send(undo)
        return held

    async def release(self, permit: Permit, answer: SendResult | None) -> None:
        """Tell the circuit, and give back what was not spent."""
        calls = [_done_call(permit, answer)]
        if not permit.repeats and (answer is None or answer.outcome.definitely_not_sent):
            calls += [_refund(key, permit) for key, _, _ in self._accounts(permit.provider, permit.tenant)]
        _tell(permit, answer, (await self._topology.send(calls))[0])

    def _accounts(self, provider: str, tenant: str) -> list[tuple[str, Caps, DeferReason]]:
        """Name the days that a message counts in: the provider's always, the tenant's if it has caps."""
        accounts = [(ProviderKeys(provider).day, self._policies[provider].caps, DeferReason.CAPPED)]
        tenant_caps = self._tenants.get(tenant)
        if tenant_caps is not None and tenant_caps.is_limited:
            accounts.append((tenant_day_key(tenant), tenant_caps, DeferReason.TENANT_CAPPED))
        return accounts


def state_call(provider: str, policy: ProviderPolicy, price: int = 0, country: str = "") -> ScriptCall:
    """Make the call that looks at a gateway, for a batch: for a message that costs `price` in all, in millionths.

    With a `country` its circuit for numbers of that country counts as well.
    """
    keys = ProviderKeys(provider)
    destination = (keys.destination(country),) if country else ()
    caps = policy.caps
    args = (price, _text(caps.messages), _text(caps.spend), int(caps.block))
    return ScriptCall(script("provider_state"), (keys.circuit, keys.calls, keys.day, *destination), args)


def day_state_call(tenant: str, caps: Caps, prices: Sequence[int]) -> ScriptCall:
    """Make the call that asks whether a tenant's caps have room for a message at each of `prices`, for a batch."""
    args: tuple[str | int, ...] = (_text(caps.messages), _text(caps.spend), int(caps.block), *prices)
    return ScriptCall(script("day_state"), (tenant_day_key(tenant),), args)


def passing_caps(reply: ScriptReply) -> tuple[int, list[bool]]:
    """Read the answer of `day_state`: ms until tomorrow, and for each price whether it would pass a cap."""
    wait, *passes = reply
    return int(wait), [bool(one) for one in passes]


def state_of(reply: ScriptReply) -> ProviderState:
    """Read the answer of `gateway_state`."""
    verdict, wait, why, calls, messages, spend, capped_ms = reply
    return ProviderState(
        Availability(verdict.decode()), int(wait), why.decode(), int(calls), int(messages), int(spend), int(capped_ms)
    )


def _charge(key: str, cost: int, caps: Caps) -> ScriptCall:
    args = (cost, _text(caps.messages), _text(caps.spend), int(caps.block), str(caps.alert_threshold))
    return ScriptCall(script("charge"), (key,), args)


def _refund(key: str, permit: Permit) -> ScriptCall:
    return ScriptCall(script("refund"), (key,), (permit.cost, permit.charged_ms))


def _done_call(permit: Permit, answer: SendResult | None) -> ScriptCall:
    keys = ProviderKeys(permit.provider)
    signal = answer.health if answer else HealthSignal.NONE
    why = answer.outcome.value if answer else ""
    first, longest = _open_ms(answer)
    args = (permit.message_id, signal, why, first, longest, _rest_ms(answer), permit.country)
    return ScriptCall(script("provider_release"), (keys.circuit, keys.calls, keys.destination(permit.country)), args)


def _open_ms(answer: SendResult | None) -> tuple[int, int]:
    """Say for how long a circuit opens first and at most, if this answer opens it."""
    if answer is None or answer.health is not HealthSignal.TRIP:
        return OPEN_MS[None]
    return OPEN_MS.get(answer.outcome, OPEN_MS[Outcome.CONFIG_ERROR])


def _tell(permit: Permit, answer: SendResult | None, reply: ScriptReply) -> None:
    """Tell operators how the circuits are after a call, and which of them it has opened."""
    state, opened, state_there, opened_there = reply
    METRICS.circuit_open.labels(permit.provider).set(state == b"open")
    METRICS.destination_circuit_open.labels(permit.provider, permit.country).set(state_there == b"open")
    why = answer.outcome.value if answer else ""
    if opened:
        LOG.error("circuit_opened", provider=permit.provider, why=why)
    if opened_there:
        LOG.error("destination_circuit_opened", provider=permit.provider, country=permit.country, why=why)


def _rest_ms(answer: SendResult | None) -> int:
    """Say for how long a gateway wants to be left alone."""
    if answer is None or answer.outcome is not Outcome.THROTTLED:
        return 0
    return REST_MS if answer.retry_after is None else min(int(answer.retry_after * 1000), LONGEST_REST_MS)


def _held(
    taken: ScriptReply, charges: list[ScriptReply], accounts: list[tuple[str, Caps, DeferReason]]
) -> Deferred | None:
    for (_, _, hindrance), charge in zip(accounts, charges, strict=True):
        if charge[0] == b"capped":
            return Deferred(hindrance, int(charge[2]))
    return None if taken[0] == b"go" else Deferred(DeferReason(taken[0].decode()), int(taken[2]))


def _alert(who: str, hindrance: DeferReason, charge: ScriptReply) -> None:
    """Tell once when a day's share of a cap is used up."""
    if charge[4]:
        LOG.warning("cap_nearly_reached", who=who, cap=hindrance.value, messages=int(charge[2]), spend=int(charge[3]))


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
