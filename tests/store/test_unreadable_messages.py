"""An unreadable entry stops nothing else: it is removed once, and counts as unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from otp_service.domain.errors import Reason
from otp_service.domain.message import Receipt
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import (
    Admitted,
    AttemptReserved,
    DeliveryUpdate,
    Denied,
    IdempotencyClaim,
    Mismatch,
    NotFound,
    ReceiptEffect,
)
from otp_service.observability import METRICS
from otp_service.store import outbox as outbox_module
from otp_service.store.keys import ALL_PARTITIONS, idempotency_key
from tests.store.replica_store import PARTITION, POLICY, PURPOSE, RECIPIENT, TENANT, Store, admission, policy

Change = Callable[[list[Any]], None]
PARTITION_KEYS: Final = ALL_PARTITIONS[PARTITION]
VERSION, STATUS, PURPOSE_AT, EXPIRES, ATTEMPTS, KEEPS_CODE, DELIVERIES = 0, 1, 3, 6, 8, 10, 11


def replace_member(at: int, value: Any) -> Change:
    """Replace a value of a record."""

    def change(record: list[Any]) -> None:
        record[at] = value

    return change


def replace_delivery_member(at: int, value: Any) -> Change:
    """Replace a value of a record's first delivery."""

    def change(record: list[Any]) -> None:
        record[DELIVERIES][0][at] = value

    return change


CHANGES: Final[dict[str, Change]] = {
    "another version": replace_member(VERSION, 2),
    "an unknown status": replace_member(STATUS, "lost"),
    "a number as status": replace_member(STATUS, 7),
    "text as a time": replace_member(EXPIRES, "soon"),
    "a broken time": replace_member(EXPIRES, 1e300),
    "negative attempts": replace_member(ATTEMPTS, -1),
    "a number as a boolean": replace_member(KEEPS_CODE, 1),
    "no deliveries": replace_member(DELIVERIES, None),
    "text as deliveries": replace_member(DELIVERIES, "none"),
    "a delivery without members": replace_member(DELIVERIES, ["first"]),
    "a delivery without a status": replace_delivery_member(1, None),
    "a delivery with an unknown status": replace_delivery_member(1, "lost"),
    "missing members": lambda record: record.__delitem__(slice(15, None)),
    "no members": lambda record: record.clear(),
}
BYTES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "truncated": lambda packed: packed[: len(packed) // 2],
    "empty": lambda _: b"",
    "no MessagePack": lambda _: b"\xc1\xff",
    "text": lambda _: b"hello",
    "trailing bytes": lambda packed: packed + b"\x01",
    "a map": lambda _: msgspec.msgpack.encode({"status": "pending"}),
    "not UTF-8": lambda packed: packed.replace(PURPOSE.encode(), b"\xff" * len(PURPOSE)),
    "deep nesting": lambda _: b"\x91" * 5000 + b"\xc0",
}
DAMAGES: Final = [*CHANGES, *BYTES, "another type"]


async def damage(store: Store, verification_id: str, how: str) -> None:
    """Damage a record, as a bug or another program would."""
    key = PARTITION_KEYS.verifications + verification_id
    packed = await store.redis.get(key)
    if how in CHANGES:
        record = msgspec.msgpack.decode(packed)
        CHANGES[how](record)
        await store.redis.set(key, msgspec.msgpack.encode(record), keepttl=True)
    elif how in BYTES:
        await store.redis.set(key, BYTES[how](packed), keepttl=True)
    else:
        await store.redis.delete(key)
        await store.redis.rpush(key, "x")


