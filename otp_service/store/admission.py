"""The batch that admits a request for a code: its script calls, what their replies mean, and the calls that undo it.

The parts of an admission are in different hash slots, so no script covers them all. Each script acquires its part if it
can; when one denies the request, the other parts are released.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import msgspec

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.limits import DISABLED_RETRY_MS, SendPolicy
from otp_service.domain.provider_policy import DeferReason, ProviderState
from otp_service.domain.quotas import QuotaState, own_states, violated_states
from otp_service.domain.results import (
    ActiveVerification,
    Admission,
    Admitted,
    Denied,
    IdempotencyClaim,
    RateLimit,
)
from otp_service.store.encoding import encode_lockout, encode_windows, unpack_record
from otp_service.store.keys import ALL_PARTITIONS, limit_key
from otp_service.store.provider_status import read_state
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.shared_accounts import Account, read_usage

__all__ = [
    "acquire_calls",
    "look_calls",
    "read_admitted",
    "read_denied",
    "release_limits_calls",
    "release_reservation_call",
    "reserve_call",
    "start_keys",
    "undo_calls",
    "undo_reservation_calls",
]

_DENIALS: Final[dict[bytes, tuple[Reason, str | None]]] = {
    b"locked": (Reason.RECIPIENT_LOCKED, None),
    b"cooldown": (Reason.RESEND_TOO_SOON, None),
    b"max_sends": (Reason.RATE_LIMITED, "max_sends"),
    b"recipient": (Reason.RATE_LIMITED, "recipient"),
}


def reserve_call(admission: Admission) -> ScriptCall:
    """Return the call that reserves a send to the recipient."""
    partition, policy = ALL_PARTITIONS[admission.partition], admission.policy
    args: tuple[str | bytes | int, ...] = (
        admission.tenant,
        admission.purpose,
        encode_windows(policy.recipient_failures),
        encode_windows(policy.recipient),
        policy.cooldown_seconds * 1000,
        policy.max_sends,
        policy.ttl_seconds * 1000,
        partition.verifications,
        partition.messages,
        int(policy.reuse),
        admission.token,
        encode_lockout(policy.lockout),
        admission.recipient,
    )
    lockout = partition.lockout(admission.tenant, admission.recipient)
    keys: tuple[str, ...] = (partition.recipients + admission.recipient, lockout, partition.opted_out)
    if claim := admission.idempotency:
        keys, args = (*keys, partition.responses + claim.keyed_hash), (*args, claim.fingerprint)
    return ScriptCall(script("reserve"), keys, args)


def acquire_calls(limits: Sequence[RateLimit]) -> list[ScriptCall]:
    """Return the calls that acquire one event of each limit."""
    return [_limit_call(one, "left" if one.is_own else "") for one in limits]


def look_calls(limits: Sequence[RateLimit]) -> list[ScriptCall]:
    """Return the calls that look whether an event of each limit fits. `read_denied` reads their replies, too."""
    return [_limit_call(one, "look") for one in limits]


def _limit_call(one: RateLimit, mode: str) -> ScriptCall:
    args = (encode_windows(one.windows), mode) if mode else (encode_windows(one.windows),)
    return ScriptCall(script("rate_limit_acquire"), (limit_key(one.limit, one.keyed_hash),), args)


def release_limits_calls(acquired: Sequence[tuple[RateLimit, int]]) -> list[ScriptCall]:
    """Return the calls that release events of limits, each identified by its time in ms."""
    return [
        ScriptCall(script("rate_limit_release"), (limit_key(one.limit, one.keyed_hash),), (at_ms,))
        for one, at_ms in acquired
    ]


def release_reservation_call(admission: Admission, reserved_ms: int, chain_before: bytes) -> ScriptCall:
    """Return the call that releases the reservation of a time; `chain_before` is what `reserve` returned."""
    key = ALL_PARTITIONS[admission.partition].recipients + admission.recipient
    return ScriptCall(script("release"), (key,), (admission.tenant, admission.purpose, reserved_ms, chain_before))


def undo_calls(admission: Admission, results: Sequence[ScriptReply | Refused]) -> list[ScriptCall]:
    """Return the calls that release what the calls of an admission acquired whose replies came.

    `results` begins with the reply of `reserve`, followed by those of the rate limits.
    """
    reserved, *others = results
    limits = zip(admission.rate_limits, others, strict=False)
    calls = release_limits_calls(_acquired([(one, reply) for one, reply in limits if not isinstance(reply, Refused)]))
    return calls if isinstance(reserved, Refused) else calls + undo_reservation_calls(admission, reserved)


def undo_reservation_calls(admission: Admission, reserved: ScriptReply) -> list[ScriptCall]:
    """Return the call that releases what `reserve` reserved, by its reply; none if it reserved nothing."""
    if reserved[0] != b"reserved":
        return []
    return [release_reservation_call(admission, int(reserved[1]), reserved[3])]


def start_keys(admission: Admission, verification_id: str, claim: IdempotencyClaim | None) -> tuple[str, ...]:
    """Return the keys of `start` and `abandon`; with `claim`, the last one is that of the stored response."""
    partition = ALL_PARTITIONS[admission.partition]
    keys = (
        partition.recipients + admission.recipient,
        *partition.keys_of(verification_id),
        partition.abandoned + verification_id,
        partition.recipient_indexes + admission.recipient,
    )
    return (*keys, partition.responses + claim.keyed_hash) if claim else keys


def read_admitted(
    admission: Admission,
    reserved: ScriptReply,
    rate_limits: Sequence[ScriptReply],
    states: Sequence[ScriptReply],
    accounts: Sequence[Account] = (),
) -> Admitted:
    """Read the replies of a request that is not denied into a value that holds all that was acquired.

    Args:
        admission: The request.
        reserved: The reply of `reserve`.
        rate_limits: The replies of the rate limits.
        states: The states of the providers of the route, followed by the usages of `accounts`.
        accounts: The tenant and the country, if they have caps.
    """
    active = None
    if reserved[4] and (record := unpack_record(reserved[5])):
        active = ActiveVerification(reserved[4].decode(), record, reserved[6])
    providers, capped_ms = _read_route(tuple(one.name for one in admission.route), states, accounts)
    return Admitted(
        admission=admission,
        now_ms=int(reserved[1]),
        sends_left=admission.policy.max_sends - int(reserved[2]) - 1,
        active=active,
        chain_before=reserved[3],
        acquired=_acquired(list(zip(admission.rate_limits, rate_limits, strict=True))),
        providers=providers,
        tenant_capped_ms=capped_ms.get(DeferReason.TENANT_CAPPED, 0),
        country_capped_ms=capped_ms.get(DeferReason.COUNTRY_CAPPED, 0),
        own_quotas=tuple(
            state
            for one, reply in zip(admission.rate_limits, rate_limits, strict=True)
            if one.is_own
            for state in own_states(one, reply[2:])
        ),
    )


def read_denied(admission: Admission, reserved: ScriptReply, rate_limits: Sequence[ScriptReply]) -> Denied | None:
    """Return why the request is denied: a lock or an opt-out first, otherwise the limit with the longest wait.

    None: it is not denied.

    The wait is the longest one of all limits that deny the request: after a shorter one, it would be denied again.
    """
    if reserved[0] == b"disabled":
        return Denied(Reason.RECIPIENT_LOCKED, DISABLED_RETRY_MS, disabled=True)
    if reserved[0] == b"opted_out":
        return Denied(Reason.RECIPIENT_OPTED_OUT, 0)
    denials, violated = [], _violated_by_recipient(admission.policy, reserved)
    if reserved[0] not in (b"reserved", b"replay"):
        reason, limit = _DENIALS[reserved[0]]
        denials.append((int(reserved[2]), reason, limit))
    for one, reply in zip(admission.rate_limits, rate_limits, strict=True):
        if reply[0] == b"denied":
            denials.append((int(reply[1]), Reason.RATE_LIMITED, one.limit))
            violated += violated_states(one.limit, one.windows, reply[2:])
    if not denials:
        return None
    wait_ms, reason, limit = max(denials, key=itemgetter(0))
    if reserved[0] == b"locked":
        reason, limit = _DENIALS[reserved[0]]
    return Denied(reason, wait_ms, limit, violated=violated)


def _violated_by_recipient(policy: SendPolicy, reserved: ScriptReply) -> tuple[QuotaState, ...]:
    """Return the quotas of the recipient that are used up, from the reply of `reserve`."""
    match reserved[0]:
        case b"locked":
            return violated_states("recipient_failures", policy.recipient_failures, reserved[3:])
        case b"cooldown" | b"max_sends" | b"recipient":
            cooldown_ms, chain_ms, *windows_ms = map(int, reserved[3:])
            named = ("cooldown", cooldown_ms), ("max_sends", chain_ms)
            of_recipient = violated_states("recipient", policy.recipient, windows_ms)
            return (*[QuotaState(name, 0, wait_ms) for name, wait_ms in named if wait_ms], *of_recipient)
    return ()


def _acquired(limits: Sequence[tuple[RateLimit, ScriptReply]]) -> tuple[tuple[RateLimit, int], ...]:
    return tuple((one, int(reply[1])) for one, reply in limits if reply[0] == b"acquired")


def _read_route(
    route: tuple[str, ...], replies: Sequence[ScriptReply], accounts: Sequence[Account]
) -> tuple[tuple[tuple[str, ProviderState], ...], dict[DeferReason, int]]:
    """Return the state of each provider for the message, and for how many ms which caps block every message."""
    states = [read_state(reply) for reply in replies[: len(route)]]
    capped_ms: dict[DeferReason, int] = {}
    for account, reply in zip(accounts, replies[len(route) :], strict=True):
        usage = read_usage(reply)
        blocks_free_message, *blocks = usage.exceeds
        states = [
            msgspec.structs.replace(state, capped_ms=usage.until_tomorrow_ms) if is_blocked else state
            for state, is_blocked in zip(states, blocks, strict=True)
        ]
        if blocks_free_message:
            capped_ms[account.reason] = usage.until_tomorrow_ms
    return tuple(zip(route, states, strict=True)), capped_ms
