"""The outbox in Redis: one sorted set per partition, scored by due time. A lease moves the due time of an entry."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from otp_service.domain.errors import Refused
from otp_service.domain.message import Channel, Receipt
from otp_service.domain.results import CallStarted, ClaimedMessage, DeliveryUpdate, ReceiptEffect
from otp_service.observability import LOG, METRICS
from otp_service.store.encoding import encode_optional, pack, unpack_record
from otp_service.store.excluded_messages import ExcludedMessages
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS, Partition, partition_of_id, sent_key, used_key
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisOutbox"]

LEASE_MS: Final = 5_000
"""From the claim to `begin`: nothing slow happens in between."""

CLAIMS_PER_PARTITION: Final = 16
_NONE_EXCLUDED: Final = pack(())


class RedisOutbox:
    """`domain.ports.Outbox` and `domain.ports.ReceiptStore` on any topology."""

    def __init__(self, topology: Topology, max_texts: int, key_ids: Collection[str]) -> None:
        """Use `topology`.

        Args:
            topology: Sends the calls.
            max_texts: How many gateways may accept one message.
            key_ids: The keys that this replica can open messages with. It claims no others.
        """
        self._topology = topology
        self._max_texts = max_texts
        self._key_ids = pack(tuple(key_ids))
        self._excluded = ExcludedMessages()
        self._unreachable = 0

    async def claim(self) -> tuple[list[ClaimedMessage], int, int]:
        """Lease what is due in every partition that can be reached, in one batch; see the port."""
        replies = await self._claim(ALL_PARTITIONS)
        self._report_unreachable(PARTITIONS - len(replies))
        oldest_ms = max((int(reply[1]) for reply in replies), default=0)
        waiting = sum(int(reply[2]) for reply in replies)
        return await self._read_claimed(replies), oldest_ms, waiting

    async def claim_near(self, verification_ids: Collection[str]) -> list[ClaimedMessage]:
        """Lease what is due in the partitions of some messages, where they can be reached; see the port."""
        partitions = {partition.number: partition for one in verification_ids if (partition := partition_of_id(one))}
        return await self._read_claimed(await self._claim(list(partitions.values())))

    async def _claim(self, partitions: Sequence[Partition]) -> list[ScriptReply]:
        """Return the replies of the partitions that reply; raise `Refused` when none of them does."""
        calls = [_claim_call(partition, self._key_ids, self._excluded.of(partition)) for partition in partitions]
        results = await self._topology.send_each(calls)
        refusals = [result for result in results if isinstance(result, Refused)]
        if refusals and len(refusals) == len(results):
            raise refusals[0]
        replies = []
        for partition, result in zip(partitions, results, strict=True):
            if not isinstance(result, Refused):
                _report_removed(partition, result[3])
                replies.append(result)
        return replies

    def _report_unreachable(self, partitions: int) -> None:
        """Log how many partitions cannot be reached, when the number has changed."""
        if partitions != self._unreachable:
            self._unreachable = partitions
            LOG.warning("outbox_partly_unreachable", partitions=partitions, of=PARTITIONS)

    async def _read_claimed(self, replies: Sequence[ScriptReply]) -> list[ClaimedMessage]:
        """Read the leased messages; remove those whose record only the script could read."""
        claimed, unreadable = [], []
        for now, _, _, _, *entries in replies:
            for name, packed, code in entries:
                if (record := unpack_record(packed)) is None:
                    unreadable.append(name.decode(errors="replace"))
                else:
                    claimed.append(ClaimedMessage(name.decode(), record, code, int(now)))
        if unreadable:
            await self._remove(unreadable)
        return claimed

    async def _remove(self, verification_ids: Sequence[str]) -> None:
        calls = []
        for verification_id in verification_ids:
            _, message, outbox = _keys(verification_id)
            calls.append(ScriptCall(script("remove_unreadable"), (message, outbox), (verification_id,)))
        for verification_id, result in zip(verification_ids, await self._topology.send_each(calls), strict=True):
            if not isinstance(result, Refused) and result[0] == b"removed":
                _report_unreadable(verification_id)

    async def release_to_others(self, verification_id: str, lease: int, seconds: float | None = None) -> None:
        """Leave a message to other replicas: it is due at once, and not claimed here for `seconds`; see the port."""
        self._excluded.add(verification_id, seconds)
        await self.record_result(verification_id, lease, DeliveryUpdate(due_in_ms=0))

    async def begin(
        self,
        verification_id: str,
        lease: int,
        provider: str,
        deadline_ms: int,
        *,
        idempotent_send: bool = False,
        channel: Channel = Channel.SMS,
        channel_hold_ms: int = 0,
        parts: int = 1,
    ) -> CallStarted | None:
        """Set the delivery to `sending` if the message may still be sent; see the port."""
        args = (
            verification_id,
            lease,
            provider,
            self._max_texts,
            deadline_ms,
            int(idempotent_send),
            channel,
            channel_hold_ms,
            parts,
        )
        [reply] = await self._topology.send([ScriptCall(script("begin"), _keys(verification_id), args)])
        return CallStarted(int(reply[1])) if reply[0] == b"begun" else None

    async def record_result(self, verification_id: str, lease: int, update: DeliveryUpdate) -> None:
        """Store the result of a call, and when the message is due again; see the port."""
        args = (
            verification_id,
            lease,
            update.provider,
            update.call,
            update.status,
            update.error,
            update.provider_message_id,
            update.retry_after_ms,
            encode_optional(update.due_in_ms),
            update.not_called_outcome,
            int(update.forget),
            pack(update.parts),
        )
        await self._topology.send([ScriptCall(script("record_result"), _keys(verification_id), args)])

    async def record_receipt(self, provider: str, receipt: Receipt, recipient: str) -> ReceiptEffect:
        """Store a delivery receipt; see the port."""
        if partition_of_id(receipt.message_id) is None:
            return ReceiptEffect.UNKNOWN
        args = (
            receipt.message_id,
            provider,
            receipt.status or "",
            receipt.error or "",
            receipt.provider_message_id,
            recipient,
            encode_optional(receipt.call),
            receipt.part,
        )
        [reply] = await self._topology.send([ScriptCall(script("record_receipt"), _keys(receipt.message_id), args)])
        return ReceiptEffect(reply[0].decode())

    async def find_message(self, partition: int, recipient: str, provider: str, provider_message_id: str) -> str:
        """Find a message by the gateway's id of it; see the port."""
        of = ALL_PARTITIONS[partition]
        args = (provider, provider_message_id, of.verifications)
        [reply] = await self._topology.send([ScriptCall(script("find_message"), (of.recipients + recipient,), args)])
        return str(reply[0].decode())

    async def mark_used(self, keyed_hash: str, use: str, seconds: int) -> bool:
        """Return whether a one-time value may be used; see the port."""
        call = ScriptCall(script("mark_used"), (used_key(keyed_hash),), (use, seconds * 1000))
        [reply] = await self._topology.send([call])
        return bool(reply[0] != b"other")

    async def remember_sent(self, keyed_hashes: Sequence[str], message_id: str, seconds: int) -> None:
        """Remember which message a gateway's ids name; see the port."""
        args = (message_id, seconds * 1000)
        await self._topology.send([ScriptCall(script("remember_sent"), (sent_key(one),), args) for one in keyed_hashes])

    async def find_sent(self, keyed_hashes: Sequence[str]) -> tuple[int, str] | None:
        """Return the first known one of a gateway's ids, and the message that it names; see the port."""
        calls = [ScriptCall(script("find_sent"), (sent_key(one),)) for one in keyed_hashes]
        replies = await self._topology.send(calls)
        return next(((at, reply[0].decode()) for at, reply in enumerate(replies) if reply[0]), None)


def _claim_call(partition: Partition, key_ids: bytes, excluded: Sequence[str]) -> ScriptCall:
    args = (
        CLAIMS_PER_PARTITION,
        LEASE_MS,
        partition.verifications,
        partition.messages,
        key_ids,
        pack(tuple(excluded)) if excluded else _NONE_EXCLUDED,
    )
    return ScriptCall(script("claim"), (partition.outbox,), args)


def _report_removed(partition: Partition, names: Sequence[bytes]) -> None:
    """Report the ids that `claim` removed; an empty one means that it deleted the whole outbox."""
    for name in names:
        if name:
            _report_unreadable(name.decode(errors="replace"))
        else:
            LOG.error("outbox_unreadable", partition=partition.number)


def _report_unreadable(verification_id: str) -> None:
    """Count and log a message with an unreadable record, once: it has left the outbox."""
    METRICS.unreadable.inc()
    LOG.error("record_unreadable", verification_id=verification_id)


def _keys(verification_id: str) -> tuple[str, str, str]:
    partition = partition_of_id(verification_id)
    if partition is None:
        raise ValueError(f"{verification_id!r} is not a verification id")
    return partition.keys_of(verification_id)
