"""The calls that give back what a request had reserved, and the keys of what it starts."""

from __future__ import annotations

from collections.abc import Sequence

from otp_service.domain.errors import Refused
from otp_service.domain.results import Admission, IdempotencyClaim, RateLimit
from otp_service.store.keys import Partition, limit_key
from otp_service.store.pipelined_connection import ScriptCall, ScriptReply
from otp_service.store.scripts import script

__all__ = ["release_call", "start_keys", "undo_calls", "untake_calls"]


def undo_calls(admission: Admission, answers: Sequence[ScriptReply | Refused]) -> list[ScriptCall]:
    """Give back what the answered parts of an admission are known to have taken: the reservation, then the limits."""
    reserved, *others = answers
    acquired = [
        (take, int(reply[1]))
        for take, reply in zip(admission.rate_limits, others, strict=False)
        if not isinstance(reply, Refused) and reply[0] == b"taken"
    ]
    calls = untake_calls(acquired)
    if not isinstance(reserved, Refused) and reserved[0] == b"reserved":
        calls.append(release_call(admission, int(reserved[1]), reserved[3]))
    return calls


def release_call(admission: Admission, moment: int, chain_before: bytes) -> ScriptCall:
    """Give back the reservation of a moment; `chain_before` as `reserve` has returned it."""
    key = Partition(admission.partition).recipients + admission.recipient
    return ScriptCall(script("release"), (key,), (admission.tenant, admission.purpose, moment, chain_before))


def untake_calls(acquired: Sequence[tuple[RateLimit, int]]) -> list[ScriptCall]:
    """Give back events of limits, each with its moment."""
    return [
        ScriptCall(script("rate_limit_release"), (limit_key(take.limit, take.keyed_hash),), (at,))
        for take, at in acquired
    ]


def start_keys(admission: Admission, verification_id: str, call: IdempotencyClaim | None) -> tuple[str, ...]:
    """Name what a start touches: the recipient, the verification's own keys, and the answer under a caller's key."""
    partition = Partition(admission.partition)
    keys = (
        partition.recipients + admission.recipient,
        *partition.of(verification_id),
        partition.abandoned + verification_id,
    )
    return (*keys, partition.answers + call.keyed_hash) if call else keys
