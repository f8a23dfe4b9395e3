"""The spelling of a phone number: its digits, in the groups and with the separators that people type.

A spelling consists of digits, at most one plus at its start, and separators: white space, dashes, dots, slashes and
brackets. A text with any other character is not a spelling. A `tel:` URI (RFC 3966) is read too.

A few digits after a complete number (a tail) are not part of it: spreadsheets append `.0`, address books ` (2)`, and
people write a second extension as `/8`. Read as one number, each of these would be another person's.
`Spelling.tail_positions` gives the positions where a tail can begin. The caller refuses the text if the digits before
such a position are a valid number by themselves. If they are not, all digits belong together (`0171/1234567`,
`06.12.34.56.78`, `8 (912) 345-67-89`). A tail can begin:

- after a slash, a bracket or a line end, whatever its length, because these separate whole numbers;
- after seven or more digits in one group, because people who group digits do it from the start;
- after a dash or a dot, if only groups of one or two digits follow;
- after a space, if one or two digits follow. Two pairs in a row are the exception: Austrians and Finns write
  `0664 123 45 67`, and 0664 123 45 is a valid number for libphonenumber.

A number whose digits are all single, with the same separator (`0-8-1-2-...`), has no tail.
"""

import re
from typing import Final, Self

from otp_service.domain.secret import MaskedStruct
from otp_service.domain.typed_text import LINE_END, normalize_typed

__all__ = ["Spelling"]

_FULL_WIDTH: Final = str.maketrans("\uff0b\uff0e\uff0f\uff08\uff09\uff3b\uff3d", "+./()[]")
_SEPARATORS: Final = f" {LINE_END}-./()[]"
_NUMBER_SEPARATORS: Final = frozenset(f"{LINE_END}/()[]")
_BODY: Final = re.compile(r"[0-9 \n./()\[\]-]*")
_GROUP: Final = re.compile(r"[0-9]+")

# A global phone-context is the start of the number. Any other parameter (ext, isub, a domain as context) means that it
# is not a plain number: the URI does not match, and its letters are refused.
_TEL_URI: Final = re.compile(r"tel:([^;]*)(?:;phone-context=(\+[1-9][0-9().-]*))?", re.IGNORECASE)

_LONG_GROUP: Final = 7
_SHORT_GROUP: Final = 2


class Spelling(MaskedStruct, frozen=True):
    """The groups of digits of a number, and the separators between them."""

    plus: bool
    groups: tuple[str, ...]
    separators: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a text, whose length the caller has bounded; None if it is not the spelling of a number."""
        plus, digits = text.startswith("+"), text.removeprefix("+")
        if digits.isascii() and digits.isdecimal():  # as programs write numbers: there is nothing to normalize
            return None if plus and digits[0] == "0" else cls(plus, (digits,), ())
        plain = normalize_typed(text).translate(_FULL_WIDTH).strip(_SEPARATORS)
        if uri := _TEL_URI.fullmatch(plain):
            plain = (f"{uri[2] or ''}-{uri[1]}").strip(_SEPARATORS)
        plus = plain.startswith("+")
        body = plain[plus:].strip(_SEPARATORS)
        groups = tuple(_GROUP.findall(body))
        if not groups or not _BODY.fullmatch(body) or (plus and body.startswith("0")):
            return None
        return cls(plus, groups, tuple(_GROUP.split(body)[1:-1]))

    def __repr__(self) -> str:
        """Hide the digits."""
        return "Spelling()"

    def dialed(self, groups: int | None = None) -> str:
        """Return the digits of the first `groups` groups, or of all, with the plus before them if there is one."""
        return "+" * self.plus + "".join(self.groups[:groups])

    def tail_positions(self) -> list[int]:
        """Return each number of groups after which a tail can begin."""
        if len(self.groups) == 1 or self._has_single_digits():
            return []
        return [position for position in range(1, len(self.groups)) if self._can_end_at(position)]

    def has_short_tail(self, position: int) -> bool:
        """Return whether only groups of one or two digits follow after `position` groups."""
        return all(len(group) <= _SHORT_GROUP for group in self.groups[position:])

    def _has_single_digits(self) -> bool:
        return len(set(self.separators)) == 1 and all(len(group) == 1 for group in self.groups)

    def _can_end_at(self, position: int) -> bool:
        before, separator, tail = self.groups[position - 1], self.separators[position - 1], self.groups[position:]
        if len(before) >= _LONG_GROUP or not _NUMBER_SEPARATORS.isdisjoint(separator):
            return True
        if not self.has_short_tail(position):
            return False
        return bool(separator.strip()) or (len("".join(tail)) <= _SHORT_GROUP and not self._is_between_pairs(position))

    def _is_between_pairs(self, position: int) -> bool:
        """Return whether the groups before and after `position` are pairs, with only spaces around the first."""
        pairs = len(self.groups[position - 1]) == len(self.groups[position]) == _SHORT_GROUP
        return pairs and position > 1 and not self.separators[position - 2].strip()
