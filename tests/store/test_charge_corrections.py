"""What a gateway says it charged replaces our price, once for each message, in the sums of the day that was charged."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Caps, DeferReason, Deferred, Permit
from otp_service.store.keys import ProviderKeys
from otp_service.store.provider_limits import RedisProviderLimiter
from otp_service.store.shared_accounts import PriceChange, SharedAccounts
from tests.store.replica_store import ReplicaFactory, Store
from tests.store.spend_sums import (
    CENT,
    DAY_MS,
    PRICE,
    Message,
    Sums,
    accepted,
    all_today,
    ask,
    history,
    limiter_of,
    message,
    permit_for,
    policy,
    provider_today,
)

CAPS = Caps(spend=10 * CENT)


def capped_limiter(store: Store) -> RedisProviderLimiter:
    """Return a limiter with a spend cap of everything."""
    return limiter_of(store, {"gw": policy(CAPS)}, {"acme": CAPS}, {"ID": CAPS})


async def sent(limiter: RedisProviderLimiter, result: SendResult) -> Message:
    """Send one message with this result."""
    one = message()
    await limiter.release(await permit_for(limiter, "gw", one), result)
    return one


async def counted(store: Store) -> list[Sums]:
    """Return the distinct sums of today: provider, tenant, country and history; equal ones are one."""
    [(_, *_, messages, spend)] = await history(store)
    return sorted({*await all_today(store), Sums(messages, spend)})


@pytest.mark.parametrize("charged", ["0.04", "0.01", "0", "0.015"])
async def test_a_result_corrects_up_and_down(store: Store, charged: str) -> None:
    """The provider, the tenant, the country and the history count what was charged instead of the price."""
    limiter = capped_limiter(store)
    await sent(limiter, accepted())
    await sent(limiter, accepted(charged, "USD"))
    await sent(limiter, SendResult(Outcome.AMBIGUOUS, charged=Decimal(charged)))
    assert await counted(store) == [Sums(3, PRICE + 2 * int(Decimal(charged) * 1_000_000))]


async def test_a_correction_counts_against_the_cap(store: Store) -> None:
    """After expensive messages the cap is reached earlier, after cheap ones later."""
    limiter = capped_limiter(store)
    for charged in ("0.04", "0.04"):
        await sent(limiter, accepted(charged))
    assert (await provider_today(store)).spend == 8 * CENT
    one = await sent(limiter, accepted())
    await store.advance(1.1)  # until then the last charge could be refunded
    refused = await ask(limiter, "gw", message())
    assert isinstance(refused, Deferred)
    assert refused.reason is DeferReason.CAPPED
    await limiter.correct_charge("gw", one.id, Decimal("0.005"), "")
    await permit_for(limiter, "gw", message())


async def test_parallel_receipts_correct_once(store: Store, make_replicas: ReplicaFactory) -> None:
    """Repeated receipts on several replicas, and the result beside them, change each sum once."""
    limiters = [capped_limiter(one) for one in make_replicas(4)]
    one = message()
    permit = await permit_for(limiters[0], "gw", one)
    receipts = (limiters[n % 4].correct_charge("gw", one.id, Decimal("0.05"), "usd") for n in range(40))
    await asyncio.gather(limiters[0].release(permit, accepted("0.04")), *receipts)
    assert await counted(store) == [Sums(1, 5 * CENT)]


async def test_a_receipt_goes_before_a_result(store: Store) -> None:
    """The amount of a receipt is final: a result that comes later does not change it, another receipt does."""
    limiter = capped_limiter(store)
    one = message()
    permit = await permit_for(limiter, "gw", one)
    for charged, spend in (("0.05", 5 * CENT), ("0.02", 2 * CENT), ("0.02", 2 * CENT)):
        await limiter.correct_charge("gw", one.id, Decimal(charged), "USD")
        assert await counted(store) == [Sums(1, spend)]
    await limiter.release(permit, accepted("0.04"))
    assert await counted(store) == [Sums(1, 2 * CENT)]


async def test_a_refund_gives_back_what_was_corrected(store: Store) -> None:
    """If the gateway charged a message and then refused it, nothing stays counted."""
    limiter = capped_limiter(store)
    await sent(limiter, accepted())
    one = message()
    permit = await permit_for(limiter, "gw", one)
    await limiter.correct_charge("gw", one.id, Decimal("0.05"), "")
    await limiter.release(permit, SendResult(Outcome.RECIPIENT_INVALID))
    await limiter.correct_charge("gw", one.id, Decimal("0.05"), "")
    assert await counted(store) == [Sums(1, PRICE)]


async def test_a_repeated_call_is_corrected_once(store: Store) -> None:
    """The repeat of an ambiguous call is not charged, and what it says replaces the price of the first one."""
    limiter = capped_limiter(store)
    one = await sent(limiter, SendResult(Outcome.AMBIGUOUS))
    repeat = await limiter.acquire(
        "gw", one.tenant, one.id, country=one.country, segments=1, max_wait_ms=0, repeats=True
    )
    assert not isinstance(repeat, Deferred)
    await limiter.release(repeat, accepted("0.03"))
    assert await counted(store) == [Sums(1, 3 * CENT)]


async def test_the_day_that_was_charged_is_corrected(store: Store) -> None:
    """A receipt after midnight changes the history of yesterday and nothing of today."""
    await store.advance((DAY_MS - 5_000 - await store.now() % DAY_MS) / 1000)
    limiter = capped_limiter(store)
    late = await sent(limiter, accepted())
    await store.advance(10)
    await sent(limiter, accepted())
    await limiter.correct_charge("gw", late.id, Decimal("0.09"), "USD")
    assert await all_today(store) == (Sums(1, PRICE),) * 3
    group = ("gw", "ID", "acme", "USD", 1)
    assert await history(store) == [(0, *group, PRICE), (1, *group, 9 * CENT)]


@pytest.mark.parametrize(
    ("charged", "currency", "event"),
    [
        ("0.05", "IDR", "charge_in_other_currency"),
        ("0.05", "62811000", "charge_in_other_currency"),
        ("-0.05", "USD", "charge_unusable"),
        ("1000001", "USD", "charge_unusable"),
        ("NaN", "USD", "charge_unusable"),
        ("Infinity", "", "charge_unusable"),
    ],
)
async def test_an_unusable_amount_is_logged_once(store: Store, charged: str, currency: str, event: str) -> None:
    """Another currency or an absurd amount leaves our price, and one log line without what the gateway wrote."""
    limiter = capped_limiter(store)
    with capture_logs() as events:
        for _ in range(3):
            one = await sent(limiter, accepted(charged, currency))
            await limiter.correct_charge("gw", one.id, Decimal(charged), currency)
    assert await counted(store) == [Sums(3, 3 * PRICE)]
    assert [found for found in events if found["event"] != "cap_nearly_reached"] == [
        {"event": event, "provider": "gw", "currency": "USD", "log_level": "warning"}
    ]


async def test_an_unknown_message_changes_nothing(store: Store) -> None:
    """A receipt for a message that was never charged, or too long ago, or with a foreign id, has no effect."""
    limiter = capped_limiter(store)
    one = await sent(limiter, accepted())
    await limiter.correct_charge("gw", message().id, Decimal("0.05"), "")
    await limiter.correct_charge("other", one.id, Decimal("0.05"), "")
    await limiter.correct_charge("gw", "{x}\r\n", Decimal("0.05"), "")
    key = ProviderKeys("gw").charge(one.id)
    assert 0 < await store.redis.pttl(key) <= 1_800_000
    await store.redis.set(key, b"damaged")
    await limiter.correct_charge("gw", one.id, Decimal("0.05"), "")
    assert await counted(store) == [Sums(1, PRICE)]


async def test_a_repeated_receipt_completes_a_correction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the store fails after the provider's sum has changed, the repeated receipt changes the others."""
    limiter = capped_limiter(store)
    one = await sent(limiter, accepted("0.03"))

    async def fail(*_: object) -> None:
        raise Refused(Reason.STORE_UNAVAILABLE, "The store does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(SharedAccounts, "correct", fail)
        with pytest.raises(Refused):
            await limiter.correct_charge("gw", one.id, Decimal("0.05"), "")
    assert await counted(store) == [Sums(1, 3 * CENT), Sums(1, 5 * CENT)]
    for _ in range(2):
        await limiter.correct_charge("gw", one.id, Decimal("0.05"), "")
        assert await counted(store) == [Sums(1, 5 * CENT)]


async def test_corrections_that_overtake_one_another(store: Store) -> None:
    """The last change of the provider's sum decides at the tenant and the country, whatever arrives there first."""
    accounts = SharedAccounts(store.topology, {"acme": CAPS}, {"ID": CAPS})
    limiter = capped_limiter(store)
    one = message()
    permit = await permit_for(limiter, "gw", one)
    for price, number in ((5 * CENT, 2), (3 * CENT, 1), (5 * CENT, 2)):
        change = PriceChange(price, PRICE, number, permit.charged_ms)
        await accounts.correct(accounts.of("acme", "ID"), "gw", one.id, change)
    assert (await all_today(store))[1:] == (Sums(1, 5 * CENT),) * 2
    await limiter.release(permit, None)
    assert await all_today(store) == (Sums(0, 0),) * 3
    assert isinstance(await ask(limiter, "gw", one), Permit)
    assert await all_today(store) == (Sums(1, PRICE),) * 3
