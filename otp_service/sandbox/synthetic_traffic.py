"""Synthetic traffic for the simulation of the guard: an honest week, and attacks of several kinds. All of it is seeded.

Honest people live in several countries, Indonesia first. They request codes by day more than by night; four of five
requests come from somebody who has used the service before; four of five messages are verified; some who got no message
request another one. Mobile networks let many people share one address.

Numbers are made from libphonenumber's example of a mobile number of the country, and are sent nowhere.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Final, NamedTuple

from otp_service.domain.phone import SUPPORTED_COUNTRIES, example_mobile

__all__ = ["ATTACKS", "HONEST", "Request", "attack_requests", "honest_requests"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

HONEST: Final = "honest"

SHARES: Final = {"ID": 0.6, "MY": 0.1, "PH": 0.09, "SG": 0.08, "VN": 0.06, "TH": 0.04, "IN": 0.03}
"""The share of each country in the honest traffic."""

INDONESIAN: Final = ("811", "812", "813", "821", "822", "851", "852", "856", "857", "817", "818", "877", "895", "896")
"""Leading digits of Indonesian mobile numbers: several operators."""

BY_HOUR: Final = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 9, 9, 9, 8, 8, 8, 9, 10, 11, 11, 10, 7, 4)
"""Requests by the hour of the day."""

CONVERSION: Final = 0.8
REPEATS: Final = 0.4
"""The share of people who request another code when the first one did not come."""

NEWCOMERS: Final = 0.2
SHARED_ADDRESSES: Final = 0.4
PEOPLE_PER_REQUEST: Final = 0.5
"""How many people use the service regularly, for each request of a week."""


class Request(NamedTuple):
    """One request for a code. `verified_ms`: when its code is entered, if it is sent; 0: never."""

    at_ms: int
    source: str
    phone: str
    country: str
    address: str
    verified_ms: int = 0


_example = cache(example_mobile)


@cache
def _countries() -> tuple[str, ...]:
    """Return the countries that an attacker may choose: those with mobile numbers of usual length, less the honest."""
    usable = (country for country in sorted(SUPPORTED_COUNTRIES) if len(_example(country)) > 10)
    return tuple(country for country in usable if country not in SHARES)


def _number(country: str, source: random.Random) -> str:
    """Return any number of a country."""
    if country == "ID":
        return f"+62{source.choice(INDONESIAN)}{source.randrange(10**8):08d}"
    example = _example(country)
    return example[:-7] + f"{source.randrange(10**7):07d}"


def _in_block(block: str, source: random.Random) -> str:
    return f"{block}{source.randrange(10_000):04d}"


def _address(source: random.Random) -> str:
    return f"198.{source.randrange(18, 20)}.{source.randrange(256)}.{source.randrange(256)}:{source.randrange(10**6)}"


@dataclass(frozen=True, slots=True)
class _Person:
    phone: str
    country: str
    address: str


class _People:
    """Those who use the service regularly; a few of them often."""

    def __init__(self, count: int, source: random.Random) -> None:
        self._people = [_person(source) for _ in range(count)]
        self._weights = list(accumulate(1 / (rank + 20) ** 0.5 for rank in range(count)))

    def choose(self, source: random.Random) -> _Person:
        at = bisect.bisect(self._weights, source.random() * self._weights[-1])
        return self._people[min(at, len(self._people) - 1)]


def _person(source: random.Random) -> _Person:
    country = source.choices(list(SHARES), list(SHARES.values()))[0]
    shared = source.random() < SHARED_ADDRESSES
    address = f"{country}-{source.randrange(200)}" if shared else _address(source)
    return _Person(_number(country, source), country, address)


def honest_requests(start_ms: int, days: int, per_week: int, seed: int) -> Iterator[Request]:
    """Yield the requests of honest people in `days` days from `start_ms`, not in the order of time."""
    source = random.Random(seed)  # noqa: S311 - the same traffic for the same seed
    people = _People(max(1, int(per_week * PEOPLE_PER_REQUEST)), source)
    hours = list(accumulate(BY_HOUR))
    for _ in range(per_week * days // 7):
        day = source.randrange(days)
        hour = bisect.bisect(hours, source.random() * hours[-1])
        at_ms = start_ms + day * DAY_MS + hour * HOUR_MS + source.randrange(HOUR_MS)
        person = _person(source) if source.random() < NEWCOMERS else people.choose(source)
        yield from _session(person, at_ms, source)


def _session(person: _Person, at_ms: int, source: random.Random) -> Iterator[Request]:
    """Yield the requests of one person who wants to log in."""
    while True:
        if source.random() < CONVERSION:
            entered_ms = at_ms + int(1000 * min(280.0, 20 * source.lognormvariate(0, 0.7)))
            yield Request(at_ms, HONEST, person.phone, person.country, person.address, entered_ms)
            return
        yield Request(at_ms, HONEST, person.phone, person.country, person.address)
        if source.random() >= REPEATS:
            return
        at_ms += 1000 * source.randrange(35, 120)


class _Attack(NamedTuple):
    """An attack: how many messages it wants, after how many hours it begins, and how long it takes."""

    messages: int
    after_hours: float
    hours: float


ATTACKS: Final = {
    "sequential": _Attack(2000, 20, 3),
    "spread": _Attack(3000, 44, 6),
    "countries": _Attack(1500, 68, 8),
    "address": _Attack(1000, 92, 5),
    "mixed": _Attack(1000, 116, 6),
    "scattered": _Attack(1000, 140, 4),
    "drip": _Attack(600, 0, 168),
}
"""The kinds of attacks, as they run in one week."""

MIXED_VERIFIED: Final = 0.15
"""The share of messages of the attack `mixed` whose codes the attacker enters."""


def attack_requests(kind: str, start_ms: int, days: int, seed: int) -> Iterator[Request]:
    """Yield the requests of an attack; it is shortened in proportion to `days`.

    `sequential`: numbers of two neighbouring blocks. `spread`: 60 blocks under several prefixes of one country.
    `countries`: a few numbers of each of many countries. `address`: any numbers of the busiest country, from three
    addresses. `mixed`: twenty blocks, and some codes are entered. `scattered`: any numbers of a small country.
    `drip`: six blocks of the busiest country, a message every few minutes. All but `address` change their address
    for each message.
    """
    source = random.Random(f"{kind} {seed}")  # noqa: S311 - the same traffic for the same seed
    plan = ATTACKS[kind]
    numbers = _attacked(kind, source)
    for _ in range(max(1, plan.messages * days // 7)):
        at_ms = start_ms + int((plan.after_hours + source.random() * plan.hours) * HOUR_MS * days / 7)
        phone, country = next(numbers)
        address = f"203.0.113.{source.randrange(3)}" if kind == "address" else _address(source)
        enters = kind == "mixed" and source.random() < MIXED_VERIFIED
        yield Request(at_ms, kind, phone, country, address, at_ms + 15_000 if enters else 0)


def _attacked(kind: str, source: random.Random) -> Iterator[tuple[str, str]]:
    """Yield the numbers of an attack, and their countries."""
    blocks = _blocks(kind, source)
    while True:
        if blocks:
            block, country = source.choice(blocks)
            yield _in_block(block, source), country
        else:
            country = source.choice(_countries()) if kind == "countries" else {"address": "ID"}.get(kind, "TH")
            yield _number(country, source), country


def _blocks(kind: str, source: random.Random) -> Sequence[tuple[str, str]]:
    """Return the blocks of numbers that the attacker has; empty: any numbers."""
    match kind:
        case "sequential":
            first = source.randrange(10**3, 10**4 - 1)
            return [(f"+62857{first + more:04d}", "ID") for more in (0, 1)]
        case "spread":
            return [(_number("PH", source)[:-4], "PH") for _ in range(60)]
        case "mixed":
            return [(_number("ID", source)[:-4], "ID") for _ in range(20)]
        case "drip":
            return [(_number("ID", source)[:-4], "ID") for _ in range(6)]
    return []
