"""Properties: windows are exact for any sequence, and both languages agree on records: their types and statuses."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otp_service.domain.limits import Window
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import NotFound
from otp_service.domain.verification import (
    Delivery,
    VerificationRecord,
    VerificationSnapshot,
    VerificationStatus,
)
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS, new_verification_id, partition_of_id
from otp_service.store.scripts import ScriptCall, script
from tests.store.recipient_model import READABLE_AFTER_END_MS, fits, left_in, wait_for_next
from tests.store.replica_store import KEY_ID, NOW_KEY, TENANT, Store, admission

STEADY = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

windows = st.lists(st.builds(Window, st.integers(1, 6), st.integers(1, 60)), min_size=1, max_size=3).map(tuple)
pauses = st.one_of(st.sampled_from([0, 1, 999, 1000, 1001]), st.integers(0, 30_000))
rate_limits = st.lists(st.tuples(pauses, st.one_of(st.none(), st.none(), st.none(), st.integers(0, 5))), max_size=40)


@STEADY
@given(windows, rate_limits)
async def test_windows_accept_exactly_what_a_naive_model_accepts(
    store: Store, windows: tuple[Window, ...], rate_limits: list[tuple[int, int | None]]
) -> None:
    """For any windows, pauses and released events: the same results, waits and what is left as counting every event."""
    await store.stop_clock()
    now = await store.now()
    acquired: list[int] = []
    for pause, back in rate_limits:
        now += pause
        await store.redis.set(NOW_KEY, now)
        if back is not None:
            if back < len(acquired) and fits([], windows, now):
                at_ms = acquired.pop(-1 - back)
                await store.release_limit("s", at_ms)
        elif fits(acquired, windows, now):
            acquired.append(now)
            left = [value for window in windows for value in left_in(acquired, window, now)]
            assert await store.tell_limit("s", *windows) == [b"acquired", now, *left]
        else:
            waits = [wait_for_next(acquired, [window], now) for window in windows]
            assert await store.tell_limit("s", *windows) == [b"denied", max(waits), *waits]
            assert max(waits) == wait_for_next(acquired, windows, now)


moments = st.integers(4_000_000_000_000, 4_000_001_000_000)  # in the future, so that keys do not expire at once
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300)
numbers = st.integers(0, 2**53 - 1)
STORED_STATUSES = [
    status
    for status in VerificationStatus
    if status not in (VerificationStatus.EXPIRED, VerificationStatus.EXHAUSTED)  # these two follow from the record
]
deliveries = st.lists(
    st.builds(Delivery, texts, st.sampled_from(DeliveryStatus), numbers, texts, texts, numbers, numbers, numbers),
    max_size=4,
).map(tuple)


@st.composite
def records(draw: st.DrawFn) -> VerificationRecord:
    """Generate any record that the service or a script could have written."""
    status = draw(st.sampled_from(STORED_STATUSES))
    created = draw(moments)
    attempts = draw(st.integers(0, 5))
    expires = created + draw(st.integers(10_000, 600_000))
    over = status is not VerificationStatus.PENDING or attempts == 0
    return VerificationRecord(
        status=status,
        tenant=TENANT,
        purpose=draw(texts),
        recipient=draw(texts),
        created_ms=created,
        expires_ms=expires,
        ended_ms=draw(st.integers(created, expires)) if over else 0,
        attempts_left=attempts,
        lease=draw(numbers),
        keeps_code=draw(st.booleans()),
        deliveries=draw(deliveries),
        key_id=KEY_ID,
        code_hash=draw(texts),
        phone=draw(texts),
        channel="sms",
        country="ID",
        locale=draw(texts),
        code_length=draw(st.integers(4, 10)),
        resend_ms=draw(numbers),
        sends_left=draw(st.integers(0, 20)),
        code_created_ms=draw(numbers),
    )


WRONG: Final[dict[type, list[Any]]] = {
    int: [-1, 0.5, float("nan"), float("inf"), 2.0**53 + 2, "1", True],
    str: [1, False, None],
    bool: [0, "", None],
    list: ["", 1, None],
}
"""Values that no script accepts in the place of one of each type."""


async def test_scripts_read_only_records_with_the_types_of_their_members(store: Store) -> None:
    """Each of the first 22 members, and of the first 9 of a delivery, has its type; numbers are whole, and bounded."""
    prefix = ALL_PARTITIONS[7].verifications
    packed = await store.redis.get(prefix + await store.started())
    good = msgspec.msgpack.decode(packed)
    damaged = [[*good[:at], wrong, *good[at + 1 :]] for at in range(22) for wrong in WRONG[type(good[at])]]
    [delivery] = good[11]
    deliveries = [
        [*delivery[:at], wrong, *delivery[at + 1 :]] for at in range(9) for wrong in WRONG[type(delivery[at])]
    ]
    damaged += [[*good[:11], [one], *good[12:]] for one in deliveries]
    await store.redis.mset({f"{prefix}{n}": msgspec.msgpack.encode(one) for n, one in enumerate([*damaged, good])})

    calls = [ScriptCall(script("read"), (f"{prefix}{n}",), (TENANT,)) for n in range(len(damaged) + 1)]
    *found, last = [reply[0] for reply in await store.topology.send(calls)]

    assert [record for record, word in zip(damaged, found, strict=True) if word != b"not_found"] == []
    assert last == b"found"


@STEADY
@given(records(), st.integers(-5, 5), st.sampled_from(["created_ms", "expires_ms", "ended_ms", "forgotten"]))
async def test_both_languages_agree_on_a_record(
    store: Store, record: VerificationRecord, shift: int, near: str
) -> None:
    """Lua's `record_status` and Python's `status_at` agree; canceling and reading return the record whole."""
    end = record.ended_ms or record.expires_ms
    now = shift + (end + READABLE_AFTER_END_MS if near == "forgotten" else getattr(record, near) or record.expires_ms)
    await store.redis.set(NOW_KEY, record.created_ms)
    verification_id = new_verification_id(ALL_PARTITIONS[7])
    admitted = await store.admitted(recipient=verification_id)
    await store.verifications.start(admitted, verification_id, record, b"code", None)
    await store.redis.set(NOW_KEY, now)

    read = await store.verifications.read(verification_id, TENANT)
    if now >= end + READABLE_AFTER_END_MS:
        assert read == NotFound()
        return
    assert read == VerificationSnapshot(verification_id, record, now)

    canceled = await store.verifications.cancel(verification_id, TENANT)
    assert isinstance(canceled, VerificationSnapshot)
    if record.status_at(now) is VerificationStatus.PENDING:
        assert canceled.record.status_at(now) is VerificationStatus.CANCELED
        assert canceled.record.ended_ms == now
    else:
        assert canceled.record == record


@given(st.integers(0, PARTITIONS - 1))
def test_an_id_encodes_its_partition(number: int) -> None:
    """Any partition comes back from an id, which has the contract's alphabet and length."""
    verification_id = new_verification_id(ALL_PARTITIONS[number])

    assert partition_of_id(verification_id) == ALL_PARTITIONS[number]
    assert len(verification_id) <= 36


@given(st.text(max_size=40))
def test_text_that_is_no_id_has_no_partition(text: str) -> None:
    """Only 23 characters of the alphabet can reach a key's name."""
    found = partition_of_id(text)

    assert found is None or (len(text) == 23 and text.replace("-", "").replace("_", "").isalnum() and text.isascii())


def test_the_keys_of_a_partition_share_one_slot() -> None:
    """They have one hash tag."""
    partition = ALL_PARTITIONS[admission().partition]
    names = (partition.outbox, partition.recipients, partition.verifications, partition.messages)

    assert {name[name.index("{") : name.index("}") + 1] for name in names} == {"{p07}"}
