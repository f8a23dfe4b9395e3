"""What a text costs as SMS: septets and segments (3GPP 23.038 and 23.040).

A text of only GSM 03.38 characters travels as septets, 160 to a single message; any other character
makes the whole text UCS-2, 70 code units to a message. A longer text is cut into parts that lose
room to a header (153 and 67), and a part never ends inside an escape pair or a surrogate pair.
National language tables are not used: the gateways do not offer them.
"""

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
"""Behind an escape: two septets each."""
_GSM7: Final = _BASIC | _EXTENSION

_GSM7_SINGLE, _GSM7_PART = 160, 153
_UCS2_SINGLE, _UCS2_PART = 70, 67


def gsm7_length(text: str) -> int | None:
    """Septets of the text, two for an extension character; None where it is not GSM 03.38."""
    widths = _gsm7_widths(text)
    return None if widths is None else sum(widths)


def segments(text: str) -> int:
    """Messages the text is billed as, at least 1 (an empty text is sent as one)."""
    widths = _gsm7_widths(text)
    if widths is not None:
        return _parts(widths, _GSM7_SINGLE, _GSM7_PART)
    return _parts([2 if char > "\uffff" else 1 for char in text], _UCS2_SINGLE, _UCS2_PART)


def outside_gsm7(text: str) -> str:
    """The characters of the text that GSM 03.38 does not have, each once: any of them makes the whole text UCS-2."""
    return "".join(dict.fromkeys(char for char in text if char not in _GSM7))


def _gsm7_widths(text: str) -> list[int] | None:
    if not _GSM7.issuperset(text):
        return None
    return [2 if char in _EXTENSION else 1 for char in text]


def _parts(widths: list[int], single: int, part: int) -> int:
    """Fills one part after the other; a character that does not fit as a whole opens the next."""
    if sum(widths) <= single:
        return 1
    count, room = 1, part
    for width in widths:
        if width > room:
            count, room = count + 1, part
        room -= width
    return count
