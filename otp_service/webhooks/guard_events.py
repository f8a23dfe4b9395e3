"""Events of the guard against SMS pumping: what it decides is collected here, and stored by the worker of webhooks.

An attack has thousands of decisions: those of one minute with the same tenant, country, area, mode and rules are one
event, whichever replica made them. What was not stored yet is lost with the process, as the guard's own records are.
"""

from __future__ import annotations

from typing import Final

from otp_service.domain.events import EventType, OperatorEvents
from otp_service.domain.guard import GuardDecision

__all__ = ["GuardEvents"]

MAX_PENDING: Final = 100
MAX_REMEMBERED: Final = 1_000
MINUTE_MS: Final = 60_000


class GuardEvents:
    """The observer of the guard of one process (port `GuardObserver`)."""

    def __init__(self, events: OperatorEvents) -> None:
        """Store events with `events`."""
        self._events = events
        self._pending: dict[str, GuardDecision] = {}
        self._stored: dict[str, None] = {}

    def guard_triggered(self, decision: GuardDecision) -> None:
        """Remember a decision, unless an equal one of its minute has an event already; see the port."""
        key = _key_of(decision)
        if key not in self._stored and len(self._pending) < MAX_PENDING:
            self._pending.setdefault(key, decision)

    async def flush(self) -> None:
        """Store the events of what was remembered; raises `Refused` if the store is unavailable, and drops them."""
        pending, self._pending = self._pending, {}
        for key, decision in pending.items():
            await self._events.emit(EventType.GUARD_TRIGGERED, key, _facts_of(decision))
            self._stored[key] = None
            if len(self._stored) > MAX_REMEMBERED:
                del self._stored[next(iter(self._stored))]


def _key_of(decision: GuardDecision) -> str:
    minute = decision.at_ms // MINUTE_MS
    area = "".join(filter(str.isalnum, decision.area))
    return f"{decision.tenant}-{decision.country}-{area}-{decision.mode}-{'_'.join(decision.rules)}-{minute}"


def _facts_of(decision: GuardDecision) -> dict[str, str | int | bool]:
    return {
        "tenant": decision.tenant,
        "country": decision.country,
        "area": decision.area,
        "mode": decision.mode.value,
        "denied": decision.denies,
        "rules": ",".join(decision.rules),
        "levels": ",".join(dict.fromkeys(finding.level for finding in decision.findings)),
    }
