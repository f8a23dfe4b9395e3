"""How a gateway treats one request: whether it takes the text, and what it lets the caller know of that."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["LIES", "REFUSALS", "Fate", "Mood", "Moods", "Text", "dice"]


class Mood(StrEnum):
    """What is drawn for a request."""

    TAKES = "taken"
    SLOW = "slow"
    # it takes the text, and the caller does not get to know
    LATE = "late"
    HANGS = "hung"
    CUTS = "cut"
    PAGE = "error page"
    GARBLED = "garbled"
    # it takes the text, and says that it did not
    DENIES = "denied"
    # it does not take it, and the caller does not get to know
    SILENT = "silent"
    DROPS = "dropped"
    # it refuses, and says why
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    FUNDS = "funds"
    CONFIG = "config_error"
    RECIPIENT = "recipient_invalid"


LIES: Final = frozenset({Mood.PAGE, Mood.GARBLED, Mood.DENIES})
REFUSALS: Final = frozenset({Mood.TRANSIENT, Mood.THROTTLED, Mood.FUNDS, Mood.CONFIG, Mood.RECIPIENT})

_SHARES: Final[Mapping[Mood, float]] = {
    Mood.TAKES: 6.0,
    Mood.SLOW: 1.5,
    Mood.LATE: 0.7,
    Mood.HANGS: 1.0,
    Mood.CUTS: 1.0,
    Mood.PAGE: 0.7,
    Mood.GARBLED: 0.7,
    Mood.DENIES: 0.4,
    Mood.SILENT: 0.7,
    Mood.DROPS: 0.5,
    Mood.TRANSIENT: 1.0,
    Mood.THROTTLED: 0.7,
    Mood.FUNDS: 0.2,
    Mood.CONFIG: 0.2,
    Mood.RECIPIENT: 0.2,
}
"""How often each is drawn, before a seed makes a gateway better or worse at it."""


class Fate(StrEnum):
    """What becomes of a text that was taken."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that a gateway took, at `at_ms` of Unix time, and in which mood. `number` in digits.

    `reference` is our id of the message where the wire carries it, "" where it does not.
    """

    gateway: str
    number: str
    code: str
    at_ms: float
    mood: Mood
    reference: str = ""


def dice(*words: object) -> random.Random:
    """Make dice that fall the same for the same words."""
    return random.Random(" ".join(map(str, words)))  # noqa: S311 - they are to be foreseen


class Moods:
    """One gateway's dice in one seed."""

    def __init__(self, seed: int, gateway: str) -> None:
        """Draw what the gateway is good and bad at."""
        self._dice = dice(seed, gateway)
        self._moods: Sequence[Mood] = list(_SHARES)
        self._shares = [share * (1 if mood is Mood.TAKES else self._between(0, 2)) for mood, share in _SHARES.items()]

    def mood(self) -> Mood:
        """Draw for the next request."""
        return self._dice.choices(self._moods, self._shares)[0]

    def seconds(self, mood: Mood) -> float:
        """Draw how long a slow answer takes: within the caller's patience, or over it."""
        return self._between(0.05, 0.3) if mood is Mood.SLOW else self._between(0.6, 1.0)

    def fate(self) -> tuple[Fate, float, int]:
        """Draw what becomes of a text, after how many seconds that is told, and how many times."""
        [fate] = self._dice.choices(list(Fate), (5, 2, 3))
        return fate, self._between(0, 1.5), self._dice.choice((1, 1, 2))

    def _between(self, least: float, most: float) -> float:
        return self._dice.uniform(least, most)
