"""The state of a message at an EIMS gateway, and its row in a report.

EIMS is polled and sends no receipts: a script of receipts sets the state that a report has after each delay. Before
the first one, a message is "unsent" for half of its delay, then "sending".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt

__all__ = ["DELIVERY_FAILURES", "EimsState", "RowLength", "row_of", "state_at", "state_of"]

RowLength = Literal[4, 5, 7]
SENT, UNSENT, SENDING, UNKNOWN_FAILURE = 0, 1, 2, 1004
DELIVERED, DELIVERY_FAILED = 3, 2
DELIVERY_FAILURES: Final = (2, 4)
"""Reasons that are delivery statuses: failed, and timed out. All other reasons are send statuses."""


@dataclass(frozen=True, slots=True)
class EimsState:
    """The codes in a report; `delivery` is None while the gateway has no delivery status."""

    sent: int = UNSENT
    delivery: int | None = None
    found: bool = True


def state_at(age: float, script: Sequence[ScriptedReceipt], length: RowLength) -> EimsState:
    """Return the state of a message that was accepted `age` seconds ago."""
    due = sorted((receipt for receipt in script if receipt.after <= age), key=lambda receipt: receipt.after)
    if due:
        return state_of(due[-1], length)
    return EimsState(UNSENT if age < min(receipt.after for receipt in script) / 2 else SENDING)


def state_of(receipt: ScriptedReceipt, length: RowLength) -> EimsState:
    """Return the state that a scripted receipt sets."""
    if receipt.status != "undelivered":
        return EimsState(SENT, DELIVERED if receipt.status == "delivered" else None)
    reason = int(receipt.reason or (UNKNOWN_FAILURE if length == 4 else DELIVERY_FAILED))
    return EimsState(SENT, reason) if reason in DELIVERY_FAILURES else EimsState(reason)


def row_of(first: Sequence[int | str], state: EimsState, length: RowLength, number: Callable[[str], Any]) -> list[Any]:
    """Return a row: id, phone number and time in `first`, then the codes, converted by `number`."""
    row = [*map(number, map(str, first)), number(str(state.sent))]
    delivery = None if state.delivery is None else number(str(state.delivery))
    if length == 5:
        return [*row, delivery]
    return [*row, "label", str(first[-1]), delivery] if length == 7 else row
