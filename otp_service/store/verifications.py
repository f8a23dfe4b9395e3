"""The life of a verification in Redis: one typed method per transition."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.limits import DISABLED_RETRY_MS, Window
from otp_service.domain.provider_policy import Caps, ProviderPolicy, ProviderState
from otp_service.domain.results import (
    ActiveVerification,
    Admission,
    Admitted,
    Denied,
    InFlight,
    KeyClaimed,
    Mismatch,
    NotFound,
    Replay,
    ReservationExpired,
    Started,
    Unreadable,
)
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot
from otp_service.store import idempotency_keys
from otp_service.store.keys import Partition, limit_key, partition_of_id
from otp_service.store.pipelined_connection import ScriptCall, ScriptReply
from otp_service.store.provider_limits import day_state_call, passing_caps, state_call, state_of
from otp_service.store.records import pack, unpack
from otp_service.store.reservation import release_call, start_keys, undo_calls, untake_calls
from otp_service.store.script_arguments import lockout_text, windows_text
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisVerifications"]

FIRST_LEASE_MS: Final = 5_000
"""Whoever starts a verification also delivers it at once; if it dies, another replica does after this time."""

START_WITHIN_MS: Final = 10_000
"""A reservation starts within this time or not at all: before anybody may take its idempotency key for abandoned."""

ABANDONED_MS: Final = START_WITHIN_MS + 5_000
"""For how long an abandoned id is known: no `start` comes later, also if two servers' clocks differ a little."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_DENIALS: Final = {
    b"locked": (Reason.RECIPIENT_LOCKED, None),
    b"cooldown": (Reason.RESEND_TOO_SOON, None),
    b"max_sends": (Reason.RATE_LIMITED, "max_sends"),
    b"recipient": (Reason.RATE_LIMITED, "recipient"),
}


