"""A text as the octets of SMPP: its data coding, and its parts if it is longer than one message.

A text of GSM 03.38 characters has the data coding 0, with one septet in each octet (SMPP 3.4, 5.2.19, note a) or packed
(3GPP 23.038, 6.1.2.1). Any other text is UCS-2, or Latin-1 if the account has that and the text fits. The parts of a
long text begin with a user data header (3GPP 23.040, 9.2.3.24.1) and are those that `count_segments` bills.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from otp_service.domain.sms_segments import GSM7_ALPHABET, GSM7_ESCAPE, GSM7_EXTENSION, characters_outside_gsm7

__all__ = ["DataCoding", "EncodedText", "decode_text", "encode_text"]

MAX_PARTS: Final = 255
"""The number of parts is one octet of the header."""

_HEADER_OCTETS: Final = 6
_HEADER_SEPTETS: Final = 7
"""6 octets are 48 bits; the text begins at the next septet, which is bit 49."""

_SEPTET_BITS: Final = 7
_OCTET_BITS: Final = 8
_CARRIAGE_RETURN: Final = 13
_ESCAPE: Final = GSM7_ALPHABET.index(GSM7_ESCAPE)
_SEPTETS: Final[Mapping[str, bytes]] = {
    **{char: bytes([code]) for code, char in enumerate(GSM7_ALPHABET) if char != GSM7_ESCAPE},
    **{char: bytes([_ESCAPE, code]) for char, code in GSM7_EXTENSION.items()},
}


class DataCoding(IntEnum):
    """`data_coding` of SMPP 3.4, 5.2.19."""

    GSM7 = 0
    LATIN1 = 3
    UCS2 = 8


@dataclass(frozen=True, slots=True, repr=False)
class EncodedText:
    """The octets of each part, with its user data header if there are several.

    `is_undivided`: the only part is longer than one message, and the SMSC divides it.
    """

    data_coding: DataCoding
    parts: tuple[bytes, ...]
    is_undivided: bool = False

    @property
    def has_headers(self) -> bool:
        """Whether each part begins with a user data header."""
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True)
class _Limits:
    """The units in a single message and in each part of several: septets, or octets."""

    single: int
    part: int


_LIMITS: Final[Mapping[DataCoding, _Limits]] = {
    DataCoding.GSM7: _Limits(160, 153),
    DataCoding.LATIN1: _Limits(140, 134),
    DataCoding.UCS2: _Limits(140, 134),
}


def encode_text(
    text: str, *, packed: bool = False, latin1: bool = False, divided: bool = True, reference: int = 0
) -> EncodedText:
    """Encode a text.

    Args:
        text: The text.
        packed: Septets are packed, 8 of them in 7 octets.
        latin1: Latin-1 is allowed for a text that is not of GSM 03.38.
        divided: A text that is longer than one message is divided into parts.
        reference: What the parts of one text have in common, 0 to 255.

    Raises:
        ValueError: The text has more than 255 parts. The error does not contain the text.
    """
    data_coding, characters = _characters(text, latin1)
    limits = _LIMITS[data_coding]
    packs = packed and data_coding is DataCoding.GSM7
    units = b"".join(characters)
    if not divided or len(units) <= limits.single:
        octets = _pack(units) if packs else units
        return EncodedText(data_coding, (octets,), is_undivided=len(units) > limits.single)
    parts = list(_divide(characters, limits.part))
    if len(parts) > MAX_PARTS:
        raise ValueError("the text has too many parts")
    headers = [bytes((5, 0, 3, reference, len(parts), number)) for number in range(1, len(parts) + 1)]
    return EncodedText(
        data_coding,
        tuple(
            header + (_pack(part, _HEADER_SEPTETS)[_HEADER_OCTETS:] if packs else part)
            for header, part in zip(headers, parts, strict=True)
        ),
    )


def decode_text(octets: bytes, data_coding: int, *, packed: bool = False, header_octets: int = 0) -> str:
    """Decode a text that was received; what cannot be decoded becomes other characters, and never fails.

    Args:
        octets: The octets.
        data_coding: How they are encoded. GSM 03.38 is read without its escapes.
        packed: Septets are packed.
        header_octets: How many octets at the beginning are a user data header.
    """
    body = octets[header_octets:]
    if data_coding == DataCoding.UCS2:
        return body.decode("utf-16-be", "replace")
    if data_coding != DataCoding.GSM7:
        return body.decode("latin-1")
    if packed:
        bits, skipped = int.from_bytes(octets, "little"), -(-header_octets * _OCTET_BITS // _SEPTET_BITS)
        count = len(octets) * _OCTET_BITS // _SEPTET_BITS
        body = bytes(bits >> _SEPTET_BITS * number & 0x7F for number in range(skipped, count))
    return "".join(GSM7_ALPHABET[octet & 0x7F] for octet in body)


def _characters(text: str, latin1: bool) -> tuple[DataCoding, Sequence[bytes]]:
    """Return the units of each character, which a part never separates. Half a surrogate pair becomes a "?"."""
    if not characters_outside_gsm7(text):
        return DataCoding.GSM7, [_SEPTETS[char] for char in text]
    if latin1 and all(char <= "\xff" for char in text):
        return DataCoding.LATIN1, [char.encode("latin-1") for char in text]
    return DataCoding.UCS2, [char.encode("utf-16-be", "replace") for char in text]


def _divide(characters: Sequence[bytes], limit: int) -> Iterator[bytes]:
    """Yield parts of at most `limit` units."""
    part = bytearray()
    for character in characters:
        if len(part) + len(character) > limit:
            yield bytes(part)
            part.clear()
        part += character
    yield bytes(part)


def _pack(septets: bytes, skipped: int = 0) -> bytes:
    """Pack septets, after `skipped` septets of zeros.

    Seven bits that are left over would be read as an "@", so a carriage return fills them (3GPP 23.038, 6.1.2.3.1).
    """
    if (skipped + len(septets)) % _OCTET_BITS == _SEPTET_BITS:
        septets += bytes([_CARRIAGE_RETURN])
    bits = bit_count = 0
    packed = bytearray()
    for septet in bytes(skipped) + septets:
        bits |= septet << bit_count
        bit_count += _SEPTET_BITS
        while bit_count >= _OCTET_BITS:
            packed.append(bits & 0xFF)
            bits >>= _OCTET_BITS
            bit_count -= _OCTET_BITS
    if bit_count:
        packed.append(bits)
    return bytes(packed)
