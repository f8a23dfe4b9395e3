"""(g) How the cost of a cycle grows with a hundred times as much of what may grow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import redis

from tests.bench.capacity import expect_only
from tests.bench.figures import Line, Options
from tests.bench.pending_copies import PendingCopies
from tests.bench.service_stack import Stack, running_stack

__all__ = ["growth"]

FACTOR: Final = 100
PENDING: Final = 1000
EVENTS: Final = 1000
LIMIT: Final = '[limits]\nglobal = ["1000000/3600"]'
AT_MOST: Final = 1.1
WHO: Final = ("service", "service and store")


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is: pending verifications, events in one limit's window, and configuration."""

    pending: int = PENDING
    events: int = EVENTS
    config: str = ""


def growth(options: Options) -> Iterator[Line]:
    """(g) CPU of a cycle, of the service and with its store, with little of everything and with 100 times as much."""
    sizes = {
        "pending verifications": Size(pending=PENDING * FACTOR),
        "tenants": Size(config=_tenants(FACTOR)),
        "routes": Size(config=_routes(FACTOR)),
        "events in a limit's window": Size(events=EVENTS * FACTOR),
    }
    if options.is_short:
        sizes = {"pending verifications": Size(pending=PENDING * FACTOR)}
    ratios: dict[tuple[str, str], list[float]] = {(name, who): [] for name in sizes for who in WHO}
    with contextlib.ExitStack() as stacks:
        little = stacks.enter_context(_filled(Size()))
        much = {name: stacks.enter_context(_filled(size)) for name, size in sizes.items()}
        store_ms = []
        for _ in range(options.rounds):
            base = _costs(little, options)
            store_ms.append(base["service and store"] - base["service"])
            for name, stack in much.items():
                for who, cost in _costs(stack, options).items():
                    ratios[name, who].append(cost / base[who])
    for (name, who), values in ratios.items():
        key = name.partition(" ")[0]
        text = f"CPU of the {who} for a cycle, {FACTOR} times the {name}"
        yield Line(name=f"g.{key}_{who.replace(' ', '_')}", text=text, values=tuple(values), at_most=AT_MOST)
    text = f"CPU of the store for a cycle, {PENDING} pending verifications"
    yield Line(name="g.store", text=text, values=tuple(store_ms), unit="ms")


def _costs(stack: Stack, options: Options) -> dict[str, float]:
    before = stack.store_cpu_seconds()
    result = stack.load(count=int(options.seconds(2000, 500)), warm_up=0.1)
    expect_only(result, "request 202", "verify 200")
    store_ms = 1000 * (stack.store_cpu_seconds() - before) / result["count"]
    return {"service": float(result["cpu_ms"]), "service and store": float(result["cpu_ms"]) + store_ms}


@contextlib.contextmanager
def _filled(size: Size) -> Iterator[Stack]:
    with running_stack(extra=f"{size.config}\n{LIMIT}") as stack:
        PendingCopies(stack).fill(size.pending)
        with redis.Redis.from_url(stack.redis_url) as store:
            [window] = store.keys("otp:w:global:*")
            store.rpush(window, *store.lrange(window, -1, -1) * (size.events - store.llen(window)))
        yield stack


def _tenants(count: int) -> str:
    return "".join(
        f'[tenants.t{n}]\ncountry = "ID"\napi_keys = [{{ id = "k", sha256 = "{n:064x}" }}]\n' for n in range(count)
    )


def _routes(count: int) -> str:
    return "".join(f'[[routes]]\nprefix = "+6281{n:02d}"\nproviders = ["eims"]\n' for n in range(count))
