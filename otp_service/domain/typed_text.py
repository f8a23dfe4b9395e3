"""Normalizes text that people type or paste: phone numbers, codes and configured secrets.

Contact apps, chats, web pages and spreadsheets put invisible characters into a text: direction marks, zero-width
spaces, soft hyphens, variation selectors, a BOM, tabs and line ends. People cannot remove what they cannot see, so
these are dropped. A visible character that is neither a digit nor a known separator is not changed; the caller refuses
it.
"""

import unicodedata
from typing import Final

__all__ = ["LINE_END", "join_pem_lines", "normalize_typed", "strip_invisible"]

LINE_END: Final = "\n"
"""Replaces every white space that ends a line or a table cell. Other white space becomes a space."""

# Unicode's White_Space. Only Python's str.isspace adds U+001C-001F: they are control characters, and are refused.
_LINE_ENDS: Final = "\t\n\v\f\r\x85\u2028\u2029"
_SPACES: Final = " \u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

# Used as dashes, but not in the Unicode category Pd: hyphen bullet, modifier minus, minus, box drawing line, and the
# long vowel marks that a Japanese keyboard types instead of a dash.
_DASHES: Final = "\u02d7\u2043\u2212\u2500\u30fc\uff70"

_DEFAULT_IGNORABLE: Final = (
    range(0x00AD, 0x00AE),
    range(0x034F, 0x0350),
    range(0x061C, 0x061D),
    range(0x115F, 0x1161),
    range(0x17B4, 0x17B6),
    range(0x180B, 0x1810),
    range(0x200B, 0x2010),
    range(0x202A, 0x202F),
    range(0x2060, 0x2070),
    range(0x3164, 0x3165),
    range(0xFE00, 0xFE10),
    range(0xFEFF, 0xFF00),
    range(0xFFA0, 0xFFA1),
    range(0xFFF0, 0xFFF9),
    range(0x1BCA0, 0x1BCA4),
    range(0x1D173, 0x1D17B),
    range(0xE0000, 0xE1000),
)
"""Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), including unassigned ones."""

_ASCII: Final = str.maketrans(dict.fromkeys(_LINE_ENDS, LINE_END))


def normalize_typed(text: str) -> str:
    """Drop invisible characters, and replace white space, dashes and the digits of any script with ASCII.

    Takes linear time; the caller bounds the length of the text first.
    """
    if text.isascii():
        return text.translate(_ASCII)
    return "".join(map(_normalize_char, text))


def strip_invisible(text: str) -> str:
    """Remove white space and invisible characters at both ends only."""
    first, end = 0, len(text)
    while first < end and _is_invisible(text[first]):
        first += 1
    while end > first and _is_invisible(text[end - 1]):
        end -= 1
    return text[first:end]


def join_pem_lines(text: str) -> str:
    r"""Return a PEM with one line end after each line.

    In environment variables line ends may be doubled, or the two characters `\n`.
    """
    unescaped = text.replace("\\r", "").replace("\\n", "\n").replace("\\", "")
    return "\n".join(filter(None, map(str.strip, unescaped.splitlines())))


def _is_invisible(char: str) -> bool:
    return _normalize_char(char) in ("", " ", LINE_END)


def _normalize_char(char: str) -> str:
    if char in _SPACES:
        return " "
    if char in _LINE_ENDS:
        return LINE_END
    category = unicodedata.category(char)
    if category == "Cf" or any(ord(char) in ignorable for ignorable in _DEFAULT_IGNORABLE):
        return ""
    if category == "Pd" or char in _DASHES:
        return "-"
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)