class RedisVerifications:
    """`domain.ports.Verifications` on one server, Sentinel or a cluster."""

    def __init__(
        self,
        topology: Topology,
        policies: Mapping[str, ProviderPolicy] = _NOTHING,
        tenants: Mapping[str, Caps] = _NOTHING,
        *,
        key_ids: Collection[str],
    ) -> None:
        """Work through `topology`; look at gateways by their `policies`, and at `tenants` by their caps.

        `key_ids` are the keys that this replica can read with.
        """
        self._topology = topology
        self._key_ids = pack(tuple(key_ids))
        self._policies = policies
        self._tenants = tenants

    async def admit(self, admission: Admission) -> Admitted | Denied | Replay | InFlight | Mismatch:
        """Take from every budget in one batch; see the port."""
        looks = self._looks(admission)
        calls = [_reserve(admission), *(_take(t.limit, t.keyed_hash, t.windows) for t in admission.rate_limits), *looks]
        if admission.idempotency:
            calls.append(idempotency_keys.claim_call(admission.idempotency))
        answers = await self._topology.attempt(calls)
        replies = await self._all_or_nothing(admission, answers)
        reserved, rate_limits = replies[0], replies[1 : 1 + len(admission.rate_limits)]
        looked = replies[1 + len(rate_limits) : 1 + len(rate_limits) + len(looks)]
        admitted = _admitted(admission, reserved, rate_limits, looked)
        claim = idempotency_keys.claimed(replies[-1]) if admission.idempotency else KeyClaimed()
        stopped = Replay(reserved[2]) if reserved[0] == b"replay" else claim
        if not isinstance(stopped, KeyClaimed):
            await self._give_back(admitted, reserved, free_key=False)
            return claim if isinstance(claim, Mismatch) else stopped
        denied = _longest_denial(admission, reserved, rate_limits)
        if denied:
            await self._give_back(admitted, reserved, free_key=True)
            return denied
        return admitted

    def _looks(self, admission: Admission) -> list[ScriptCall]:
        """Look at every gateway of the route, and at the tenant's day, with what this message costs there."""
        policies = [self._policies[name] for name in admission.route]
        prices = [policy.cost(admission.country, admission.segments) for policy in policies]
        looks = [
            state_call(name, policy, price, admission.country)
            for name, policy, price in zip(admission.route, policies, prices, strict=True)
        ]
        if caps := self._tenants.get(admission.tenant):
            looks.append(day_state_call(admission.tenant, caps, [0, *prices]))
        return looks

    async def _all_or_nothing(
        self, admission: Admission, answers: Sequence[ScriptReply | Refused]
    ) -> list[ScriptReply]:
        """Read the answers, or give back what the answered ones took, and raise what kept the others."""
        refused = next((answer for answer in answers if isinstance(answer, Refused)), None)
        if refused is None:
            return list(answers)
        if calls := undo_calls(admission, answers):
            await self._topology.attempt(calls)
        raise refused

    async def withdraw(self, admission: Admission) -> None:
        """Take back what can be found of an admission; see the port."""
        key = Partition(admission.partition).recipients + admission.recipient
        calls = [ScriptCall(script("unreserve"), (key,), (admission.tenant, admission.purpose, admission.token))]
        if admission.idempotency:
            calls.append(idempotency_keys.release_call(admission.idempotency))
        await self._topology.send(calls)

    async def release(self, admitted: Admitted) -> None:
        """Give everything back."""
        await self._give_back(admitted, [b"reserved"], free_key=True)

    async def _give_back(self, admitted: Admitted, reserved: ScriptReply, *, free_key: bool) -> None:
        admission = admitted.admission
        calls = untake_calls(admitted.acquired)
        if reserved[0] == b"reserved":
            calls.append(release_call(admission, admitted.now_ms, admitted.chain_before))
        if free_key and admission.idempotency:
            calls.append(idempotency_keys.release_call(admission.idempotency))
        if calls:
            await self._topology.send(calls)

    async def start(
        self,
        admitted: Admitted,
        verification_id: str,
        record: VerificationRecord,
        sealed_code: bytes | None,
        answer: bytes | None,
    ) -> Started | ReservationExpired | Replay:
        """Store the verification; see the port."""
        partition = Partition(admitted.admission.partition)
        call = admitted.admission.idempotency if answer is not None else None
        keys = start_keys(admitted.admission, verification_id, call)
        args: tuple[str | bytes | int, ...] = (
            verification_id,
            pack(record),
            sealed_code or b"",
            FIRST_LEASE_MS,
            partition.verifications,
            partition.messages,
            admitted.now_ms + START_WITHIN_MS,
        )
        if call and answer is not None:
            args = (*args, *idempotency_keys.answer_args(call, answer))
        [reply] = await self._topology.send([ScriptCall(script("start"), keys, args)])
        match reply[0]:
            case b"started":
                return Started()
            case b"replay":
                return Replay(reply[1])
            case _:
                return ReservationExpired()

    async def abandon(self, admitted: Admitted, verification_id: str) -> None:
        """Make sure that nothing comes of a start, and give everything back; see the port."""
        keys = start_keys(admitted.admission, verification_id, admitted.admission.idempotency)
        [reply] = await self._topology.send([ScriptCall(script("abandon"), keys, (verification_id, ABANDONED_MS))])
        if reply[0] != b"begun":
            await self.release(admitted)

    async def cancel(self, verification_id: str, tenant: str) -> VerificationSnapshot | NotFound | Unreadable:
        """End it if it is pending; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return NotFound()
        call = ScriptCall(script("cancel"), partition.of(verification_id), (verification_id, tenant, self._key_ids))
        return await self._snapshot(verification_id, call)

    async def read(self, verification_id: str, tenant: str) -> VerificationSnapshot | NotFound | Unreadable:
        """Say how it stands; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return NotFound()
        call = ScriptCall(script("read"), (partition.verifications + verification_id,), (tenant,))
        return await self._snapshot(verification_id, call)

    async def _snapshot(self, verification_id: str, call: ScriptCall) -> VerificationSnapshot | NotFound | Unreadable:
        [reply] = await self._topology.send([call])
        match reply[0]:
            case b"unknown":
                return NotFound()
            case b"unreadable":
                return Unreadable()
        record = unpack(reply[2])
        return NotFound() if record is None else VerificationSnapshot(verification_id, record, int(reply[1]))


