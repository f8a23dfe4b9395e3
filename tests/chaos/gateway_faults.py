"""How a gateway treats a request: whether it accepts the message, and whether the caller learns that."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["FALSE_RESPONSES", "REJECTIONS", "AcceptedMessage", "Fault", "FaultSource", "FinalStatus", "seeded_random"]


class Fault(StrEnum):
    """What is drawn for a request."""

    NONE = "accepted"
    SLOW = "slow"
    # accepts the message, and the caller does not learn it
    LATE = "late"
    HANGS = "hung"
    CUTS = "cut"
    PAGE = "error page"
    GARBLED = "garbled"
    # accepts the message, and responds that it did not
    DENIES = "denied"
    # does not accept the message, and the caller does not learn it
    SILENT = "silent"
    DROPS = "dropped"
    # rejects the message, and says why
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    FUNDS = "funds"
    CONFIG = "config_error"
    RECIPIENT = "recipient_invalid"


FALSE_RESPONSES: Final = frozenset({Fault.PAGE, Fault.GARBLED, Fault.DENIES})
REJECTIONS: Final = frozenset({Fault.TRANSIENT, Fault.THROTTLED, Fault.FUNDS, Fault.CONFIG, Fault.RECIPIENT})

_WEIGHTS: Final[Mapping[Fault, float]] = {
    Fault.NONE: 6.0,
    Fault.SLOW: 1.5,
    Fault.LATE: 0.7,
    Fault.HANGS: 1.0,
    Fault.CUTS: 1.0,
    Fault.PAGE: 0.7,
    Fault.GARBLED: 0.7,
    Fault.DENIES: 0.4,
    Fault.SILENT: 0.7,
    Fault.DROPS: 0.5,
    Fault.TRANSIENT: 1.0,
    Fault.THROTTLED: 0.7,
    Fault.FUNDS: 0.2,
    Fault.CONFIG: 0.2,
    Fault.RECIPIENT: 0.2,
}
"""How often each is drawn, before the random factors of the gateway."""


class FinalStatus(StrEnum):
    """The final status of an accepted message."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    UNREPORTED = "unreported"


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A message that a gateway accepted, at `at_ms` of Unix time, and the fault of that request.

    `number` in digits. `reference` is our message id, if the gateway's protocol contains it, else "".
    """

    gateway: str
    number: str
    code: str
    at_ms: float
    fault: Fault
    reference: str = ""


def seeded_random(*words: object) -> random.Random:
    """Return a random generator that is seeded by `words`."""
    return random.Random(" ".join(map(str, words)))  # noqa: S311 - it must be reproducible


class FaultSource:
    """The random faults of one gateway in one seed."""

    def __init__(self, seed: int, gateway: str) -> None:
        """Draw how likely each fault is at this gateway."""
        self._random = seeded_random(seed, gateway)
        self._faults: Sequence[Fault] = list(_WEIGHTS)
        self._weights = [
            weight * (1 if fault is Fault.NONE else self._between(0, 2)) for fault, weight in _WEIGHTS.items()
        ]

    def draw(self) -> Fault:
        """Draw the fault of the next request."""
        return self._random.choices(self._faults, self._weights)[0]

    def seconds(self, fault: Fault) -> float:
        """Draw the duration of a slow response: within the service's timeout, or beyond it."""
        return self._between(0.05, 0.3) if fault is Fault.SLOW else self._between(0.6, 1.0)

    def draw_final_status(self) -> tuple[FinalStatus, float, int]:
        """Draw the final status of a message, after how many seconds it is reported, and how often."""
        [final_status] = self._random.choices(list(FinalStatus), (5, 2, 3))
        return final_status, self._between(0, 1.5), self._random.choice((1, 1, 2))

    def _between(self, least: float, most: float) -> float:
        return self._random.uniform(least, most)
