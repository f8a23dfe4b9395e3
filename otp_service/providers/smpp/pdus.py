"""The PDUs of SMPP 3.4 on the wire: framing, and the fields of those that we send and read.

The library `smpp34` encodes submit_sm and decodes deliver_sm. PDUs that consist of a header, or of a header and texts
that end with NUL, need none.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import smpp34

from otp_service.domain.message import OutboundMessage
from otp_service.providers.sender_ids import sender_for
from otp_service.providers.smpp.config import SmppConfig
from otp_service.providers.smpp.text_encoding import EncodedText

__all__ = [
    "MESSAGE_TYPE",
    "RESPONSE",
    "TON_INTERNATIONAL",
    "TON_UNKNOWN",
    "UDH_INDICATOR",
    "Command",
    "Parameter",
    "Pdu",
    "PduInvalid",
    "bind_body",
    "encode_pdu",
    "first_text",
    "read_pdu",
    "submit_pdu",
    "validity_period",
]

MAX_PDU_BYTES: Final = 70_000
"""A message_payload of 65,535 octets fits. A longer PDU ends the session before its body is read."""

INTERFACE_VERSION: Final = 0x34
HEADER: Final = struct.Struct("!IIII")

TON_UNKNOWN, TON_INTERNATIONAL, TON_NETWORK_SPECIFIC, TON_ALPHANUMERIC = 0, 1, 3, 5
NPI_UNKNOWN, NPI_ISDN = 0, 1
MAX_SHORT_CODE_DIGITS: Final = 6
"""A sender of up to 6 digits is a short code: the shortest international numbers have 7 digits."""

UDH_INDICATOR: Final = 0x40
MESSAGE_TYPE: Final = 0b0011_1100
"""The bits of `esm_class` that distinguish a receipt (1 in the lowest of them) from a text of a phone (0)."""

_RECEIPT_WANTED: Final = 1
_SECONDS_PER_DAY: Final = 86_400


RESPONSE: Final = 0x80000000
"""The bit of `command_id` that makes a response of a request."""


class Command(IntEnum):
    """`command_id` (5.1.2.1)."""

    SUBMIT_SM = 0x04
    DELIVER_SM = 0x05
    UNBIND = 0x06
    BIND_TRANSCEIVER = 0x09
    ENQUIRE_LINK = 0x15
    ALERT_NOTIFICATION = 0x102
    GENERIC_NACK = 0x80000000
    SUBMIT_SM_RESP = 0x80000004
    UNBIND_RESP = 0x80000006
    BIND_TRANSCEIVER_RESP = 0x80000009


class Parameter(IntEnum):
    """The tags of optional parameters (5.3.2)."""

    RECEIPTED_MESSAGE_ID = 0x001E
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


class PduInvalid(Exception):
    """The peer sent something that is not a PDU; nothing after it can be read."""


@dataclass(frozen=True, slots=True, repr=False)
class Pdu:
    """A PDU that was received; `data` includes the header."""

    command_id: int
    status: int
    sequence: int
    data: bytes

    @property
    def body(self) -> bytes:
        """The bytes after the header."""
        return self.data[HEADER.size :]


async def read_pdu(reader: asyncio.StreamReader) -> Pdu:
    """Read one PDU.

    Raises:
        PduInvalid: Its length is impossible, or more than is ever needed.
        EOFError: The connection ended.
        OSError: The connection broke.
    """
    header = await reader.readexactly(HEADER.size)
    length, command_id, status, sequence = HEADER.unpack(header)
    if not HEADER.size <= length <= MAX_PDU_BYTES:
        raise PduInvalid
    return Pdu(command_id, status, sequence, header + await reader.readexactly(length - HEADER.size))


def encode_pdu(command_id: int, sequence: int, status: int = 0, body: bytes = b"") -> bytes:
    """Return a PDU with its header."""
    return HEADER.pack(HEADER.size + len(body), command_id, status, sequence) + body


def bind_body(config: SmppConfig) -> bytes:
    """Return the body of a bind_transceiver (4.1.5), for receipts to every address."""
    texts = (config.system_id, config.password.reveal(), config.system_type or "")
    fields = b"".join(text.encode("ascii") + b"\0" for text in texts)
    return fields + bytes((INTERFACE_VERSION, TON_UNKNOWN, NPI_UNKNOWN)) + b"\0"


def submit_pdu(config: SmppConfig, outbound: OutboundMessage, text: EncodedText, part: int, sequence: int) -> bytes:
    """Return the submit_sm (4.4.1) of one part of a text."""
    sender, ton, npi = _address(sender_for(config.sender, config.sender_ids, outbound) or "")
    octets = text.parts[part]
    return smpp34.SubmitSm(
        sender,
        outbound.to.removeprefix("+"),
        b"" if text.is_undivided else octets,
        service_type=config.service_type,
        source_addr_ton=ton if config.from_ton is None else config.from_ton,
        source_addr_npi=npi if config.from_npi is None else config.from_npi,
        dest_addr_ton=TON_INTERNATIONAL,
        dest_addr_npi=NPI_ISDN,
        esm_class=UDH_INDICATOR if text.has_headers else 0,
        validity_period=validity_period(outbound.expires_in),
        registered_delivery=_RECEIPT_WANTED,
        data_coding=text.data_coding,
        tlvs=[smpp34.Tlv(Parameter.MESSAGE_PAYLOAD, octets)] if text.is_undivided else [],
        sequence_number=sequence,
    ).encode()


def validity_period(seconds: int) -> str:
    """Return a relative time (7.1.1.2): YYMMDDhhmmss, tenths of a second, and 00R."""
    days, rest = divmod(seconds, _SECONDS_PER_DAY)
    return f"0000{days:02d}{rest // 3600:02d}{rest // 60 % 60:02d}{rest % 60:02d}000R"


def first_text(body: bytes, limit: int) -> str:
    """Return the first field of a body, which ends with NUL; "" if there is none of at most `limit` octets."""
    text, end, _ = body[: limit + 1].partition(b"\0")
    return text.decode("latin-1") if end else ""


def _address(sender: str) -> tuple[str, int, int]:
    """Return the sender with its type of number and numbering plan."""
    digits = sender.removeprefix("+")
    if not digits.isdigit():
        return sender, TON_ALPHANUMERIC, NPI_UNKNOWN
    if len(digits) <= MAX_SHORT_CODE_DIGITS:
        return digits, TON_NETWORK_SPECIFIC, NPI_UNKNOWN
    return digits, TON_INTERNATIONAL, NPI_ISDN
