"""Properties of phone parsing: one recipient per number, no error but PhoneInvalid, a mask that hides enough."""

import re
from itertools import zip_longest

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otp_service.domain.phone import SUPPORTED_COUNTRIES, PhoneInvalid, PhoneNumber, mask, national_digits, parse


def _examples() -> list[str]:
    found = (
        phonenumbers.example_number_for_type(country, kind)
        for country in SUPPORTED_COUNTRIES
        for kind in phonenumbers.PhoneNumberType.values()
    )
    e164 = phonenumbers.PhoneNumberFormat.E164
    return sorted({phonenumbers.format_number(number, e164) for number in found if number})


def _shows_too_much(number: PhoneNumber) -> bool:
    country_code = number.e164.removesuffix(number.national_digits)
    shown = len(re.sub(r"\D", "", number.masked.removeprefix(country_code)))
    stars, digits = number.masked.count("*"), len(number.national_digits)
    return shown > 6 or stars < 4 or shown > (digits + 1) // 2 or shown + stars != digits


def test_the_mask_hides_enough() -> None:
    """In every country at least four digits and half of the number are hidden, also in its repr."""
    numbers = [parse(text, "ID") for text in _examples()]
    assert len(numbers) > 900
    assert [number.masked for number in numbers if _shows_too_much(number)] == []
    assert [number for number in numbers if number.e164[1:] in repr(number) + str(number)] == []


def test_every_example_number_is_parsed() -> None:
    """In every country E.164, the form with 00, and the form with spaces give the same recipient."""
    for text in _examples():
        number = parse(text, "ID")
        spaced = "+" + " ".join(text[1:])
        assert number.e164 == text
        assert number == parse("00" + text[1:], "GB") == parse(spaced, "IT")


def test_a_stored_number_is_read_without_parsing_it_again() -> None:
    """For a number that was parsed once, its country code, its national digits and its mask are the same."""
    numbers = [parse(text, "ID") for text in _examples()]
    assert [national_digits(number.e164) for number in numbers] == [number.national_digits for number in numbers]
    assert [mask(number.e164) for number in numbers] == [number.masked for number in numbers]
    with pytest.raises(ValueError, match=r"E\.164"):
        national_digits("+99900000")


_IDS = st.from_regex(r"8(?:12|13|21|52|55|57|78|95|96)[0-9]{7,8}", fullmatch=True)
_PREFIXES = st.sampled_from(["0", "", "62", "+62", "0062", "620", "+620", "00620", "(+62)", "+62 (0) ", "tel:+62-"])
_SEPARATORS = st.lists(st.sampled_from(["", "", "", " ", "-", ".", "/", "\u00a0", "\u2013", ") ", "("]), max_size=5)
"""Between the first digits only, because later groups can be a tail (test_phone_trailing_digits.py)."""
_ZEROS = st.sampled_from("0٠۰०０")


@settings(deadline=None)
@given(national=_IDS, prefix=_PREFIXES, separators=_SEPARATORS, zero=_ZEROS)
def test_prefixes_separators_and_scripts_do_not_change_the_recipient(
    national: str, prefix: str, separators: list[str], zero: str
) -> None:
    """Any prefix, any separators and the digits of any script give the same number."""
    spelled = "".join(digit + separator for digit, separator in zip_longest(national, separators, fillvalue=""))
    other_script = "".join(chr(ord(zero) + int(c)) if c in "0123456789" else c for c in prefix + spelled)
    assert parse(other_script, "ID").e164 == "+62" + national


_NEARLY = st.text(alphabet="0123456789+ -().;=٠١tel:phone-context", max_size=24)
_DIGITS = st.from_regex(r"(\+|00)?[0-9]{5,17}", fullmatch=True)


@settings(deadline=None, max_examples=400)
@given(text=st.one_of(st.text(), _NEARLY, _DIGITS), country=st.sampled_from(sorted(SUPPORTED_COUNTRIES)))
@example(text="tel:;phone-context=+62", country="ID")
@example(text="\udcff", country="ID")
@example(text=";phone-context=", country="ID")
def test_any_text_is_refused_or_parsed(text: str, country: str) -> None:
    """Any text is PhoneInvalid, or a number whose E.164 gives the same number; nothing else is raised."""
    try:
        number = parse(text, country)
    except PhoneInvalid:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{4,16}", number.e164)
    assert parse(number.e164, country) == parse(number.e164, "ID") == number
    assert not _shows_too_much(number)
