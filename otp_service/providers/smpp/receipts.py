"""Delivery receipts: a deliver_sm with the state of a message that was sent (SMPP 3.4, 4.6 and appendix B).

The id is in the parameter receipted_message_id and in the text, and the two may be written differently: in decimal or
hexadecimal digits, or with leading zeros. The text comes from the SMSC: only its beginning is read, in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import smpp34

from otp_service.domain.message import Receipt
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.responses import receipt_number
from otp_service.providers.smpp.config import ReceiptIdFormat
from otp_service.providers.smpp.pdus import MESSAGE_TYPE, TON_INTERNATIONAL, Parameter
from otp_service.providers.smpp.result_codes import MESSAGE_STATES, RECEIPT_STATES
from otp_service.providers.smpp.text_encoding import DataCoding

__all__ = ["SmppReceipt", "comparable_id", "parse_receipt"]

MAX_TEXT_OCTETS: Final = 512
MAX_ID_OCTETS: Final = 65
_RECEIPT: Final = 0b0000_0100
_STATE_LETTERS: Final = 7

_ID: Final = re.compile(rf"\bid:([!-~]{{1,{MAX_ID_OCTETS}}})", re.ASCII | re.IGNORECASE)
_STATE: Final = re.compile(r"\bstat:([A-Z]{1,20})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class SmppReceipt:
    """A receipt; `receipt.message_id` is empty, and `ids` are what the response to the message may have had as its id.

    The first known one identifies the message.
    """

    ids: Sequence[str]
    receipt: Receipt


def parse_receipt(
    message: smpp34.DeliverSm, senders: Collection[str], id_format: ReceiptIdFormat
) -> SmppReceipt | None:
    """Read a receipt; None if the message is not a receipt (but a text from a phone), or has no id.

    Args:
        message: The deliver_sm.
        senders: Those of our messages, without a plus: some SMSCs do not exchange sender and recipient in a receipt.
        id_format: How the id in the text is converted.
    """
    parameters = {parameter.tag: parameter.value for parameter in message.tlvs}
    parameter_id = _c_string(parameters.get(Parameter.RECEIPTED_MESSAGE_ID, b""))
    if message.esm_class & MESSAGE_TYPE != _RECEIPT and not parameter_id:
        return None
    octets = message.short_message or parameters.get(Parameter.MESSAGE_PAYLOAD, b"")
    text = _decode(octets[:MAX_TEXT_OCTETS], message.data_coding)
    found = _ID.search(text)
    text_id = found[1] if found else ""
    candidates = (comparable_id(parameter_id), _convert(text_id, id_format), _convert(parameter_id, id_format))
    ids = tuple(dict.fromkeys(filter(None, candidates)))
    if not ids:
        return None
    status = _status(parameters.get(Parameter.MESSAGE_STATE, b""), text)
    error = Outcome.TRANSIENT if status is DeliveryStatus.UNDELIVERED else None
    return SmppReceipt(ids, Receipt("", status, error, to=_recipient(message, senders)))


def comparable_id(message_id: str) -> str:
    """Return an id without what SMSCs write differently in a receipt: case, spaces and leading zeros."""
    text = message_id.strip().lower()
    return text.lstrip("0") or text[:1]


def _convert(message_id: str, id_format: ReceiptIdFormat) -> str:
    """Return the comparable id that a response has; "" if the id does not have the format."""
    try:
        match id_format:
            case "as_is":
                return comparable_id(message_id)
            case "hex_to_decimal":
                return str(int(message_id, 16))
            case "decimal_to_hex":
                return f"{int(message_id):x}"
    except ValueError:
        return ""


def _status(state: bytes, text: str) -> DeliveryStatus | None:
    """Return the status; nothing is known if the parameter and the text contradict each other."""
    found = _STATE.search(text)
    by_text = RECEIPT_STATES.get(found[1].upper()[:_STATE_LETTERS]) if found else None
    by_parameter = state[0] if len(state) == 1 else None
    statuses = {MESSAGE_STATES.get(one) for one in (by_parameter, by_text) if one is not None}
    return statuses.pop() if len(statuses) == 1 else None


def _recipient(message: smpp34.DeliverSm, senders: Collection[str]) -> str:
    """Return the recipient's number, if the receipt has it in international form."""
    address, ton = message.source_addr, message.source_addr_ton
    if address.removeprefix("+") in senders:
        address, ton = message.destination_addr, message.dest_addr_ton
    return receipt_number(address) if ton == TON_INTERNATIONAL else ""


def _decode(octets: bytes, data_coding: int) -> str:
    """Decode a text that the SMSC itself has written: ASCII, unless it is UCS-2."""
    return octets.decode("utf-16-be" if data_coding == DataCoding.UCS2 else "latin-1", "replace")


def _c_string(octets: bytes) -> str:
    return octets[:MAX_ID_OCTETS].partition(b"\0")[0].decode("latin-1")
