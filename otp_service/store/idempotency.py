"""Answers kept under callers' idempotency keys, in Redis."""

from __future__ import annotations

from typing import Final

from otp_service.domain.transitions import IdempotentCall, InFlight, Mismatch, New, Replay, Resume
from otp_service.store.keys import idempotency_key
from otp_service.store.link import Call, Reply
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisIdempotency", "abort_call", "begin_call", "begun", "finish_call"]

KEPT_MS: Final = 24 * 3600 * 1000
"""How long an answer is kept (design.md section 3)."""

SILENT_MS: Final = 15_000
"""A worker of whom nothing was heard for this long has died: longer than any request may take."""


class RedisIdempotency:
    """`domain.ports.Idempotency` on any topology."""

    def __init__(self, topology: Topology) -> None:
        """Work through `topology`."""
        self._topology = topology

    async def begin(self, call: IdempotentCall) -> New | Resume | Replay | InFlight | Mismatch:
        """Ask for the right to work."""
        [reply] = await self._topology.send([begin_call(call)])
        return begun(reply)

    async def finish(self, call: IdempotentCall, answer: bytes) -> None:
        """Keep the answer."""
        await self._topology.send([finish_call(call, answer)])

    async def abort(self, call: IdempotentCall) -> None:
        """Free the key."""
        await self._topology.send([abort_call(call)])


def begin_call(call: IdempotentCall) -> Call:
    """Make the call, for a batch."""
    args = (call.fingerprint, call.mark, SILENT_MS, KEPT_MS)
    return Call(script("idempotency_begin"), (idempotency_key(call.subject),), args)


def finish_call(call: IdempotentCall, answer: bytes) -> Call:
    """Make the call, for a batch."""
    return Call(script("idempotency_finish"), (idempotency_key(call.subject),), (call.mark, answer))


def abort_call(call: IdempotentCall) -> Call:
    """Make the call, for a batch."""
    return Call(script("idempotency_abort"), (idempotency_key(call.subject),), (call.mark,))


def begun(reply: Reply) -> New | Resume | Replay | InFlight | Mismatch:
    """Read the answer of `idempotency_begin`."""
    match reply[0]:
        case b"new":
            return New()
        case b"resume":
            return Resume(reply[1].decode())
        case b"replay":
            return Replay(reply[1])
        case b"in_flight":
            return InFlight(int(reply[1]))
        case _:
            return Mismatch()
