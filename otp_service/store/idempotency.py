"""Answers kept under callers' idempotency keys, in Redis."""

from __future__ import annotations

from typing import Final

from otp_service.domain.transitions import IdempotentCall, InFlight, Mismatch, New, Replay, Resume
from otp_service.store.keys import idempotency_key
from otp_service.store.link import Call, Reply
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = [
    "RedisIdempotency",
    "abort_call",
    "begin_args",
    "begin_call",
    "begun",
    "bind_call",
    "finish_call",
    "stopped",
    "unbind_call",
]

KEPT_MS: Final = 24 * 3600 * 1000
"""How long an answer is kept (design.md section 3)."""

SILENT_MS: Final = 15_000
"""A worker of whom nothing was heard for this long has died: longer than any request may take."""


class RedisIdempotency:
    """`domain.ports.Idempotency` on any topology."""

    def __init__(self, topology: Topology) -> None:
        """Work through `topology`."""
        self._topology = topology

    async def finish(self, call: IdempotentCall, answer: bytes) -> None:
        """Keep the answer."""
        await self._topology.send([finish_call(call, answer)])


def begin_args(call: IdempotentCall) -> tuple[str | int, ...]:
    """Say what every beginning says: for what, by whom, and for how long."""
    return (call.fingerprint, call.mark, SILENT_MS, KEPT_MS)


def begin_call(call: IdempotentCall) -> Call:
    """Make the call, for a batch."""
    return Call(script("idempotency_begin"), (idempotency_key(call.subject),), begin_args(call))


def finish_call(call: IdempotentCall, answer: bytes, key: str = "") -> Call:
    """Make the call, for a batch; `key`: where the answer is kept, unless under the caller's key itself."""
    return Call(script("idempotency_finish"), (key or idempotency_key(call.subject),), (call.mark, answer))


def abort_call(call: IdempotentCall, key: str = "") -> Call:
    """Make the call, for a batch; `key` as for `finish_call`."""
    return Call(script("idempotency_abort"), (key or idempotency_key(call.subject),), (call.mark,))


def bind_call(call: IdempotentCall) -> Call:
    """Make the call that binds a caller's key to one request, wherever its answer is kept."""
    return Call(script("once"), (idempotency_key(call.subject),), (call.fingerprint, KEPT_MS))


def unbind_call(call: IdempotentCall) -> Call:
    """Make the call that takes the binding back: the answer is not one to keep."""
    return Call(script("once_again"), (idempotency_key(call.subject),), (call.fingerprint,))


def begun(reply: Reply) -> New | Resume | Replay | InFlight | Mismatch:
    """Read the answer of `idempotency_begin`."""
    match reply[0]:
        case b"new":
            return New()
        case b"resume":
            return Resume(reply[1].decode())
        case _:
            return stopped(reply)


def stopped(reply: Reply) -> Replay | InFlight | Mismatch:
    """Read why nobody may work under a key."""
    match reply[0]:
        case b"replay":
            return Replay(reply[1])
        case b"in_flight":
            return InFlight(int(reply[1]))
        case _:
            return Mismatch()
