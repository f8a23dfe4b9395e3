"""The arguments of scripts that emit events for the operator's endpoints: of providers, tenants and countries."""

from __future__ import annotations

from collections.abc import Sequence

from otp_service.domain.events import EventTarget, EventType, encode_targets
from otp_service.store.encoding import pack

__all__ = ["event_args", "operator_targets"]


def event_args(
    index: str, targets: Sequence[EventTarget], types: Sequence[EventType], *names: str
) -> tuple[str | bytes, ...]:
    """Return the last arguments of a script that emits events of `types`; empty if no target gets one.

    Args:
        index: The index of waiting events in the slot of the script's keys.
        targets: The endpoints of the operator.
        types: The types of events that the script may emit.
        names: What the script puts into the events: the name of a provider, for example.
    """
    wanted = operator_targets(index, targets, types)
    return (pack(wanted), *names) if wanted else ()


def operator_targets(index: str, targets: Sequence[EventTarget], types: Sequence[EventType]) -> tuple[str, ...]:
    """Return the targets that get one of `types`, as scripts read them; empty if there is none."""
    return encode_targets(index, "", [one for one in targets if not one.types.isdisjoint(types)])
