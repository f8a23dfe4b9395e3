"""How many SMS segments a text is divided into (3GPP 23.038 and 23.040).

A text of GSM 03.38 characters only is encoded in septets, 160 in a single message. Any other character makes the whole
text UCS-2, with 70 code units in a single message. A longer text is divided into parts of 153 septets or 67 code units,
because each part has a header. A part never ends inside an escape pair or a surrogate pair. National language tables
are not used, because the gateways do not support them. A text is counted as it is: `Template.render` has normalized it.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

__all__ = [
    "GSM7_ALPHABET",
    "GSM7_ESCAPE",
    "GSM7_EXTENSION",
    "Encoding",
    "SmsSize",
    "characters_outside_gsm7",
    "count_segments",
    "measure",
]

GSM7_ESCAPE: Final = "\x1b"
GSM7_ALPHABET: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ" + GSM7_ESCAPE + "ÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet by code, 0 to 127. The escape at 27 is not a character of a text."""
GSM7_EXTENSION: Final[Mapping[str, int]] = {
    "\f": 10, "^": 20, "{": 40, "}": 41, "\\": 47, "[": 60, "~": 61, "]": 62, "|": 64, "€": 101
}  # fmt: skip
"""The characters of the extension table, with the code that follows the escape: two septets each."""
_GSM7: Final = (frozenset(GSM7_ALPHABET) - {GSM7_ESCAPE}) | frozenset(GSM7_EXTENSION)

_EXTENDED: Final = re.compile(f"[{re.escape(''.join(GSM7_EXTENSION))}]")
_BEYOND_BMP: Final = re.compile("[\U00010000-\U0010ffff]")
"""The characters that take two units of their encoding."""

_GSM7_SINGLE, _GSM7_PART = 160, 153
_UCS2_SINGLE, _UCS2_PART = 70, 67


class Encoding(StrEnum):
    """How the characters of a text are encoded."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


class SmsSize(msgspec.Struct, frozen=True):
    """The size of a text. `units` are septets of GSM-7 or code units of UCS-2; `segments` is what is billed."""

    encoding: Encoding
    units: int
    segments: int

    @property
    def bytes(self) -> int:
        """The size in bytes: one for a septet, which is not packed here, and two for a code unit."""
        return self.units if self.encoding is Encoding.GSM7 else 2 * self.units


def measure(text: str) -> SmsSize:
    """Return the size of a text; an empty text is one segment too."""
    if _GSM7.issuperset(text):
        encoding, single, part, wide = Encoding.GSM7, _GSM7_SINGLE, _GSM7_PART, _EXTENDED
    else:
        encoding, single, part, wide = Encoding.UCS2, _UCS2_SINGLE, _UCS2_PART, _BEYOND_BMP
    if not wide.search(text):
        return SmsSize(encoding, len(text), 1 if len(text) <= single else -(-len(text) // part))
    widths = [2 if wide.match(char) else 1 for char in text]
    return SmsSize(encoding, sum(widths), _parts(widths, single, part))


def count_segments(text: str) -> int:
    """Return for how many segments gateways charge a text."""
    return measure(text).segments


def characters_outside_gsm7(text: str) -> str:
    """Return the characters of the text that GSM 03.38 does not have, each once."""
    return "".join(dict.fromkeys(char for char in text if char not in _GSM7))


def _parts(widths: list[int], single: int, part: int) -> int:
    """Count the parts; a character that does not fit into one as a whole begins the next."""
    if sum(widths) <= single:
        return 1
    count, free = 1, part
    for width in widths:
        if width > free:
            count, free = count + 1, part
        free -= width
    return count
