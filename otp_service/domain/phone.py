"""Any spelling of a phone number becomes one recipient.

All budgets count per recipient, so two spellings of one number must never become two recipients
(`0812..`, `62812..`, `+62 (0) 812..` and `0062812..` are one), and one spelling must never become another's number.
libphonenumber's port knows the numbering plans; this module decides what may reach it, because libphonenumber looks
for a number *in* a text: it drops extensions, dials letters (`0812-CALL`) and skips what it does not know. Here the
whole text is the number or it is refused, and libphonenumber sees ASCII digits only, behind at most one plus.

- What may be written, and which digits at the end are no part of the number: `phone_spelling`.
- What stands in front of a country code instead of a plus, per region: `international_prefix`.

A text with a plus reads the same in every country. A text without one is read by the numbering plan and the prefixes of
`country` and by no other: `6281210100055` is Indonesian for `ID` (libphonenumber takes its own country code off),
invalid for `SG`, and for `DE`, where that is a subscriber of the area 6281, a fixed line. `006281210100055` is
read where 00 is dialled to call abroad: nearly everywhere, but not in the United States, say.

Whether a number may be sent to (mobile, an allowed country) is decided elsewhere. Nothing is
cached: a cache would keep numbers in memory.
"""

from dataclasses import dataclass
from typing import Final

import phonenumbers

from otp_service.domain.international_prefix import habitual_reading, international_readings
from otp_service.domain.phone_spelling import Spelling

MAX_INPUT: Final = 64
"""Characters of the longest text that is looked at; the longest tel: URI of use is well below."""

SUPPORTED_COUNTRIES: Final[frozenset[str]] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 alpha-2 codes (and XK, AC, TA) whose national spellings can be read."""

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
    letter, an extension or a control character, with a tail behind a number, not valid in its numbering plan, or
    valid in two of them; and for an unknown country.
    """
    if len(text) > MAX_INPUT:
        raise PhoneInvalid("The text is too long for a phone number.")
    if country and country not in SUPPORTED_COUNTRIES:
        raise PhoneInvalid("The country has no known numbering plan.")
    spelling = Spelling.read(text)
    if spelling is None:
        raise PhoneInvalid("A phone number is digits, without letters or an extension.")
    found = _read(spelling.dialled(), country)
    if not found:
        raise PhoneInvalid("This is not a valid phone number.")
    if len(found) > 1:
        raise PhoneInvalid("This may be the number of two countries. Send it with + and its country code.")
    number = _described(found[0])
    if any(_complete(spelling, place, country, number) for place in spelling.tails()):
        raise PhoneInvalid("There are more digits behind a complete phone number. Send one number only.")
    return number


def _complete(spelling: Spelling, place: int, country: str, whole: PhoneNumber) -> bool:
    """Whether the groups in front of `place` are a number by themselves, and what follows is a tail.

    Behind more than two digits the whole must go on where the part ends: `62 812/1010/0055` is a mobile, although
    62 812 1010 is a fixed line of the area 0628.
    """
    parts = _read(spelling.dialled(place), country)
    return any(spelling.short_tail(place) or whole.e164.startswith(_e164(part)) for part in parts)


def _read(dialled: str, country: str) -> list[phonenumbers.PhoneNumber]:
    """Every valid number that the digits may stand for: two if a prefix of `country` leaves it open."""
    if dialled.startswith("+"):
        return _valid(dialled, None)  # with a region libphonenumber would fall back to it
    foreign = list(international_readings(dialled, country))
    if not foreign:
        return _national(dialled, country) if country else []
    found = [number for reading in foreign for number in _valid(reading, None)]
    if country:  # what libphonenumber would not take a prefix off
        found += _valid(f"+{phonenumbers.country_code_for_region(country)}{dialled}", None)
    if found:
        found += _valid(habitual_reading(dialled), None)
    return [number for place, number in enumerate(found) if number not in found[:place]]


def _national(dialled: str, country: str) -> list[phonenumbers.PhoneNumber]:
    """Read by the plan of `country`; its own country code without a plus leads to a mobile sooner than to a fixed line.

    62811123456 is 0811-123-456 for every Indonesian, and for libphonenumber a fixed line of the area 062.
    """
    found = _valid(dialled, country)
    if dialled.startswith(str(phonenumbers.country_code_for_region(country))) and not any(map(_is_mobile, found)):
        return list(filter(_is_mobile, _valid("+" + dialled, None))) or found
    return found


def _is_mobile(number: phonenumbers.PhoneNumber) -> bool:
    return _TYPES[phonenumbers.number_type(number)] in _MOBILE_TYPES


def _valid(dialled: str, region: str | None) -> list[phonenumbers.PhoneNumber]:
    try:
        number = phonenumbers.parse(dialled, region)
    except phonenumbers.NumberParseException:
        return []
    return [number] if phonenumbers.is_valid_number(number) else []


def _described(found: phonenumbers.PhoneNumber) -> PhoneNumber:
    return PhoneNumber(
        e164=_e164(found),
        country=phonenumbers.region_code_for_number(found) or phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY,
        national_digits=phonenumbers.national_significant_number(found),
        type=_TYPES[phonenumbers.number_type(found)],
    )


def _e164(found: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)
