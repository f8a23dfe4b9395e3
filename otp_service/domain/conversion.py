"""Conversion: which share of the messages of a provider were verified, by prefix of the numbers.

A message counts by the minute in which its verification was started. One whose code was not verified counts as a
failure when `SETTLE_MINUTES` have passed; a verified one counts at once. Every result loses half of its weight in
`HALF_LIFE_MINUTES`, so that recent messages decide.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = [
    "COUNTED_MINUTES",
    "HALF_LIFE_MINUTES",
    "SETTLE_MINUTES",
    "ConversionResults",
    "CountKey",
    "Results",
    "number_prefix",
    "weigh",
]

SETTLE_MINUTES: Final = 2
"""A code that is not entered counts as a failure only after this time; most are entered within a minute."""

HALF_LIFE_MINUTES: Final = 10.0
"""Chosen by simulation (`python -m tests.bench.conversion_simulation`).

With a longer half-life, a provider that has stopped to deliver is detected later.
"""

COUNTED_MINUTES: Final = 40
"""Older messages do not count: their weight is below 1/16."""

SHARED_RESULTS: Final = 10.0
"""The results of a provider for all prefixes count as at most this many results for each prefix."""

UNKNOWN_DIGITS: Final = 5
"""The last digits of a number, at least, that are not part of its prefix."""

PREFIX_CHARS: Final = 6
"""`+`, the calling code and the operator's digits, such as +62812; behind a shorter calling code, more digits."""


class CountKey(NamedTuple):
    """What is counted: the messages of one minute (since 1970) to one prefix that a provider has accepted.

    `verified`: only those whose code was verified.
    """

    minute: int
    provider: str
    prefix: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Results:
    """How many messages were verified and how many were not, weighted by age."""

    verified: float = 0.0
    failed: float = 0.0


@dataclass(frozen=True, slots=True)
class ConversionResults:
    """The results by provider and prefix, and by provider for all prefixes."""

    by_prefix: Mapping[tuple[str, str], Results] = field(default_factory=lambda: MappingProxyType({}))
    by_provider: Mapping[str, Results] = field(default_factory=lambda: MappingProxyType({}))

    def draw(self, provider: str, prefix: str, source: random.Random) -> float:
        """Draw a conversion from the Beta distribution that the provider's results for a prefix support."""
        shared = self.by_provider.get(provider, _NO_RESULTS)
        own = self.by_prefix.get((provider, prefix), _NO_RESULTS)
        weight = SHARED_RESULTS / max(SHARED_RESULTS, shared.verified + shared.failed)
        return source.betavariate(1 + own.verified + weight * shared.verified, 1 + own.failed + weight * shared.failed)


_NO_RESULTS: Final = Results()


def number_prefix(to: str) -> str:
    """Return the prefix under which a number in E.164 is counted; "" for an e-mail address, which has none.

    A short number has a shorter prefix: prefixes are stored in the clear, and must not identify a number.
    """
    return to[: min(PREFIX_CHARS, len(to) - UNKNOWN_DIGITS)] if to.startswith("+") else ""


def weigh(counts: Mapping[CountKey, int], now_minute: int) -> ConversionResults:
    """Return the results that follow from `counts` at `now_minute`."""
    verified: defaultdict[tuple[str, str], float] = defaultdict(float)
    failed: defaultdict[tuple[str, str], float] = defaultdict(float)
    for (minute, provider, prefix, is_verified), count in counts.items():
        age = max(0, now_minute - minute)
        weighted = count * 0.5 ** (age / HALF_LIFE_MINUTES)
        if is_verified:
            verified[provider, prefix] += weighted
        if age >= SETTLE_MINUTES:
            failed[provider, prefix] += -weighted if is_verified else weighted
    by_prefix = {key: Results(verified[key], max(0.0, failed[key])) for key in {**verified, **failed}}
    by_provider: dict[str, Results] = {}
    for (provider, _), results in by_prefix.items():
        total = by_provider.get(provider, _NO_RESULTS)
        by_provider[provider] = Results(total.verified + results.verified, total.failed + results.failed)
    return ConversionResults(by_prefix, by_provider)