def counted() -> float:
    """Return how many were counted as unreadable."""
    value: float = METRICS.unreadable._value.get()
    return value


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect the log events of the outbox."""
    lines: list[dict[str, Any]] = []

    class Log:
        def error(self, event: str, **facts: Any) -> None:
            lines.append({"event": event, **facts})

        warning = error

    monkeypatch.setattr(outbox_module, "LOG", Log())
    return lines


@pytest.mark.parametrize("how", DAMAGES)
async def test_an_unreadable_message_is_removed_alone(store: Store, logged: list[Any], how: str) -> None:
    """Of eight good ones in two partitions all are leased; the bad one is counted and logged once, and is gone."""
    good = {await store.started(recipient=f"r{n}", partition=PARTITION + n % 2) for n in range(8)}
    bad = await store.started(recipient="bad")
    await damage(store, bad, how)
    before = counted()
    await store.advance(6)

    assert {one.id for one in await store.claimed()} == good

    assert logged == [{"event": "record_unreadable", "verification_id": bad}]
    assert counted() == before + 1
    assert await store.redis.zscore(PARTITION_KEYS.outbox, bad) is None
    assert await store.redis.exists(PARTITION_KEYS.messages + bad) == 0
    await store.advance(6)
    assert {one.id for one in await store.claimed()} == good
    assert len(logged) == 1


async def test_many_unreadable_messages_do_not_hide_a_good_one(store: Store, logged: list[Any]) -> None:
    """A hundred unreadable ones are due before a good one of the same partition: each is removed once."""
    bad = {await store.started(recipient=f"bad{n}") for n in range(100)}
    for verification_id in bad:
        await damage(store, verification_id, "truncated")
    await store.advance(1)
    good = await store.started(recipient="good")
    await store.advance(6)

    claimed = [one.id for _ in range(7) for one in await store.claimed()]

    assert claimed == [good]
    assert sorted(line["verification_id"] for line in logged) == sorted(bad)


async def test_a_sealed_code_of_another_type_is_removed(store: Store, logged: list[Any]) -> None:
    """Its message leaves the outbox, and its delivery has failed."""
    bad, good = await store.started(recipient="bad"), await store.started(recipient="good")
    await store.redis.delete(PARTITION_KEYS.messages + bad)
    await store.redis.sadd(PARTITION_KEYS.messages + bad, "x")
    await store.advance(6)

    assert [one.id for one in await store.claimed()] == [good]
    assert [line["verification_id"] for line in logged] == [bad]
    delivery = await store.delivery(bad)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("failed", "transient")


async def test_an_outbox_of_another_type_is_deleted(store: Store, logged: list[Any]) -> None:
    """It is deleted and reported; the other partitions are served, and then this one too."""
    good = await store.started(recipient="good", partition=PARTITION + 1)
    await store.redis.set(PARTITION_KEYS.outbox, "x")
    await store.advance(6)

    assert [one.id for one in await store.claimed()] == [good]
    assert logged == [{"event": "outbox_unreadable", "partition": PARTITION}]
    again = await store.started(recipient="again")
    await store.advance(6)
    assert again in [one.id for one in await store.claimed()]


async def test_an_entry_that_is_no_id_is_removed(store: Store) -> None:
    """A foreign entry leaves the outbox, and stops no other."""
    good = await store.started()
    await store.redis.zadd(PARTITION_KEYS.outbox, {b"\xff\xfe": 0, b"": 0, b"x" * 5000: 1})
    await store.advance(6)

    assert [one.id for one in await store.claimed()] == [good]
    assert await store.redis.zcard(PARTITION_KEYS.outbox) == 1


@pytest.mark.parametrize("how", DAMAGES)
async def test_every_method_treats_an_unreadable_verification_as_unknown(store: Store, how: str) -> None:
    """Read, cancel, attempt, consume, receipt, begin and result: nothing fails at every attempt."""
    bad = await store.started()
    await damage(store, bad, how)

    assert await store.verifications.read(bad, TENANT) == NotFound()
    assert await store.attempts.reserve_attempt(bad, TENANT, POLICY) == NotFound()
    if how != "not UTF-8":  # only Python cannot read that one
        assert await store.attempts.consume(bad) == NotFound()
        receipt = Receipt(bad, DeliveryStatus.DELIVERED)
        assert await store.outbox.record_receipt("first", receipt, "") is ReceiptEffect.UNKNOWN
        assert await store.outbox.begin(bad, 1, "first", 9000) is None
    await store.outbox.record_result(bad, 1, DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.SENT))
    assert await store.verifications.cancel(bad, TENANT) == NotFound()


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("how", DAMAGES)
async def test_an_unreadable_verification_does_not_block_the_next(store: Store, how: str, reuse: bool) -> None:
    """The number gets a new code, also under `reuse`, which then has none to repeat."""
    mine = policy(reuse=reuse)
    bad = await store.started(policy=mine)
    await damage(store, bad, how)
    await store.advance(31)

    admitted = await store.admitted(policy=mine)
    assert admitted.active is None
    good = await store.start(admitted)

    assert await store.status(good) == "pending"
    assert isinstance(await store.attempts.reserve_attempt(good, TENANT, POLICY), AttemptReserved)


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x94\x01\x02\x03\x04", b"\x01"])
async def test_a_damaged_chain_counts_as_new(store: Store, value: bytes) -> None:
    """The sends of the chain are lost; the recipient's windows still limit them."""
    key = PARTITION_KEYS.recipients + RECIPIENT
    await store.started()
    await store.redis.hset(key, f"c:{TENANT}:{PURPOSE}", value)

    for n in range(4):
        admitted = await store.admitted(purpose=f"other{n}" if n else PURPOSE)
        assert admitted.sends_left == 4
    denied = await store.denied(purpose="last")
    assert (denied.reason, denied.limit) == (Reason.RATE_LIMITED, "recipient")


