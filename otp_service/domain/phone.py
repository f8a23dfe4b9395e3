"""Parses a phone number in any spelling into one recipient.

All limits count per recipient. Two spellings of one number must therefore never become two recipients (`0812..`,
`62812..`, `+62 (0) 812..` and `0062812..` are one), and a spelling must never become another person's number.
libphonenumber's Python port knows the numbering plans. This module decides what it gets to parse, because it searches
for a number *in* a text: it drops extensions, translates letters (`0812-CALL`) and skips what it does not know. Here
the whole text is the number, or it is refused; libphonenumber gets only ASCII digits with at most one plus.

- Which characters are allowed, and which digits at the end are not part of the number: `phone_spelling`.
- Which digits replace the plus before a country code, by region: `international_prefix`.
- Which region and type a number has: `number_types`.

A text with a plus is read the same way for every country. A text without one is read by the numbering plan and the
prefixes of `country` only: `6281210100055` is Indonesian for `ID` (libphonenumber removes the country's own code),
invalid for `SG`, and a fixed line of the area 6281 for `DE`. `006281210100055` is valid where the international prefix
is 00: nearly everywhere, but not in the United States, for example.

Whether a number can receive a code (mobile, an allowed country) is decided in `tenant`. Nothing about a number is
cached, because a cache would keep numbers in memory.
"""

import contextlib
from collections.abc import Iterable
from typing import Final

import phonenumbers

from otp_service.domain.international_prefix import habitual_reading, international_readings
from otp_service.domain.number_types import may_have_national_prefix, region_and_type
from otp_service.domain.phone_spelling import Spelling
from otp_service.domain.secret import MaskedStruct

MAX_INPUT_CHARS: Final = 64
"""Longer texts are refused unread; every useful `tel:` URI is much shorter."""

