"""Any spelling of a phone number becomes one recipient.

All budgets count per recipient, so two spellings of one number must never become two recipients
(`0812..`, `62812..`, `+62 (0) 812..` and `0062812..` are one). libphonenumber's port knows the
numbering plans; this module decides what may reach it, because libphonenumber looks for a number
*in* a text: it drops extensions, dials letters (`0812-CALL`) and skips what it does not know.
Here the whole text is the number or it is refused, and libphonenumber sees ASCII digits only,
behind at most one plus.

A text without a plus is read by the numbering plan of `country` and by no other: `6281210100055`
is Indonesian for `ID` (libphonenumber takes its own country code off), invalid for `SG`, and for
`DE`, where that is a subscriber of the area 6281, a fixed line. A text with a plus, or with `00` and
a country code, reads the same in every country.

Whether a number may be sent to (mobile, an allowed country) is decided elsewhere. Nothing is
cached: a cache would keep numbers in memory.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import phonenumbers

MAX_INPUT: Final = 64
"""Characters of the longest text that is looked at; the longest tel: URI of use is well below."""

SUPPORTED_COUNTRIES: Final[frozenset[str]] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 alpha-2 codes (and XK, AC, TA) whose national spellings can be read."""

# Every space with a width, every dash with ink, dots, slashes and brackets. Invisible characters
# (zero width, direction marks, soft hyphen) and controls are not spelling: they are refused.
_SPACES: Final = " \u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_DASHES: Final = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\ufe58\ufe63\uff0d"
_DOTS: Final = "./\uff0e\uff0f"
_BRACKETS: Final = "()[]\uff08\uff09\uff3b\uff3d"
_SPELLING: Final = str.maketrans("\uff0b", "+", _SPACES + _DASHES + _DOTS + _BRACKETS)

# RFC 3966. A global phone-context is the front of the number; any other parameter (ext, isub, a
# domain as context) names something else than a plain number: no match, and the letters are refused.
_TEL_URI: Final = re.compile(r"tel:([^;]*)(?:;phone-context=(\+[1-9][0-9().-]*))?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\+[1-9][0-9]*|[0-9]+")
_LEADING_00: Final = re.compile(r"\A00(?=[1-9])")

_TYPES: Final = {
    kind: phonenumbers.PhoneNumberType.to_string(kind).lower() for kind in phonenumbers.PhoneNumberType.values()
}
_MOBILE_TYPES: Final = frozenset({"mobile", "fixed_line_or_mobile"})
_BLOCK_DIGITS: Final = 4


class PhoneInvalid(Exception):
    """The text is not one valid phone number. The message never carries what was given."""


@dataclass(frozen=True, slots=True, repr=False)
class PhoneNumber:
    """A valid number. `repr` and `masked` are the only forms fit for a log or a 202 reply."""

    e164: str
    """`+6281210100055`: the recipient's one identity."""
    country: str
    """ISO 3166 alpha-2 of the number itself, or `001` where it belongs to no country (satellite)."""
    national_digits: str
    """The digits after the country code, with the zeros that belong to them (Italy)."""
    type: str
    """libphonenumber's kind in snake case: mobile, fixed_line, fixed_line_or_mobile, premium_rate,
    toll_free, shared_cost, voip, personal_number, pager, uan, voicemail."""

    @property
    def national(self) -> str:
        """`0812-1010-0055`: how people of that country write it. Worked out on demand (35 us)."""
        found = phonenumbers.parse(self.e164)
        return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.NATIONAL)

    @property
    def mobile(self) -> bool:
        """Whether libphonenumber calls it mobile; in some plans (NANP) it cannot tell from fixed."""
        return self.type in _MOBILE_TYPES

    @property
    def masked(self) -> str:
        """`+62812*****055`: at most six national digits, at most half of them (rounded up), and four stars."""
        digits = self.national_digits
        shown = max(0, min(6, (len(digits) + 1) // 2, len(digits) - 4))
        head, tail = shown // 2, len(digits) - (shown + 1) // 2
        return self.e164.removesuffix(digits) + digits[:head] + "*" * (tail - head) + digits[tail:]

    @property
    def block(self) -> str:
        """The number less its last four digits: what the `prefix` limit counts."""
        return self.e164[:-_BLOCK_DIGITS]

    def __repr__(self) -> str:
        return f"PhoneNumber({self.masked})"


def parse(text: str, country: str) -> PhoneNumber:
    """The one number that `text` spells; `country` (of SUPPORTED_COUNTRIES) reads national forms, "": there are none.

    Raises PhoneInvalid, and nothing else, for any other text: longer than 64 characters, with a
    letter, an extension or a control character, not valid in its numbering plan; and for an
    unknown country.
    """
    if len(text) > MAX_INPUT:
        raise PhoneInvalid("The text is too long for a phone number.")
    if country and country not in SUPPORTED_COUNTRIES:
        raise PhoneInvalid("The country has no known numbering plan.")
    dialled = _dialled(text)
    if not country and not dialled.startswith("+"):
        raise PhoneInvalid("Without a country a number is read only with its + and country code.")
    try:
        # With a plus the default region may not help: libphonenumber would fall back to it.
        found = phonenumbers.parse(dialled, None if dialled.startswith("+") else country)
    except phonenumbers.NumberParseException:
        raise PhoneInvalid("This is not a valid phone number.") from None
    if not phonenumbers.is_valid_number(found):
        raise PhoneInvalid("This is not a valid phone number.")
    return _described(found)


def _dialled(text: str) -> str:
    """ASCII digits, behind a plus where the spelling is international."""
    if uri := _TEL_URI.fullmatch(text):
        text = (uri[2] or "") + uri[1]
    bare = text.translate(_SPELLING)
    if not bare.isascii():
        bare = "".join(map(_ascii_digit, bare))
    bare = _LEADING_00.sub("+", bare)
    if not _NUMBER.fullmatch(bare):
        raise PhoneInvalid("A phone number is digits, without letters or an extension.")
    return bare


def _ascii_digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


def _described(found: phonenumbers.PhoneNumber) -> PhoneNumber:
    return PhoneNumber(
        e164=phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164),
        country=phonenumbers.region_code_for_number(found) or phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY,
        national_digits=phonenumbers.national_significant_number(found),
        type=_TYPES[phonenumbers.number_type(found)],
    )