async def test_a_recipient_of_another_type_is_locked_for_a_while(store: Store) -> None:
    """Its failures are lost: it is locked until the key expires, and is then served."""
    key = PARTITION_KEYS.recipients + RECIPIENT
    verification_id = await store.started()
    await store.redis.delete(key)
    await store.redis.set(key, "x")

    denied = await store.denied()
    assert denied.reason is Reason.RECIPIENT_LOCKED
    assert 86_000_000 < denied.wait_ms <= 86_400_000
    assert await store.redis.pttl(key) > 0
    assert not isinstance(await store.attempts.reserve_attempt(verification_id, TENANT, POLICY), AttemptReserved)
    await store.redis.delete(key)  # as if it had expired
    assert isinstance(await store.verifications.admit(admission()), Admitted)


async def test_damaged_failures_lock_for_one_window_at_most(store: Store) -> None:
    """A damaged log of failures locks, and the returned wait is at most one window."""
    await store.started()
    await store.redis.hset(PARTITION_KEYS.recipients + RECIPIENT, f"f:{TENANT}", b"\xff" * 130)

    denied = await store.denied()

    assert denied == Denied(Reason.RECIPIENT_LOCKED, 86_400_000)


async def test_a_sealed_code_of_another_type_is_not_sent_again(store: Store) -> None:
    """Under `reuse` there is none to send again then: the request gets a new one."""
    mine = policy(reuse=True)
    older = await store.started(policy=mine)
    await store.redis.delete(PARTITION_KEYS.messages + older)
    await store.redis.sadd(PARTITION_KEYS.messages + older, "x")
    await store.advance(31)

    active = (await store.admitted(policy=mine)).active
    assert active is not None
    assert active.sealed_code == b""


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x93\x01\x02\x03", b"hello", None])
async def test_a_damaged_idempotency_claim_is_a_mismatch(store: Store, value: bytes | None) -> None:
    """What was done under it is unknown, so nothing is done again: the caller must use another key."""
    call = IdempotencyClaim("key", "body", "owner")
    if value is None:
        await store.redis.rpush(idempotency_key("key"), "x")
    else:
        await store.redis.set(idempotency_key("key"), value, px=60_000)

    assert await store.verifications.admit(admission(idempotency=call)) == Mismatch()
    assert isinstance(await store.verifications.admit(admission()), Admitted)
