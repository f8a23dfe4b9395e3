"""What cannot be read stops nothing else: it is set aside once, and answers as unknown."""

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
from otp_service.store.keys import Partition, idempotency_key
from tests.store.replica_store import PARTITION, POLICY, PURPOSE, RECIPIENT, TENANT, Store, admission, policy

Change = Callable[[list[Any]], None]
PLACE: Final = Partition(PARTITION)
VERSION, STATUS, PURPOSE_AT, EXPIRES, ATTEMPTS, KEEPS_CODE, DELIVERIES = 0, 1, 3, 6, 8, 10, 11


def put(at: int, value: Any) -> Change:
    """Put a value into a place of a record."""

    def change(record: list[Any]) -> None:
        record[at] = value

    return change


def put_in_delivery(at: int, value: Any) -> Change:
    """Put a value into a place of a record's first delivery."""

    def change(record: list[Any]) -> None:
        record[DELIVERIES][0][at] = value

    return change


CHANGES: Final[dict[str, Change]] = {
    "another version": put(VERSION, 2),
    "no status that there is": put(STATUS, "lost"),
    "a number as status": put(STATUS, 7),
    "text as a time": put(EXPIRES, "soon"),
    "a broken time": put(EXPIRES, 1e300),
    "less than no attempts": put(ATTEMPTS, -1),
    "a number as a truth": put(KEEPS_CODE, 1),
    "no deliveries": put(DELIVERIES, None),
    "text as deliveries": put(DELIVERIES, "none"),
    "a delivery that is none": put(DELIVERIES, ["first"]),
    "a delivery without a status": put_in_delivery(1, None),
    "a delivery of no status that there is": put_in_delivery(1, "lost"),
    "missing places": lambda record: record.__delitem__(slice(15, None)),
    "nothing in it": lambda record: record.clear(),
}
BYTES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "cut off": lambda packed: packed[: len(packed) // 2],
    "empty": lambda _: b"",
    "no MessagePack": lambda _: b"\xc1\xff",
    "text": lambda _: b"hello",
    "something behind it": lambda packed: packed + b"\x01",
    "a table": lambda _: msgspec.msgpack.encode({"status": "pending"}),
    "not UTF-8": lambda packed: packed.replace(PURPOSE.encode(), b"\xff" * len(PURPOSE)),
    "a deep nest": lambda _: b"\x91" * 5000 + b"\xc0",
}
DAMAGES: Final = [*CHANGES, *BYTES, "another type"]