SUPPORTED_COUNTRIES: Final[frozenset[str]] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 alpha-2 codes (and XK, AC, TA) whose national numbers can be parsed."""

_COUNTRY_CODES: Final = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
_MOBILE_TYPES: Final = frozenset({"mobile", "fixed_line_or_mobile"})
_BLOCK_DIGITS: Final = 4


class PhoneInvalid(Exception):
    """The text is not one valid phone number. The message says what to send, and never contains the text."""


class PhoneNumber(MaskedStruct, frozen=True):
    """A valid number. Only `repr` and `masked` may be logged or shown before the number is verified."""

    e164: str
    """In E.164 (`+6281210100055`): the identity of the recipient."""
    country: str
    """ISO 3166 alpha-2 of the number itself; `001` if it belongs to no country (satellite)."""
    national_digits: str
    """The digits after the country code, with leading zeros that are part of the number (Italy)."""
    type: str
    """libphonenumber's type in snake case: mobile, fixed_line, fixed_line_or_mobile, premium_rate,
    toll_free, shared_cost, voip, personal_number, pager, uan, voicemail."""

    @property
    def to(self) -> str:
        """What identifies the recipient; see `domain.recipient`."""
        return self.e164

    @property
    def national(self) -> str:
        """In national format (`0812-1010-0055`). Formatted on each access (35 us)."""
        found = phonenumbers.parse(self.e164)
        return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.NATIONAL)

    @property
    def mobile(self) -> bool:
        """Whether it can be mobile: in some plans (NANP) libphonenumber cannot tell mobile from fixed lines."""
        return self.type in _MOBILE_TYPES

    @property
    def masked(self) -> str:
        """`+62812*****055`: see `mask`."""
        return _mask(self.e164, self.national_digits)

    @property
    def block(self) -> str:
        """The number without its last four digits: what the `prefix` limit counts."""
        return number_block(self.e164)

    def __repr__(self) -> str:
        return f"PhoneNumber({self.masked})"


def number_block(e164: str) -> str:
    """Return the block of a number in E.164: the number without its last four digits."""
    return e164[:-_BLOCK_DIGITS]


def example_mobile(country: str) -> str:
    """Return an example of a mobile number of a country in E.164; "" if its plan has none."""
    number = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
    return "" if number is None else phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def national_digits(e164: str) -> str:
    """Return the digits after the country code of a number that `parse` has returned, without parsing it again.

    Country codes have one to three digits, and none begins with another.

    Raises:
        ValueError: The text begins with no country code.
    """
    for end in range(2, 5):
        if e164[1:end] in _COUNTRY_CODES:
            return e164[end:]
    raise ValueError("not a number in E.164")


def mask(e164: str) -> str:
    """Return `+62812*****055` for a number that `parse` has made: the form that may be shown.

    It has at most six national digits, at most half of them (rounded up), and at least four stars.
    """
    return _mask(e164, national_digits(e164))


def _mask(e164: str, digits: str) -> str:
    shown = max(0, min(6, (len(digits) + 1) // 2, len(digits) - 4))
    head, tail = shown // 2, len(digits) - (shown + 1) // 2
    return e164.removesuffix(digits) + digits[:head] + "*" * (tail - head) + digits[tail:]


def parse(text: str, country: str) -> PhoneNumber:
    """Parse the one number that `text` spells.

    Args:
        text: Any spelling.
        country: One of `SUPPORTED_COUNTRIES`, by which national numbers are read; "": only international ones are.

    Raises:
        PhoneInvalid: The text is longer than 64 characters; has a letter, an extension or a control character; has a
            tail after a complete number; is valid in no numbering plan, or in two. Also for an unknown country.
    """
    if len(text) > MAX_INPUT_CHARS:
        raise PhoneInvalid("The phone number is too long. Send one number, with nothing before or after it.")
    if country and country not in SUPPORTED_COUNTRIES:
        raise PhoneInvalid("The country must be an ISO 3166 alpha-2 code with a known numbering plan.")
    spelling = Spelling.parse(text)
    if spelling is None:
        raise PhoneInvalid("The phone number must consist of digits, without letters or an extension.")
    found = _read(spelling.dialed(), country)
    if not found:
        raise PhoneInvalid("The phone number is not valid. Check its digits, or send it with + and its country code.")
    if len(found) > 1:
        raise PhoneInvalid("The phone number is valid in two countries. Send it with + and its country code.")
    number = found[0]
    for position in spelling.tail_positions():
        if _is_complete_before(spelling, position, country, number):
            raise PhoneInvalid("More digits follow a complete phone number. Send one number only.")
    return number


def preload(countries: Iterable[str]) -> None:
    """Load the numbering plans of `countries`: otherwise the first number of each takes 1-9 ms longer.

    Unknown countries are skipped.
    """
    for country in SUPPORTED_COUNTRIES.intersection(countries):
        example = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
        if example is not None:
            with contextlib.suppress(PhoneInvalid):  # the example is ambiguous; its plan is loaded
                parse(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164), country)
                parse(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL), country)


def _is_complete_before(spelling: Spelling, position: int, country: str, whole: PhoneNumber) -> bool:
    """Return whether the first `position` groups are a number by themselves, and the others are a tail.

    If more than two digits follow, they are a tail only if the whole number begins with the part: `62 812/1010/0055` is
    a mobile number, although 62 812 1010 is a fixed line of the area 0628.
    """
    parts = _read(spelling.dialed(position), country)
    return any(spelling.has_short_tail(position) or whole.e164.startswith(part.e164) for part in parts)


def _read(dialed: str, country: str) -> list[PhoneNumber]:
    """Return every valid number that the digits can mean: two if the prefixes of `country` are ambiguous."""
    if dialed.startswith("+"):
        return _international(dialed)
    foreign = list(international_readings(dialed, country))
    if not foreign:
        return _national(dialed, country) if country else []
    found = [number for reading in foreign for number in _international(reading)]
    if country:  # the digits as a national number, without a prefix
        found += _international(f"+{phonenumbers.country_code_for_region(country)}{dialed}")
    if found:
        found += _international(habitual_reading(dialed))
    return [number for position, number in enumerate(found) if number not in found[:position]]


def _national(dialed: str, country: str) -> list[PhoneNumber]:
    """Read the digits by the plan of `country`.

    If they begin with its country code, a mobile number goes before a fixed line: 62811123456 means 0811-123-456 to
    every Indonesian, but to libphonenumber it is a fixed line of the area 062.
    """
    found = _parse_valid(dialed, country)
    if dialed.startswith(str(phonenumbers.country_code_for_region(country))) and not any(one.mobile for one in found):
        return [one for one in _international("+" + dialed) if one.mobile] or found
    return found


def _international(dialed: str) -> list[PhoneNumber]:
    """Read a plus and digits.

    If no national prefix can follow the country code, libphonenumber's `parse` would change nothing: it takes 40 calls.
    """
    try:
        digits = national_digits(dialed)
    except ValueError:
        return []
    country_code = int(dialed.removesuffix(digits))
    if may_have_national_prefix(country_code, digits):
        return _parse_valid(dialed, None)  # with a region, libphonenumber would also try that region
    return _valid(country_code, digits)


def _parse_valid(dialed: str, region: str | None) -> list[PhoneNumber]:
    try:
        number = phonenumbers.parse(dialed, region)
    except phonenumbers.NumberParseException:
        return []
    return _valid(number.country_code or 0, phonenumbers.national_significant_number(number))


def _valid(country_code: int, digits: str) -> list[PhoneNumber]:
    """Return the number with these national digits if it is valid in its plan."""
    found = region_and_type(country_code, digits)
    return [] if found is None else [PhoneNumber(f"+{country_code}{digits}", found[0], digits, found[1])]
