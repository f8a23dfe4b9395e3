"""The events of the guard's decisions: the scripts that end a request store them, before its caller is answered.

An attack has thousands of decisions: those of one minute with the same tenant, country, area, mode and rules are one
event, whichever replica made them. The script that releases a denied request adds its event in the same step. For a
request that the guard only observes, the event is in the batch that starts its verification.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otp_service.domain.events import EventTarget, EventType
from otp_service.domain.guard import GuardDecision
from otp_service.domain.guard_counts import ALL_COUNTRIES_SCOPE
from otp_service.store.encoding import pack
from otp_service.store.event_targets import operator_targets
from otp_service.store.keys import GuardKeys
from otp_service.store.scripts import ScriptCall, script

__all__ = ["GUARD_EVENTS_SLOT", "observed_calls", "pack_event"]

GUARD_EVENTS_SLOT: Final = GuardKeys(ALL_COUNTRIES_SCOPE).events
"""Where the events wait: every release of a request has a call in this hash slot, whatever its country is."""

MINUTE_MS: Final = 60_000


def pack_event(decision: GuardDecision | None, targets: Sequence[EventTarget]) -> bytes:
    """Return the event of a decision as `guard_release` reads it; b"" if there is none, or no target gets it."""
    wanted = operator_targets(GUARD_EVENTS_SLOT, targets, (EventType.GUARD_TRIGGERED,))
    return pack((wanted, _name_of(decision), _facts_of(decision))) if decision and wanted else b""


def observed_calls(decision: GuardDecision | None, targets: Sequence[EventTarget]) -> list[ScriptCall]:
    """Return the call that adds the event of a decision that denied nothing; none without an event."""
    packed = pack_event(decision, targets)
    args = (GuardKeys(ALL_COUNTRIES_SCOPE).prefix, packed)
    return [ScriptCall(script("guard_observed"), (GUARD_EVENTS_SLOT,), args)] if packed else []


def _name_of(decision: GuardDecision) -> str:
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