def _reserve(admission: Admission) -> ScriptCall:
    partition, policy = Partition(admission.partition), admission.policy
    args: tuple[str | bytes | int, ...] = (
        admission.tenant,
        admission.purpose,
        windows_text(policy.recipient_failures),
        windows_text(policy.recipient),
        policy.cooldown_seconds * 1000,
        policy.max_sends,
        policy.ttl_seconds * 1000,
        partition.verifications,
        partition.messages,
        int(policy.reuse),
        admission.token,
        lockout_text(policy.lockout),
    )
    lockout = partition.lockout(admission.tenant, admission.recipient)
    keys: tuple[str, ...] = (partition.recipients + admission.recipient, lockout)
    if call := admission.idempotency:
        keys, args = (*keys, partition.answers + call.keyed_hash), (*args, call.fingerprint)
    return ScriptCall(script("reserve"), keys, args)


def _take(limit: str, keyed_hash: str, windows: tuple[Window, ...]) -> ScriptCall:
    return ScriptCall(script("rate_limit_acquire"), (limit_key(limit, keyed_hash),), (windows_text(windows),))


def _admitted(
    admission: Admission, reserved: ScriptReply, rate_limits: list[ScriptReply], looked: list[ScriptReply]
) -> Admitted:
    """Note everything that was taken, also when the whole is denied: it has to be given back."""
    passed = reserved[0] == b"reserved"
    active = None
    if passed and reserved[4] and (record := unpack(reserved[5])):
        active = ActiveVerification(reserved[4].decode(), record, reserved[6])
    gateways, tenant_capped_ms = _standing(admission.route, looked)
    return Admitted(
        admission=admission,
        now_ms=int(reserved[1]),
        sends_left=admission.policy.max_sends - int(reserved[2]) - 1 if passed else 0,
        active=active,
        chain_before=reserved[3] if passed else b"",
        acquired=tuple(
            (take, int(reply[1]))
            for take, reply in zip(admission.rate_limits, rate_limits, strict=True)
            if reply[0] == b"taken"
        ),
        gateways=gateways,
        tenant_capped_ms=tenant_capped_ms,
    )


def _standing(route: tuple[str, ...], looked: list[ScriptReply]) -> tuple[tuple[tuple[str, ProviderState], ...], int]:
    """Say how each gateway stands for the message, by all caps, and for how long the tenant's block every message."""
    states = [state_of(reply) for reply in looked[: len(route)]]
    if len(looked) == len(route):
        return tuple(zip(route, states, strict=True)), 0
    until_tomorrow_ms, (passes_free, *passes) = passing_caps(looked[-1])
    judged = (
        replace(state, capped_ms=until_tomorrow_ms) if passing else state
        for state, passing in zip(states, passes, strict=True)
    )
    return tuple(zip(route, judged, strict=True)), until_tomorrow_ms if passes_free else 0


def _longest_denial(admission: Admission, reserved: ScriptReply, rate_limits: list[ScriptReply]) -> Denied | None:
    """Tell the lock first, and otherwise what keeps the caller waiting longest: an honest Retry-After."""
    denials = []
    if reserved[0] == b"disabled":
        return Denied(Reason.RECIPIENT_LOCKED, DISABLED_RETRY_MS, disabled=True)
    if reserved[0] not in (b"reserved", b"replay"):
        reason, limit = _DENIALS[reserved[0]]
        denials.append(Denied(reason, int(reserved[2]), limit))
        if reason is Reason.RECIPIENT_LOCKED:
            return denials[0]
    for take, reply in zip(admission.rate_limits, rate_limits, strict=True):
        if reply[0] == b"denied":
            denials.append(Denied(Reason.RATE_LIMITED, int(reply[1]), take.limit))
    return max(denials, key=lambda denied: denied.wait_ms, default=None)
