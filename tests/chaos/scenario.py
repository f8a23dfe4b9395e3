"""What a seed draws before its story begins. Moments are counted in events: a 202, or a request at a gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.chaos.gateway_faults import dice

__all__ = ["CALLERS", "HOLD_SECONDS", "MAX_TEXTS", "TIMEOUT_SECONDS", "Outage", "Plan"]

CALLERS: Final = 50
EVENTS: Final = 100
"""A 202 and one request at a gateway for each caller: until then something is always under way."""

MAX_TEXTS: Final = 2
HOLD_SECONDS: Final = 1
TIMEOUT_SECONDS: Final = 0.5
NIGHT_EVERY: Final = 5
"""One seed of so many is a night: every gateway is down from some moment on until the codes have expired."""

GATEWAYS: Final = ("jakarta", "keda", "aurora")


@dataclass(frozen=True, slots=True)
class Outage:
    """A gateway is down for so many seconds from an event on."""

    gateway: str
    event: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A story. Of `replicas` processes those in `killed` are killed at `kill_event`, and come back at once.

    `again_seconds` after that they are killed once more (None: they are not). `order` is the route; `spread`: every
    message draws its own. `canceled` and `verified` are callers who end their verification while it is delivered.
    """

    seed: int
    replicas: int
    killed: tuple[int, ...]
    kill_event: int
    again_seconds: float | None
    order: tuple[str, ...]
    spread: bool
    outages: tuple[Outage, ...]
    night_event: int | None
    canceled: frozenset[int]
    verified: frozenset[int]

    @property
    def ttl_seconds(self) -> int:
        """How long a code lives: the least there is, where the story waits for its end."""
        return 25 if self.night_event is None else 10

    @classmethod
    def of(cls, seed: int) -> Plan:
        """Draw the story of a seed."""
        drawn = dice(seed)
        replicas = drawn.choice((1, 2))
        killed = (0,) if replicas == 1 else drawn.choice(((0,), (1,), (0, 1)))
        kill_event = drawn.randint(1, EVENTS)
        again = drawn.uniform(0.1, 1.5) if drawn.random() < 0.3 else None
        order = tuple(drawn.sample(GATEWAYS, len(GATEWAYS)))
        spread = drawn.random() < 0.5
        night = drawn.randint(10, 70) if seed % NIGHT_EVERY == 2 else None
        outages = tuple(
            Outage(name, drawn.randint(1, EVENTS), drawn.uniform(0.3, 1.5))
            for name in GATEWAYS
            if drawn.random() < 0.4 and night is None
        )
        restless = drawn.sample(range(CALLERS), 12)
        return cls(
            seed=seed,
            replicas=replicas,
            killed=killed,
            kill_event=kill_event,
            again_seconds=again,
            order=order,
            spread=spread,
            outages=outages,
            night_event=night,
            canceled=frozenset(restless[:6]),
            verified=frozenset(restless[6:]),
        )
