"""Verifications in Redis: one typed method per transition, each one script or one batch of scripts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import msgspec

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.events import EventTarget
from otp_service.domain.guard_counts import GuardCounted, QuietCountries
from otp_service.domain.guard_rules import GUARD_LIMIT, check
from otp_service.domain.provider_policy import Caps, ProviderPolicy
from otp_service.domain.results import (
    Admission,
    Admitted,
    Denied,
    IdInUse,
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
from otp_service.observability import LOG
from otp_service.store import idempotency_keys
from otp_service.store.admission import (
    acquire_calls,
    look_calls,
    read_admitted,
    read_denied,
    release_limits_calls,
    release_reservation_call,
    reserve_call,
    start_keys,
    undo_calls,
    undo_reservation_calls,
)
from otp_service.store.encoding import pack, unpack_snapshot
from otp_service.store.guard_calls import GuardBatch, breaker_calls, undo_counted_calls
from otp_service.store.guard_events import observed_calls
from otp_service.store.keys import ALL_PARTITIONS, partition_of_id
from otp_service.store.provider_status import state_call
from otp_service.store.recent_denials import RecentDenials
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.shared_accounts import Account, SharedAccounts
from otp_service.store.topology import Topology

__all__ = ["RedisVerifications"]

FIRST_LEASE_MS: Final = 5_000
"""The replica that starts a verification delivers it at once; if it stops, another replica does after this time."""

START_WITHIN_MS: Final = 10_000
"""A reservation starts within this time or not at all: before its idempotency key may count as abandoned."""

ABANDONED_MS: Final = START_WITHIN_MS + 5_000
"""How long an abandoned id is remembered. No `start` comes later, also if the clocks of two servers differ a little."""

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


class RedisVerifications:
    """`domain.ports.Verifications` on any topology."""

    def __init__(
        self,
        topology: Topology,
        policies: Mapping[str, ProviderPolicy] = _EMPTY,
        tenants: Mapping[str, Caps] = _EMPTY,
        countries: Mapping[str, Caps] = _EMPTY,
        event_targets: Sequence[EventTarget] = (),
        *,
        key_ids: Collection[str],
    ) -> None:
        """Use `topology`.

        Args:
            topology: Sends the calls.
            policies: The policies of all providers.
            tenants: The caps of the tenants that have some.
            countries: The caps by country, or `ANY_COUNTRY` for each other country.
            event_targets: Who gets events about the guard.
            key_ids: The keys that this replica can read records with.
        """
        self._topology = topology
        self._key_ids = pack(tuple(key_ids))
        self._policies = policies
        self._event_targets = event_targets
        self._recent_denials = RecentDenials()
        self._accounts = SharedAccounts(topology, tenants, countries)
        self._quiet_countries = QuietCountries()

    async def admit(self, admission: Admission) -> Admitted | Denied | Replay | InFlight | Mismatch:
        """Acquire every limit in one batch, or none; see the port."""
        reservation: list[ScriptReply] = []
        if self._recent_denials.expects(admission):
            found = await self._reserve(admission)
            if isinstance(found, Denied):
                return found
            reservation = found
        limits, accounts = admission.rate_limits, self._accounts.of(admission.tenant, admission.country)
        state_calls = self._state_calls(admission, accounts)
        guard = GuardBatch(admission.guard, self._quiet_countries)
        calls = [*acquire_calls(limits), *state_calls, *guard.calls]
        if not reservation:
            calls.insert(0, reserve_call(admission))
        if admission.idempotency:
            calls.append(idempotency_keys.claim_call(admission.idempotency))
        results = [*reservation, *await self._topology.send_each(calls)]
        to_states, to_guard = 1 + len(limits), 1 + len(limits) + len(state_calls)
        of_guard = results[to_guard : to_guard + len(guard.calls)]
        replies = await self._all_or_nothing(admission, results, partial(guard.undo_calls, of_guard))
        reserved, rate_limits = replies[0], replies[1:to_states]
        claim = idempotency_keys.read_claim(replies[-1]) if admission.idempotency else KeyClaimed()
        repeated = Replay(reserved[2]) if reserved[0] == b"replay" else claim
        if not isinstance(repeated, KeyClaimed):
            await self._send([*undo_calls(admission, replies), *guard.undo_calls(of_guard)])
            return claim if isinstance(claim, Mismatch) else repeated
        if denied := read_denied(admission, reserved, rate_limits):
            self._recent_denials.add(admission, denied.wait_ms)
            await self._send(
                [*undo_calls(admission, replies), *guard.undo_calls(of_guard), *_free_key_calls(admission)]
            )
            return denied
        admitted = read_admitted(admission, reserved, rate_limits, replies[to_states:to_guard], accounts)
        return await self._guarded(admitted, guard.read(of_guard))

    async def _guarded(self, admitted: Admitted, counted: GuardCounted | None) -> Admitted | Denied:
        """Apply the rules of the guard to a request that nothing else denies; change the breakers as they demand."""
        if counted is None:
            return admitted
        decision = check(counted.request.policy, counted.request.subject, counted.figures)
        guarded = msgspec.structs.replace(admitted, guard=replace(counted, decision=decision))
        changes = breaker_calls(counted)
        if decision is None or not decision.denies:
            await self._send(changes)
            return guarded
        await self._topology.send([*self._release_calls(guarded), *changes])
        return Denied(Reason.RATE_LIMITED, decision.wait_ms, GUARD_LIMIT, decision=decision)

    async def _reserve(self, admission: Admission) -> Denied | list[ScriptReply]:
        """Reserve the send, and only look at the limits; return the reply of `reserve` unless one of them denies.

        A request that is denied as expected costs one small batch.
        """
        calls = [reserve_call(admission), *look_calls(admission.rate_limits)]
        reserved, *limits = await self._all_or_nothing(admission, await self._topology.send_each(calls))
        if denied := read_denied(admission, reserved, limits):
            await self._send(undo_reservation_calls(admission, reserved))
            return denied
        self._recent_denials.discard(admission)
        return [reserved]

    def _state_calls(self, admission: Admission, accounts: Sequence[Account]) -> list[ScriptCall]:
        """Return the calls that read the providers of the route and the caps of `accounts`, for this message."""
        routed = [(one, self._policies[one.name]) for one in admission.route]
        prices = [policy.cost(admission.country, one.segments) for one, policy in routed]
        calls = [
            state_call(one.name, policy, price, admission.country)
            for (one, policy), price in zip(routed, prices, strict=True)
        ]
        return calls + [account.usage_call([0, *prices]) for account in accounts]

    async def _all_or_nothing(
        self,
        admission: Admission,
        results: Sequence[ScriptReply | Refused],
        undo_more: Callable[[], Sequence[ScriptCall]] = tuple,
    ) -> list[ScriptReply]:
        """Return the replies if all calls have one; otherwise release what was acquired, and raise the refusal."""
        refused = next((result for result in results if isinstance(result, Refused)), None)
        if refused is None:
            return list(results)
        if calls := [*undo_calls(admission, results), *undo_more()]:
            await self._topology.send_each(calls)
        raise refused

    async def withdraw(self, admission: Admission) -> None:
        """Release what an `admit` whose reply was lost may have acquired; see the port."""
        key = ALL_PARTITIONS[admission.partition].recipients + admission.recipient
        calls = [ScriptCall(script("withdraw"), (key,), (admission.tenant, admission.purpose, admission.token))]
        await self._topology.send(calls + _free_key_calls(admission))

    async def release(self, admitted: Admitted) -> None:
        """Release all that was acquired; see the port."""
        await self._send(self._release_calls(admitted))

    def _release_calls(self, admitted: Admitted) -> list[ScriptCall]:
        admission = admitted.admission
        return [
            *release_limits_calls(admitted.acquired),
            release_reservation_call(admission, admitted.now_ms, admitted.chain_before),
            *undo_counted_calls(admitted.guard, self._event_targets),
            *_free_key_calls(admission),
        ]

    async def _send(self, calls: Sequence[ScriptCall]) -> None:
        if calls:
            await self._topology.send(calls)

    async def start(
        self,
        admitted: Admitted,
        verification_id: str,
        record: VerificationRecord,
        sealed_code: bytes | None,
        response: bytes | None,
    ) -> Started | ReservationExpired | IdInUse | Replay:
        """Store the verification and its message; see the port."""
        partition = ALL_PARTITIONS[admitted.admission.partition]
        claim = admitted.admission.idempotency if response is not None else None
        keys = start_keys(admitted.admission, verification_id, claim)
        args: tuple[str | bytes | int, ...] = (
            verification_id,
            pack(record),
            sealed_code or b"",
            FIRST_LEASE_MS,
            partition.verifications,
            partition.messages,
            admitted.now_ms + START_WITHIN_MS,
        )
        if claim and response is not None:
            args = (*args, *idempotency_keys.response_args(claim, response))
        decision = admitted.guard.decision if admitted.guard else None
        calls = [ScriptCall(script("start"), keys, args), *observed_calls(decision, self._event_targets)]
        reply, *events = await self._topology.send_each(calls)
        if isinstance(reply, Refused):
            raise reply
        if any(isinstance(event, Refused) for event in events):  # its node is away: the message has been started
            LOG.warning("guard_event_not_stored", tenant=record.tenant, country=record.country)
        match reply[0]:
            case b"started":
                return Started()
            case b"replay":
                return Replay(reply[1])
            case b"reservation_expired":
                return ReservationExpired()
            case b"id_exists":
                LOG.error("verification_id_in_use", verification_id=verification_id)
                return IdInUse()
        raise AssertionError(f"start returned {reply[0]!r}")

    async def abandon(self, admitted: Admitted, verification_id: str) -> None:
        """Undo a start whose reply was lost, and release all that was acquired; see the port."""
        keys = start_keys(admitted.admission, verification_id, admitted.admission.idempotency)
        [reply] = await self._topology.send([ScriptCall(script("abandon"), keys, (verification_id, ABANDONED_MS))])
        if reply[0] != b"sending":
            await self.release(admitted)

    async def cancel(self, verification_id: str, tenant: str) -> VerificationSnapshot | NotFound | Unreadable:
        """End it if it is pending; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return NotFound()
        keys, args = partition.keys_of(verification_id), (verification_id, tenant, self._key_ids)
        return await self._snapshot(verification_id, ScriptCall(script("cancel"), keys, args))

    async def read(self, verification_id: str, tenant: str) -> VerificationSnapshot | NotFound | Unreadable:
        """Read it; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return NotFound()
        call = ScriptCall(script("read"), (partition.verifications + verification_id,), (tenant,))
        return await self._snapshot(verification_id, call)

    async def _snapshot(self, verification_id: str, call: ScriptCall) -> VerificationSnapshot | NotFound | Unreadable:
        [reply] = await self._topology.send([call])
        match reply[0]:
            case b"found":
                return unpack_snapshot(verification_id, reply[2], int(reply[1]))
            case b"not_found":
                return NotFound()
            case b"unreadable":
                return Unreadable()
        raise AssertionError(f"{call.script.name} returned {reply[0]!r}")


def _free_key_calls(admission: Admission) -> list[ScriptCall]:
    """Return the call that frees the idempotency key of an admission, if it has one."""
    return [idempotency_keys.release_call(admission.idempotency)] if admission.idempotency else []
