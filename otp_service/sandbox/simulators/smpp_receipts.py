"""Delivery receipts as SMSCs write them: as text (SMPP 3.4, appendix B), as optional parameters, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from otp_service.sandbox.simulators.receipt_sender import ReceiptStatus
from otp_service.sandbox.simulators.smpp_pdus import deliver_body

__all__ = ["IdFormat", "ReceiptForm", "receipt_body", "written_id"]

IdFormat = Literal["decimal", "hex", "padded"]
ReceiptForm = Literal["both", "text", "parameters"]

RECEIPT: Final = 0x04
RECEIPTED_MESSAGE_ID, MESSAGE_STATE = 0x001E, 0x0427
STATES: Final[Mapping[str, tuple[int, str]]] = {
    "sent": (1, "ENROUTE"),
    "delivered": (2, "DELIVRD"),
    "undelivered": (5, "UNDELIV"),
}


def written_id(number: int, form: IdFormat) -> str:
    """Write an id in one of the forms that SMSCs use."""
    match form:
        case "decimal":
            return str(number)
        case "hex":
            return f"{number:X}"
        case "padded":
            return f"{number:020d}"


def receipt_body(
    message_id: str, status: ReceiptStatus, error: int, *, to: str, sender: str, form: ReceiptForm = "both"
) -> bytes:
    """Return the body of the deliver_sm that reports a status of the message that was sent to `to`."""
    state, word = STATES[status]
    delivered = int(status == "delivered")
    text = (
        f"id:{message_id} sub:001 dlvrd:{delivered:03d} submit date:2611270815 done date:2611270816"
        f" stat:{word} err:{error:03d} text:"
    )
    parameters = {RECEIPTED_MESSAGE_ID: message_id.encode() + b"\0", MESSAGE_STATE: bytes([state])}
    return deliver_body(
        (1, 1, to),
        sender,
        esm_class=RECEIPT,
        octets=b"" if form == "parameters" else text.encode(),
        parameters={} if form == "text" else parameters,
    )