async def damage(store: Store, verification_id: str, how: str) -> None:
    """Spoil a record, as a bug or a foreign program would."""
    key = PLACE.verifications + verification_id
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
    """Read how many were set aside."""
    value: float = METRICS.unreadable._value.get()
    return value


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect what the outbox says."""
    lines: list[dict[str, Any]] = []

    class Log:
        def error(self, event: str, **facts: Any) -> None:
            lines.append({"event": event, **facts})

        warning = error

    monkeypatch.setattr(outbox_module, "LOG", Log())
    return lines


@pytest.mark.parametrize("how", DAMAGES)
async def test_one_is_set_aside_and_the_others_are_claimed(store: Store, logged: list[Any], how: str) -> None:
    """Beside eight good ones of two partitions: those are leased, the bad one is counted and told once, and is gone."""
    good = {await store.started(recipient=f"r{n}", partition=PARTITION + n % 2) for n in range(8)}
    bad = await store.started(recipient="bad")
    await damage(store, bad, how)
    before = counted()
    await store.advance(6)

    assert {one.id for one in await store.claimed()} == good

    assert logged == [{"event": "record_unreadable", "verification_id": bad}]
    assert counted() == before + 1
    assert await store.redis.zscore(PLACE.outbox, bad) is None
    assert await store.redis.exists(PLACE.messages + bad) == 0
    await store.advance(6)
    assert {one.id for one in await store.claimed()} == good
    assert len(logged) == 1


async def test_many_bad_ones_do_not_hide_a_good_one(store: Store, logged: list[Any]) -> None:
    """A hundred that cannot be read are due before a good one of the same partition: each is set aside once."""
    bad = {await store.started(recipient=f"bad{n}") for n in range(100)}
    for verification_id in bad:
        await damage(store, verification_id, "cut off")
    await store.advance(1)
    good = await store.started(recipient="good")
    await store.advance(6)

    claimed = [one.id for _ in range(7) for one in await store.claimed()]

    assert claimed == [good]
    assert sorted(line["verification_id"] for line in logged) == sorted(bad)


async def test_a_code_of_another_type(store: Store, logged: list[Any]) -> None:
    """A sealed code that cannot be read is set aside, and its delivery has failed."""
    bad, good = await store.started(recipient="bad"), await store.started(recipient="good")
    await store.redis.delete(PLACE.messages + bad)
    await store.redis.sadd(PLACE.messages + bad, "x")
    await store.advance(6)

    assert [one.id for one in await store.claimed()] == [good]
    assert [line["verification_id"] for line in logged] == [bad]
    delivery = await store.delivery(bad)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("failed", "transient")


async def test_an_outbox_that_is_none(store: Store, logged: list[Any]) -> None:
    """An outbox of another type is deleted and told; the other partitions are served, and so is this one then."""
    good = await store.started(recipient="good", partition=PARTITION + 1)
    await store.redis.set(PLACE.outbox, "x")
    await store.advance(6)

    assert [one.id for one in await store.claimed()] == [good]
    assert logged == [{"event": "outbox_unreadable", "partition": PARTITION}]
    again = await store.started(recipient="again")
    await store.advance(6)
    assert again in [one.id for one in await store.claimed()]


async def test_a_name_that_is_none(store: Store) -> None:
    """A foreign entry of the outbox leaves it, and stops nobody."""
    good = await store.started()
    await store.redis.zadd(PLACE.outbox, {b"\xff\xfe": 0, b"": 0, b"x" * 5000: 1})
    await store.advance(6)

    assert [one.id for one in await store.claimed()] == [good]
    assert await store.redis.zcard(PLACE.outbox) == 1


@pytest.mark.parametrize("how", DAMAGES)
async def test_every_verb_answers_as_for_an_unknown_one(store: Store, how: str) -> None:
    """Read, cancel, guess, consume, a receipt, begin and settle: nothing fails for ever."""
    bad = await store.started()
    await damage(store, bad, how)

    assert await store.verifications.read(bad, TENANT) == NotFound()
    assert await store.attempts.reserve_attempt(bad, TENANT, POLICY) == NotFound()
    if how != "not UTF-8":  # only this side cannot read that one
        assert await store.attempts.consume(bad) == NotFound()
        receipt = Receipt(bad, DeliveryStatus.DELIVERED)
        assert await store.outbox.record_receipt("first", receipt, "") is ReceiptEffect.UNKNOWN
        assert await store.outbox.begin(bad, 1, "first", 9000) is None
    await store.outbox.record_result(bad, 1, DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.SENT))
    assert await store.verifications.cancel(bad, TENANT) == NotFound()


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("how", DAMAGES)
async def test_a_bad_older_one_does_not_block_the_next(store: Store, how: str, reuse: bool) -> None:
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
async def test_a_bad_chain_is_a_new_one(store: Store, value: bytes) -> None:
    """The sends of the chain are forgotten; the recipient's windows still bound them."""
    key = PLACE.recipients + RECIPIENT
    await store.started()
    await store.redis.hset(key, f"c:{TENANT}:{PURPOSE}", value)

    for n in range(4):
        admitted = await store.admitted(purpose=f"other{n}" if n else PURPOSE)
        assert admitted.sends_left == 4
    denied = await store.denied(purpose="last")
    assert (denied.reason, denied.limit) == (Reason.RATE_LIMITED, "recipient")


async def test_a_recipient_of_another_type_is_locked_for_a_while(store: Store) -> None:
    """Its failures are lost: it is locked until the key is gone, which it is by itself, and then served."""
    key = PLACE.recipients + RECIPIENT
    verification_id = await store.started()
    await store.redis.delete(key)
    await store.redis.set(key, "x")

    denied = await store.denied()
    assert denied.reason is Reason.RECIPIENT_LOCKED
    assert 86_000_000 < denied.wait_ms <= 86_400_000
    assert await store.redis.pttl(key) > 0
    assert not isinstance(await store.attempts.reserve_attempt(verification_id, TENANT, POLICY), AttemptReserved)
    await store.redis.delete(key)  # its life is over
    assert isinstance(await store.verifications.admit(admission()), Admitted)


async def test_bad_failures_lock_for_a_window_at_most(store: Store) -> None:
    """A damaged log of failures locks, and the wait that is told is one that the window can ask for."""
    await store.started()
    await store.redis.hset(PLACE.recipients + RECIPIENT, f"f:{TENANT}", b"\xff" * 130)

    denied = await store.denied()

    assert denied == Denied(Reason.RECIPIENT_LOCKED, 86_400_000)


async def test_a_sealed_code_of_another_type_is_not_sent_again(store: Store) -> None:
    """Under `reuse` there is none to send again then: the request is served with a new one."""
    mine = policy(reuse=True)
    older = await store.started(policy=mine)
    await store.redis.delete(PLACE.messages + older)
    await store.redis.sadd(PLACE.messages + older, "x")
    await store.advance(31)

    active = (await store.admitted(policy=mine)).active
    assert active is not None
    assert active.sealed_code == b""


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x93\x01\x02\x03", b"hello", None])
async def test_a_bad_idempotency_key_is_taken(store: Store, value: bytes | None) -> None:
    """What was done under it is not known, so nothing is done again: the caller is told to take another key."""
    call = IdempotencyClaim("key", "body", "mark")
    if value is None:
        await store.redis.rpush(idempotency_key("key"), "x")
    else:
        await store.redis.set(idempotency_key("key"), value, px=60_000)

    assert await store.verifications.admit(admission(idempotency=call)) == Mismatch()
    assert isinstance(await store.verifications.admit(admission()), Admitted)
