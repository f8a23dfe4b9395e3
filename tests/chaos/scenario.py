"""The scenario of a seed. Times are counted in events: a 202, or a send request at a gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.chaos.gateway_faults import seeded_random

__all__ = ["CALLERS", "HOLD_SECONDS", "MAX_TEXTS", "TIMEOUT_SECONDS", "Outage", "Scenario"]

CALLERS: Final = 50
EVENTS: Final = 100
"""A 202 and one send request for each caller: before that something is always in progress."""

MAX_TEXTS: Final = 2
HOLD_SECONDS: Final = 1
TIMEOUT_SECONDS: Final = 0.5
TOTAL_OUTAGE_EVERY: Final = 5
"""In one of this many seeds all gateways are down from some event until the codes have expired."""

GATEWAYS: Final = ("jakarta", "keda", "aurora")


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage of a gateway for this many seconds, starting at an event."""

    gateway: str
    event: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario.

    Attributes:
        seed: The seed.
        replicas: The number of processes.
        killed: The processes that are killed at `kill_event` and restarted at once.
        kill_event: The event of the kill.
        second_kill_seconds: How long after that they are killed again; None: they are not.
        order: The providers of the route.
        weighted: Whether every message draws its own order.
        outages: The outages of single gateways.
        total_outage_event: From when all gateways are down until the codes expire; None: they are not.
        canceled: The callers that cancel their verification during the delivery.
        verified: The callers that submit the code during the delivery.
    """

    seed: int
    replicas: int
    killed: tuple[int, ...]
    kill_event: int
    second_kill_seconds: float | None
    order: tuple[str, ...]
    weighted: bool
    outages: tuple[Outage, ...]
    total_outage_event: int | None
    canceled: frozenset[int]
    verified: frozenset[int]

    @property
    def ttl_seconds(self) -> int:
        """The TTL of codes: the minimum if the scenario waits for their expiry."""
        return 25 if self.total_outage_event is None else 10

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """Draw the scenario of a seed."""
        random = seeded_random(seed)
        replicas = random.choice((1, 2))
        killed = (0,) if replicas == 1 else random.choice(((0,), (1,), (0, 1)))
        kill_event = random.randint(1, EVENTS)
        second_kill = random.uniform(0.1, 1.5) if random.random() < 0.3 else None
        order = tuple(random.sample(GATEWAYS, len(GATEWAYS)))
        weighted = random.random() < 0.5
        total_outage = random.randint(10, 70) if seed % TOTAL_OUTAGE_EVERY == 2 else None
        outages = tuple(
            Outage(name, random.randint(1, EVENTS), random.uniform(0.3, 1.5))
            for name in GATEWAYS
            if random.random() < 0.4 and total_outage is None
        )
        active = random.sample(range(CALLERS), 12)
        return cls(
            seed=seed,
            replicas=replicas,
            killed=killed,
            kill_event=kill_event,
            second_kill_seconds=second_kill,
            order=order,
            weighted=weighted,
            outages=outages,
            total_outage_event=total_outage,
            canceled=frozenset(active[:6]),
            verified=frozenset(active[6:]),
        )
