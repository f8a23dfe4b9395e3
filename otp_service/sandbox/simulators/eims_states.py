"""What an EIMS gateway knows of a message when it is asked for it, and how that is written in a row of a report.

It never calls: a script of receipts is what a report says once their time has come. Until half of the time to the
first of them a message is unsent, then it is being sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt

__all__ = ["DELIVERY_FAILURES", "EimsState", "RowLength", "row_of", "state_at"]

RowLength = Literal[4, 5, 7]
SENT, UNSENT, SENDING, UNKNOWN_FAILURE = 0, 1, 2, 1004
DELIVERED, DELIVERY_FAILED = 3, 2
DELIVERY_FAILURES: Final = (2, 4)
"""Reasons that are delivery statuses: failed, and timed out. Any other reason is a send status."""


@dataclass(frozen=True, slots=True)
class EimsState:
    """What a report says: unsent at first; `delivery` None is a gateway that knows nothing of it yet."""

    sent: int = UNSENT
    delivery: int | None = None
    found: bool = True


def state_at(age: float, script: Sequence[ScriptedReceipt], length: RowLength) -> EimsState:
    """Say what is known of a message that was taken `age` seconds ago."""
    heard = sorted((told for told in script if told.after <= age), key=lambda told: told.after)
    if heard:
        return _state(heard[-1], length)
    return EimsState(UNSENT if age < min(told.after for told in script) / 2 else SENDING)


def _state(told: ScriptedReceipt, length: RowLength) -> EimsState:
    if told.say != "undelivered":
        return EimsState(SENT, DELIVERED if told.say == "delivered" else None)
    reason = int(told.reason or (UNKNOWN_FAILURE if length == 4 else DELIVERY_FAILED))
    return EimsState(SENT, reason) if reason in DELIVERY_FAILURES else EimsState(reason)


def row_of(first: Sequence[int | str], state: EimsState, length: RowLength, number: Callable[[str], Any]) -> list[Any]:
    """Write a row: id, number and time, then what is known; numbers as `number` writes them."""
    row = [*map(number, map(str, first)), number(str(state.sent))]
    delivery = None if state.delivery is None else number(str(state.delivery))
    if length == 5:
        return [*row, delivery]
    return [*row, "label", str(first[-1]), delivery] if length == 7 else row
