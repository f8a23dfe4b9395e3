"""The outbox in Redis: messages leased by moving their due time, partition by partition."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from otp_service.domain.errors import Refused
from otp_service.domain.message import Receipt
from otp_service.domain.results import CallStarted, ClaimedMessage, DeliveryUpdate, ReceiptEffect
from otp_service.observability import LOG, METRICS
from otp_service.store.excluded_messages import LeftToOthers
from otp_service.store.keys import PARTITIONS, Partition, once_key, partition_of_id
from otp_service.store.pipelined_connection import ScriptCall, ScriptReply
from otp_service.store.records import pack, unpack
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisOutbox"]

LEASE_MS: Final = 5_000
"""From the claim to `begin`: nothing slow happens in between."""

CLAIM_PER_PARTITION: Final = 16


class RedisOutbox:
    """`domain.ports.Outbox` on any topology."""

    def __init__(self, topology: Topology, max_texts: int, key_ids: Collection[str]) -> None:
        """Let at most `max_texts` gateways have accepted one message; work on those made under one of `key_ids`."""
        self._topology = topology
        self._max_texts = max_texts
        self._key_ids = tuple(key_ids)
        self._left = LeftToOthers()
        self._away = 0

    async def claim(self) -> tuple[list[ClaimedMessage], int, int]:
        """Lease what is due in every partition that can be reached, in one batch."""
        replies = await self._claim([Partition(number) for number in range(PARTITIONS)])
        self._tell_away(PARTITIONS - len(replies))
        oldest = max((int(reply[1]) for reply in replies), default=0)
        waiting = sum(int(reply[2]) for reply in replies)
        return await self._read(replies), oldest, waiting

    async def claim_near(self, verification_ids: Collection[str]) -> list[ClaimedMessage]:
        """Lease what is due in the partitions of some messages, as far as they can be reached."""
        partitions = {partition.number: partition for one in verification_ids if (partition := partition_of_id(one))}
        return await self._read(await self._claim(list(partitions.values())))

    async def _claim(self, partitions: Sequence[Partition]) -> list[ScriptReply]:
        """Ask each partition for itself; raises `Refused` when none of them answers."""
        calls = [_claim(partition, self._key_ids, self._left.within(partition)) for partition in partitions]
        answers = await self._topology.attempt(calls)
        refusals = [answer for answer in answers if isinstance(answer, Refused)]
        if refusals and len(refusals) == len(answers):
            raise refusals[0]
        replies = []
        for partition, answer in zip(partitions, answers, strict=True):
            if not isinstance(answer, Refused):
                _tell_set_aside(partition, answer[3])
                replies.append(answer)
        return replies

    def _tell_away(self, partitions: int) -> None:
        """Log how many partitions cannot be reached, when that has changed."""
        if partitions != self._away:
            self._away = partitions
            LOG.warning("outbox_partly_unreachable", partitions=partitions, of=PARTITIONS)

    async def _read(self, replies: Sequence[ScriptReply]) -> list[ClaimedMessage]:
        """Read what was leased; what only the script could read is set aside, so that it does not come again."""
        claimed, unreadable = [], []
        for now, _, _, _, *entries in replies:
            for name, packed, code in entries:
                if (record := unpack(packed)) is None:
                    unreadable.append(name.decode(errors="replace"))
                else:
                    claimed.append(ClaimedMessage(name.decode(), record, code, int(now)))
        if unreadable:
            await self._set_aside(unreadable)
        return claimed

    async def _set_aside(self, verification_ids: Sequence[str]) -> None:
        calls = []
        for verification_id in verification_ids:
            _, message, outbox = _keys(verification_id)
            calls.append(ScriptCall(script("set_aside"), (message, outbox), (verification_id,)))
        for verification_id, answer in zip(verification_ids, await self._topology.attempt(calls), strict=True):
            if not isinstance(answer, Refused) and answer[0] == b"set_aside":
                _tell_unreadable(verification_id)

    async def release_to_others(self, verification_id: str, lease: int) -> None:
        """Let others have a message that this replica cannot work on: due at once, and not claimed here again."""
        self._left.add(verification_id)
        await self.record_result(verification_id, lease, DeliveryUpdate(due_in_ms=0))

    async def begin(
        self, verification_id: str, lease: int, provider: str, deadline_ms: int, *, idempotent_send: bool = False
    ) -> CallStarted | None:
        """Mark it as being sent, if it still may be."""
        args = (verification_id, lease, provider, self._max_texts, deadline_ms, int(idempotent_send))
        [reply] = await self._topology.send([ScriptCall(script("begin"), _keys(verification_id), args)])
        return CallStarted(int(reply[1])) if reply[0] == b"go" else None

    async def record_result(self, verification_id: str, lease: int, settlement: DeliveryUpdate) -> None:
        """Write down the outcome."""
        args = (
            verification_id,
            lease,
            settlement.provider,
            settlement.call,
            settlement.status,
            settlement.error,
            settlement.provider_message_id,
            settlement.again_in_ms,
            "" if settlement.due_in_ms is None else settlement.due_in_ms,
            settlement.unasked,
            int(settlement.forget),
        )
        await self._topology.send([ScriptCall(script("record_result"), _keys(verification_id), args)])

    async def record_receipt(self, provider: str, receipt: Receipt, recipient: str) -> ReceiptEffect:
        """Write down a gateway's own word."""
        if partition_of_id(receipt.message_id) is None:
            return ReceiptEffect.UNKNOWN
        keys = _keys(receipt.message_id)
        args = (
            receipt.message_id,
            provider,
            receipt.status or "",
            receipt.error or "",
            receipt.provider_message_id,
            recipient,
        )
        [reply] = await self._topology.send([ScriptCall(script("receipt"), keys, args)])
        return ReceiptEffect(reply[0].decode())

    async def mark_used(self, keyed_hash: str, use: str, seconds: int) -> bool:
        """Say whether something may be used now: for the first time, or again for the same."""
        [reply] = await self._topology.send(
            [ScriptCall(script("mark_used"), (once_key(keyed_hash),), (use, seconds * 1000))]
        )
        return bool(reply[0] != b"other")


def _claim(partition: Partition, key_ids: Iterable[str], left: Iterable[str]) -> ScriptCall:
    args = (
        CLAIM_PER_PARTITION,
        LEASE_MS,
        partition.verifications,
        partition.messages,
        pack(tuple(key_ids)),
        pack(tuple(left)),
    )
    return ScriptCall(script("claim"), (partition.outbox,), args)


def _tell_set_aside(partition: Partition, names: Sequence[bytes]) -> None:
    """Tell what the script took out; the empty name stands for the whole outbox."""
    for name in names:
        if name:
            _tell_unreadable(name.decode(errors="replace"))
        else:
            LOG.error("outbox_unreadable", partition=partition.number)


def _tell_unreadable(verification_id: str) -> None:
    """Count and log a message whose record cannot be read: it is out of the outbox, so this is said once."""
    METRICS.unreadable.inc()
    LOG.error("record_unreadable", verification_id=verification_id)


def _keys(verification_id: str) -> tuple[str, str, str]:
    partition = partition_of_id(verification_id)
    if partition is None:
        raise ValueError("not an id of ours")
    return partition.of(verification_id)
