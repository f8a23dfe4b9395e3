"""SMPP 3.4 as an SMSC reads and writes it: strict decoding of submit_sm, and deliver_sm with receipts.

Nothing is shared with the provider but the alphabet, so that an error in one of them shows.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otp_service.domain.sms_segments import GSM7_ALPHABET, GSM7_EXTENSION

__all__ = [
    "BIND_TRANSCEIVER",
    "DELIVER_SM",
    "ENQUIRE_LINK",
    "MESSAGE_PAYLOAD",
    "RESPONSE",
    "SUBMIT_SM",
    "UNBIND",
    "BindRequest",
    "InvalidPdu",
    "ReceivedPdu",
    "Submission",
    "decode_bind",
    "decode_submission",
    "deliver_body",
    "encode",
    "parameter",
    "receive_pdu",
]

SUBMIT_SM, DELIVER_SM, UNBIND, BIND_TRANSCEIVER, ENQUIRE_LINK = 0x04, 0x05, 0x06, 0x09, 0x15
RESPONSE: Final = 0x80000000
MESSAGE_PAYLOAD: Final = 0x0424
INVALID_LENGTH, INVALID_SENDER, INVALID_RECIPIENT, INVALID_ESM_CLASS, INVALID_VALIDITY = 0x01, 0x0A, 0x0B, 0x43, 0x62
INVALID_PARAMETER: Final = 0xC2

_HEADER: Final = struct.Struct("!IIII")
_RELATIVE_TIME: Final = re.compile(r"[0-9]{12}000R", re.ASCII)
_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_GSM7, _LATIN1, _UCS2 = 0, 3, 8
_CONCATENATION: Final = bytes((5, 0, 3))
_EXTENSION: Final = {code: char for char, code in GSM7_EXTENSION.items()}


class InvalidPdu(Exception):
    """The SMSC refuses the request with `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class ReceivedPdu:
    """A PDU; `data` is all of it."""

    command_id: int
    status: int
    sequence: int
    data: bytes

    @property
    def body(self) -> bytes:
        """The bytes after the header."""
        return self.data[_HEADER.size :]


@dataclass(frozen=True, slots=True)
class BindRequest:
    """The fields of a bind_transceiver."""

    system_id: str
    password: str
    system_type: str
    interface_version: int


@dataclass(frozen=True, slots=True)
class Submission:
    """The fields of a submit_sm; `part` is its number of `parts`, which have `reference` in common."""

    sender: str
    sender_kind: tuple[int, int]
    to: str
    validity_period: str
    data_coding: int
    text: str
    reference: int = 0
    part: int = 1
    parts: int = 1


class _Fields:
    """Reads the fields of a body in their order."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def text(self, longest: int) -> str:
        """Read a text that ends with NUL."""
        text, end, self._body = self._body.partition(b"\0")
        if not end or len(text) > longest or not text.isascii():
            raise InvalidPdu(INVALID_PARAMETER)
        return text.decode()

    def octets(self, count: int) -> bytes:
        """Read this many octets."""
        octets, self._body = self._body[:count], self._body[count:]
        if len(octets) != count:
            raise InvalidPdu(INVALID_PARAMETER)
        return octets

    def number(self) -> int:
        """Read one octet."""
        return self.octets(1)[0]

    def parameters(self) -> dict[int, bytes]:
        """Read the optional parameters, up to the end."""
        found: dict[int, bytes] = {}
        while self._body:
            tag, length = struct.unpack("!HH", self.octets(4))
            found[tag] = self.octets(length)
        return found


async def receive_pdu(reader: asyncio.StreamReader) -> ReceivedPdu:
    """Read one PDU; raises EOFError, OSError, or ValueError if it is not one."""
    header = await reader.readexactly(_HEADER.size)
    length, command_id, status, sequence = _HEADER.unpack(header)
    if not _HEADER.size <= length <= 2**17:
        raise ValueError(length)
    return ReceivedPdu(command_id, status, sequence, header + await reader.readexactly(length - _HEADER.size))


def encode(command_id: int, sequence: int, status: int = 0, body: bytes = b"") -> bytes:
    """Return a PDU."""
    return _HEADER.pack(_HEADER.size + len(body), command_id, status, sequence) + body


def parameter(tag: int, value: bytes) -> bytes:
    """Return an optional parameter."""
    return struct.pack("!HH", tag, len(value)) + value


def decode_bind(body: bytes) -> BindRequest:
    """Decode a bind_transceiver; raises InvalidPdu."""
    fields = _Fields(body)
    request = BindRequest(fields.text(15), fields.text(64), fields.text(12), fields.number())
    fields.octets(2)
    fields.text(40)
    return request


def decode_submission(body: bytes, *, packed: bool) -> Submission:
    """Decode a submit_sm as an account that sends codes should write it; raises InvalidPdu.

    `packed`: the account sends packed septets.
    """
    fields = _Fields(body)
    fields.text(5)
    sender_kind, sender = (fields.number(), fields.number()), fields.text(20)
    if not sender or (sender_kind[0] == 1 and not sender.isdigit()):
        raise InvalidPdu(INVALID_SENDER)
    recipient_kind, to = (fields.number(), fields.number()), fields.text(20)
    if recipient_kind != (1, 1) or not _DIGITS.fullmatch(to):
        raise InvalidPdu(INVALID_RECIPIENT)
    esm_class, protocol_id, priority = fields.octets(3)
    if esm_class & ~0x40:
        raise InvalidPdu(INVALID_ESM_CLASS)
    scheduled, validity_period = fields.text(16), fields.text(16)
    if not _RELATIVE_TIME.fullmatch(validity_period):
        raise InvalidPdu(INVALID_VALIDITY)
    registered, replaces, data_coding, default_id, length = fields.octets(5)
    if (protocol_id, priority, scheduled, registered, replaces, default_id) != (0, 0, "", 1, 0, 0):
        raise InvalidPdu(INVALID_PARAMETER)
    octets = fields.octets(length)
    parameters = fields.parameters()
    if parameters.keys() - {MESSAGE_PAYLOAD} or (length > 0) == (MESSAGE_PAYLOAD in parameters):
        raise InvalidPdu(INVALID_LENGTH)
    octets = octets or parameters[MESSAGE_PAYLOAD]
    header = _header(octets) if esm_class else (0, 1, 1)
    text = _decode_text(octets, data_coding, packed=packed, has_header=bool(esm_class))
    return Submission(sender, sender_kind, to, validity_period, data_coding, text, *header)


def deliver_body(
    source: tuple[int, int, str],
    to: str,
    *,
    esm_class: int,
    octets: bytes,
    parameters: Mapping[int, bytes],
    data_coding: int = 0,
) -> bytes:
    """Return the body of a deliver_sm; `source` is the kind and the address."""
    addresses = bytes(source[:2]) + source[2].encode() + b"\0" + bytes((5, 0)) + to.encode() + b"\0"
    head = b"\0" + addresses + bytes((esm_class, 0, 0)) + b"\0\0" + bytes((0, 0, data_coding, 0, len(octets)))
    return head + octets + b"".join(parameter(tag, value) for tag, value in parameters.items())


def _header(octets: bytes) -> tuple[int, int, int]:
    """Return reference, number and count of a part."""
    if len(octets) < 6 or octets[:3] != _CONCATENATION:
        raise InvalidPdu(INVALID_ESM_CLASS)
    reference, count, number = octets[3:6]
    if not 1 <= number <= count:
        raise InvalidPdu(INVALID_ESM_CLASS)
    return reference, number, count


def _decode_text(octets: bytes, data_coding: int, *, packed: bool, has_header: bool) -> str:
    body = octets[6:] if has_header else octets
    try:
        match data_coding:
            case 0 if packed:
                return _from_septets(_unpack(octets, skipped=7 if has_header else 0))
            case 0:
                return _from_septets(body)
            case 3:
                return body.decode("latin-1")
            case 8:
                return body.decode("utf-16-be")
    except (ValueError, LookupError):
        raise InvalidPdu(INVALID_LENGTH) from None
    raise InvalidPdu(INVALID_PARAMETER)


def _from_septets(septets: bytes) -> str:
    """Decode septets, one in each octet; raises ValueError or LookupError."""
    rest = iter(septets)
    return "".join(_EXTENSION[next(rest, -1)] if code == 0x1B else GSM7_ALPHABET[code] for code in rest)


def _unpack(octets: bytes, skipped: int) -> bytes:
    """Return the septets of packed octets, without those of a header, and without a fill of the last octet."""
    bits = int.from_bytes(octets, "little")
    septets = bytes(bits >> 7 * number & 0x7F for number in range(len(octets) * 8 // 7))
    fills = len(septets) % 8 == 0 and septets.endswith(b"\r")
    return septets[skipped : -1 if fills else None]
