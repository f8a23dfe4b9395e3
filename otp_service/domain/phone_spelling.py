"""How the text of a phone number is written: its digits, in the groups and with the separators that people type.

Only digits, one plus in front, and separators are a spelling: white space, dashes, dots, slashes and brackets. Any
other character makes it none. A `tel:` URI (RFC 3966) is read too.

A few digits behind a complete number are not a part of it: spreadsheets append `.0`, address books ` (2)`, people write
a second ending as `/8`. Read as one number, each of these is a stranger's. `Spelling.tails` gives the places
where such a tail may begin. The caller refuses the text if what stands in front of one of them is a valid number by
itself; if it is not, then the digits belong together (`0171/1234567`, `06.12.34.56.78`, `8 (912) 345-67-89`).
A tail may begin:

- behind a slash, a bracket or a line end, whatever its length: these separate whole numbers and endings of them;
- behind seven or more digits in one piece: who groups digits does it from the start;
- behind a dash or a dot, if only groups of one or two digits follow;
- behind a space, if one or two digits follow. Two pairs in a row are the exception, since `0664 123 45 67`
  is how Austrians and Finns write, and 0664 123 45 is a valid number to libphonenumber.

A number whose digits all stand alone behind one and the same separator (`0-8-1-2-...`) has no tail.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from otp_service.domain.typed_text import LINE_END, normalize_typed

__all__ = ["Spelling"]

_FULL_WIDTH: Final = str.maketrans("\uff0b\uff0e\uff0f\uff08\uff09\uff3b\uff3d", "+./()[]")
_SEPARATORS: Final = f" {LINE_END}-./()[]"
_STRONG: Final = frozenset(f"{LINE_END}/()[]")
_BODY: Final = re.compile(r"[0-9 \n./()\[\]-]*")
_GROUP: Final = re.compile(r"[0-9]+")

# A global phone-context is the front of the number; any other parameter (ext, isub, a domain as context) names
# something else than a plain number: no match, and the letters are refused.
_TEL_URI: Final = re.compile(r"tel:([^;]*)(?:;phone-context=(\+[1-9][0-9().-]*))?", re.IGNORECASE)

_ONE_PIECE: Final = 7
_SHORT: Final = 2


@dataclass(frozen=True, slots=True, repr=False)
class Spelling:
    """The groups of digits of a number, and what stands between them (one less)."""

    plus: bool
    groups: tuple[str, ...]
    separators: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read a text of bounded length; None if it is not the spelling of a number."""
        plain = normalize_typed(text).translate(_FULL_WIDTH).strip(_SEPARATORS)
        if uri := _TEL_URI.fullmatch(plain):
            plain = (f"{uri[2] or ''}-{uri[1]}").strip(_SEPARATORS)
        plus = plain.startswith("+")
        body = plain[plus:].strip(_SEPARATORS)
        groups = tuple(_GROUP.findall(body))
        if not groups or not _BODY.fullmatch(body) or (plus and body.startswith("0")):
            return None
        return cls(plus, groups, tuple(_GROUP.split(body)[1:-1]))

    def dialled(self, groups: int | None = None) -> str:
        """Give the digits of the first `groups` groups, or of all, behind the plus."""
        return "+" * self.plus + "".join(self.groups[:groups])

    def tails(self) -> list[int]:
        """Give each number of groups behind which a tail may begin."""
        if self._digit_by_digit():
            return []
        return [place for place in range(1, len(self.groups)) if self._may_end(place)]

    def short_tail(self, place: int) -> bool:
        """Whether only groups of one or two digits stand behind `place`."""
        return all(len(group) <= _SHORT for group in self.groups[place:])

    def _digit_by_digit(self) -> bool:
        return len(set(self.separators)) == 1 and all(len(group) == 1 for group in self.groups)

    def _may_end(self, place: int) -> bool:
        before, separator, tail = self.groups[place - 1], self.separators[place - 1], self.groups[place:]
        if len(before) >= _ONE_PIECE or not _STRONG.isdisjoint(separator):
            return True
        if not self.short_tail(place):
            return False
        return bool(separator.strip()) or (len("".join(tail)) <= _SHORT and not self._pairs(place))

    def _pairs(self, place: int) -> bool:
        """Whether two pairs of digits meet at `place`, with nothing but spaces around the first."""
        pairs = len(self.groups[place - 1]) == len(self.groups[place]) == _SHORT
        return pairs and place > 1 and not self.separators[place - 2].strip()
