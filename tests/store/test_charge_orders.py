"""Charges, changes of their price and refunds of one message: every order ends with the exact sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Final

import pytest

from otp_service.domain.provider_policy import Caps, DeferReason, Permit
from otp_service.store.keys import ProviderKeys, tenant_usage_key
from otp_service.store.provider_charges import spend_group
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.shared_accounts import Account, PriceChange
from tests.store.replica_store import Store
from tests.store.spend_sums import (
    CENT,
    DAY_MS,
    PRICE,
    Message,
    Sums,
    history,
    limiter_of,
    message,
    permit_for,
    policy,
    provider_today,
    today_of,
)

ACCOUNT: Final = Account("acme", tenant_usage_key("acme"), Caps(spend=100 * CENT), DeferReason.TENANT_CAPPED)
PRICES: Final = {1: 7 * CENT, 2: CENT // 2}
"""What the first and the second change of a price at the provider say."""

Step = tuple[str, int]
"""What happens (`charge`, `refund` or the number of a change), and to which of the two charges of the message."""


def expected(steps: Sequence[Step]) -> Sums:
    """Return the sums: each charge that was not refunded, at the price of its last change."""
    left = [at for what, at in steps if what == "charge" and ("refund", at) not in steps]
    return Sums(len(left), sum(PRICES[max(changes)] if (changes := _changes(steps, at)) else PRICE for at in left))


def _changes(steps: Sequence[Step], at: int) -> list[int]:
    return [int(what) for what, of in steps if of == at and what.isdigit()]


def orders_of_one_charge() -> Iterator[tuple[Step, ...]]:
    """Yield every order of every selection of changes and refunds, each of them up to twice, after the charge."""
    for counts in itertools.product(range(3), repeat=3):
        steps = [(what, 1) for what, count in zip(("1", "2", "refund"), counts, strict=True) for _ in range(count)]
        for order in sorted(set(itertools.permutations(steps))):
            yield (("charge", 1), *order)


def orders_of_two_charges() -> Iterator[tuple[Step, ...]]:
    """Yield every order of two charges of one message; the second one may come before the refund of the first one."""
    for first in itertools.permutations((("1", 1), ("2", 1), ("refund", 1))):
        for second in itertools.permutations((("1", 2), ("2", 2))):
            for places in itertools.combinations(range(6), 3):
                rest, other = iter(first), iter((("charge", 2), *second))
                yield (("charge", 1), *(next(other) if at in places else next(rest) for at in range(6)))


async def play(store: Store, steps: Sequence[Step], sent: Message) -> Sums:
    """Let the steps happen at the account of the tenant, and return its sums."""
    now, times = await store.now(), dict[int, int]()
    for what, at in steps:
        permit = Permit("gw", "acme", sent.id, "ID", PRICE, now + at, repeats=False)
        match what:
            case "charge":
                [reply] = await store.topology.send([ACCOUNT.charge_call(permit, is_last=True)])
                assert reply[0] == b"charged"
                times[at] = int(reply[1])
            case "refund":
                await store.topology.send([ACCOUNT.refund_call(permit, times[at])])
            case number:
                change = PriceChange(PRICES[int(number)], PRICE, int(number), permit.charged_ms)
                await store.topology.send([ACCOUNT.correct_call("gw", sent.id, change)])
    found = await today_of(store, ACCOUNT.key)
    await store.redis.delete(ACCOUNT.key)
    return found


@pytest.mark.parametrize("orders", [orders_of_one_charge, orders_of_two_charges])
async def test_every_order_at_a_tenant(store: Store, orders: Callable[[], Iterator[tuple[Step, ...]]]) -> None:
    """Changes that overtake one another or the refund, repeated ones, and those of a message that is charged again."""
    for steps in orders():
        assert await play(store, steps, message()) == expected(steps), steps


async def test_a_change_finds_a_charge_after_midnight(store: Store) -> None:
    """The provider is charged before midnight and the tenant after it: the tenant's sum of its day is changed."""
    await store.advance((DAY_MS - 1 - await store.now() % DAY_MS) / 1000)
    permit = Permit("gw", "acme", message().id, "ID", PRICE, await store.now(), repeats=False)
    await store.advance(0.01)
    change = PriceChange(PRICES[1], PRICE, 1, permit.charged_ms)
    [charged] = await store.topology.send([ACCOUNT.charge_call(permit, is_last=True)])
    await store.topology.send([ACCOUNT.correct_call("gw", permit.message_id, change)])
    assert await today_of(store, ACCOUNT.key) == Sums(1, PRICES[1])
    await store.topology.send([ACCOUNT.refund_call(permit, int(charged[1]))])
    assert await today_of(store, ACCOUNT.key) == Sums(0, 0)


async def refund(store: Store, permit: Permit) -> None:
    """Refund a charge at the provider only."""
    keys = ProviderKeys("gw")
    args = (permit.cost, permit.charged_ms, keys.spend_history, spend_group("ID", "USD", "acme"))
    await store.topology.send(
        [ScriptCall(script("provider_refund"), (keys.usage, keys.charge(permit.message_id)), args)]
    )


async def test_every_order_at_a_provider(store: Store) -> None:
    """A message is charged again before the refund of its first charge, whose price had changed; refunds repeat."""
    limiter = limiter_of(store, {"gw": policy()})
    for order in sorted(set(itertools.permutations(["change", "again", "refund 0", "refund 0", "refund 1"]))):
        if order.index("refund 1") < order.index("again"):
            continue
        one = message()
        permits = [await permit_for(limiter, "gw", one)]
        for step in order:
            match step.split():
                case ["again"]:
                    await store.advance(0.001)
                    permits.append(await permit_for(limiter, "gw", one))
                case ["change"]:
                    await limiter.correct_charge("gw", one.id, Decimal("0.07"), "USD")
                case [_, at]:
                    await refund(store, permits[int(at)])
        assert (await provider_today(store)) == Sums(0, 0), order
        assert await history(store) == [], order
