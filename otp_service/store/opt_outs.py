"""Opt-outs and the reading of inboxes in Redis.

The opted-out numbers of a partition are one sorted set of keyed hashes, scored by when each opt-out ends. It is in the
hash slot of the partition's recipients, so `reserve` looks a number up without another call.
"""

from __future__ import annotations

from typing import Final

from otp_service.domain.opt_out import InboundClaim, OptOutAction, OptOutEffect
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS, inbound_keys
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisInboundCursors", "RedisOptOuts"]

_DAY_MS: Final = 86_400_000

OPT_OUT_MS: Final = 400 * _DAY_MS
"""How long an opt-out lasts after the last message that asked for it."""

HANDLED_MS: Final = 400 * _DAY_MS
OTHER_HANDLED_MS: Final = 30 * _DAY_MS
"""How long a message that changes an opt-out, and any other one, is remembered as handled."""

CURSOR_MS: Final = 400 * _DAY_MS


class RedisOptOuts:
    """`domain.ports.OptOuts` on any topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def change(
        self, partition: int, recipient: str, action: OptOutAction | None, inbound: str = ""
    ) -> OptOutEffect:
        """Opt a number out or in; see the port."""
        of = ALL_PARTITIONS[partition]
        keys: tuple[str, ...] = (of.opted_out, of.inbound + inbound) if inbound else (of.opted_out,)
        args = (recipient, action or "", OPT_OUT_MS, HANDLED_MS if action else OTHER_HANDLED_MS)
        [reply] = await self._topology.send([ScriptCall(script("opt_out"), keys, args)])
        return OptOutEffect(reply[0].decode())

    async def ends_ms(self, partition: int, recipient: str) -> int:
        """Return when the opt-out of a number ends; see the port."""
        [reply] = await self._topology.send([_read(partition, recipient)])
        return int(reply[0])

    async def count(self) -> int:
        """Count the opted-out numbers; see the port."""
        replies = await self._topology.send([_read(number, "") for number in range(PARTITIONS)])
        return sum(int(reply[0]) for reply in replies)


class RedisInboundCursors:
    """`domain.ports.InboundCursors` on any topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def claim(self, provider: str, token: str, lease_ms: int) -> InboundClaim | None:
        """Lease an inbox; see the port."""
        call = ScriptCall(script("inbound_claim"), inbound_keys(provider), (token, lease_ms))
        [reply] = await self._topology.send([call])
        if reply[0] == b"busy":
            return None
        return InboundClaim(int(reply[1]) if reply[1] else None)

    async def advance(self, provider: str, token: str, cursor: int | None, next_ms: int) -> bool:
        """Store how far an inbox was read; see the port."""
        args = (token, "" if cursor is None else cursor, CURSOR_MS, max(1, next_ms))
        [reply] = await self._topology.send([ScriptCall(script("inbound_advance"), inbound_keys(provider), args)])
        return bool(reply[0] == b"advanced")


def _read(partition: int, recipient: str) -> ScriptCall:
    return ScriptCall(script("opted_out"), (ALL_PARTITIONS[partition].opted_out,), (recipient,))
