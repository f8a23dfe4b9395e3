"""The outbox in Redis: messages leased by moving their due time, partition by partition."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from otp_service.domain.gateways import Receipt
from otp_service.domain.transitions import Begun, Claimed, Noted, Settlement
from otp_service.domain.verification import Record
from otp_service.observability import LOG
from otp_service.store.keys import PARTITIONS, Partition, once_key, partition_of_id
from otp_service.store.link import Call, Reply
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisOutbox"]

LEASE_MS: Final = 5_000
"""From the claim to `begin`: nothing slow happens in between."""

CLAIM_PER_PARTITION: Final = 16

_RECORD = msgspec.msgpack.Decoder(Record)


class RedisOutbox:
    """`domain.ports.Outbox` on any topology."""

    def __init__(self, topology: Topology, max_texts: int) -> None:
        """Let at most `max_texts` gateways have accepted one message."""
        self._topology = topology
        self._max_texts = max_texts

    async def claim(self) -> tuple[list[Claimed], int, int]:
        """Lease what is due in every partition, in one batch."""
        calls = [_claim(Partition(number)) for number in range(PARTITIONS)]
        claimed: list[Claimed] = []
        oldest = waiting = 0
        for reply in await self._topology.send(calls):
            oldest, waiting = max(oldest, int(reply[1])), waiting + int(reply[2])
            claimed += _claimed(reply)
        return claimed, oldest, waiting

    async def claim_near(self, verification_ids: Collection[str]) -> list[Claimed]:
        """Lease what is due in the partitions of some messages."""
        partitions = {partition.number: partition for one in verification_ids if (partition := partition_of_id(one))}
        replies = await self._topology.send([_claim(partition) for partition in partitions.values()])
        return [message for reply in replies for message in _claimed(reply)]

    async def begin(
        self, verification_id: str, lease: int, provider: str, deadline_ms: int, *, repeatable: bool = False
    ) -> Begun | None:
        """Mark it as being sent, if it still may be."""
        args = (verification_id, lease, provider, self._max_texts, deadline_ms, int(repeatable))
        [reply] = await self._topology.send([Call(script("begin"), _keys(verification_id), args)])
        return Begun(int(reply[1])) if reply[0] == b"go" else None

    async def settle(self, verification_id: str, lease: int, settlement: Settlement) -> None:
        """Write down the outcome."""
        args = (
            verification_id,
            lease,
            settlement.provider,
            settlement.call,
            settlement.status,
            settlement.error,
            settlement.message_id,
            settlement.again_in_ms,
            "" if settlement.due_in_ms is None else settlement.due_in_ms,
            settlement.unasked,
            int(settlement.forget),
        )
        await self._topology.send([Call(script("settle"), _keys(verification_id), args)])

    async def note(self, provider: str, receipt: Receipt, recipient: str) -> Noted:
        """Write down a gateway's own word."""
        if partition_of_id(receipt.message_id) is None:
            return Noted.UNKNOWN
        keys = _keys(receipt.message_id)
        args = (
            receipt.message_id,
            provider,
            receipt.status or "",
            receipt.error or "",
            receipt.gateway_id,
            recipient,
        )
        [reply] = await self._topology.send([Call(script("receipt"), keys, args)])
        return Noted(reply[0].decode())

    async def once(self, subject: str, use: str, seconds: int) -> bool:
        """Say whether something may be used now: for the first time, or again for the same."""
        [reply] = await self._topology.send([Call(script("once"), (once_key(subject),), (use, seconds * 1000))])
        return bool(reply[0] != b"other")


def _claim(partition: Partition) -> Call:
    args = (CLAIM_PER_PARTITION, LEASE_MS, partition.verifications, partition.messages)
    return Call(script("claim"), (partition.outbox,), args)


def _claimed(reply: Reply) -> list[Claimed]:
    now, _, _, *entries = reply
    claimed = []
    for name, packed, code in entries:
        try:
            claimed.append(Claimed(name.decode(), _RECORD.decode(packed), code, int(now)))
        except msgspec.ValidationError:  # the others shall not wait for it
            LOG.error("record_unreadable", verification_id=name.decode())
    return claimed


def _keys(verification_id: str) -> tuple[str, str, str]:
    partition = partition_of_id(verification_id)
    if partition is None:
        raise ValueError("not an id of ours")
    return partition.of(verification_id)
