"""Digits after a complete number never make it another number, and real spellings are still read."""

import re

import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from otp_service.domain.phone import SUPPORTED_COUNTRIES, PhoneInvalid, PhoneNumber, parse

WITH_TAIL = [
    ("6281210100055.0", "ID"),
    ("081210100055.0", "ID"),
    ("+6281210100055.0", "ID"),
    ("006281210100055.0", "ID"),
    ("081210100055.00", "ID"),
    ("0811-1234-567.0.0", "ID"),
    ("081210100055,0", "ID"),
    ("6.281210100055E+12", "ID"),
    ("081210100055 (2)", "ID"),
    ("081210100055(2)", "ID"),
    ("081210100055 [2]", "ID"),
    ("081210100055（２）", "ID"),
    ("08111234567(2)(3)", "ID"),
    ("081210100055 - 1", "ID"),
    ("081210100055-1", "ID"),
    ("081210100055 – 1", "ID"),
    ("081210100055－１", "ID"),
    ("0812-1010-0055-1", "ID"),
    ("0811-1234-567-8", "ID"),
    ("0811.1234.567.8", "ID"),
    ("0812-345-6789-01", "ID"),
    ("0811-1234-567/8", "ID"),
    ("0811-1234-567 / 8", "ID"),
    ("0811-1234-567／８", "ID"),
    ("0811-1234-567/8/9", "ID"),
    ("0811-1234-56/7-8-9", "ID"),
    ("0811-123-456/789", "ID"),
    ("0811123456 (789)", "ID"),
    ("0811123456-789", "ID"),
    ("0811123456\n789", "ID"),
    ("0811 123 456\n789", "ID"),
    ("0811 123 456\t78", "ID"),
    ("081210100055 2", "ID"),
    ("0811 1234 567 8", "ID"),
    ("0811 1234 567 8 9", "ID"),
    ("081210100055\u200b/\u200b5", "ID"),
    ("tel:+62-811-1234-567/8", "ID"),
    ("tel:8;phone-context=+62-811-1234-567", "ID"),
    ("+43 664 1234567-8", "ID"),
    ("0664/1234567-89", "AT"),
    ("0664 1234567 12 34", "AT"),
    ("040 1234567/8", "FI"),
    ("0170 1234567/8", "DE"),
    ("347 123 4567 (1)", "IT"),
    ("347 123 456.0", "IT"),
    ("021 123 4567-8", "NZ"),
]
"""(Input, country): read as one number, each of these would be another person's number."""

REAL_SPELLINGS = [
    ("0812-1010-0055", "ID", "+6281210100055"),
    ("0812.1010.0055", "ID", "+6281210100055"),
    ("0812/1010/0055", "ID", "+6281210100055"),
    ("[62] 812/1010/0055", "ID", "+6281210100055"),
    ("6208121010 0055", "ID", "+6281210100055"),
    ("6.281.210.100.055", "ID", "+6281210100055"),
    ("0811-123-456-789", "ID", "+62811123456789"),
    ("0857 12 34 56 78", "ID", "+6285712345678"),
    ("0812-1010\n-0055", "ID", "+6281210100055"),
    ("0-8-1-2-1-0-1-0-0-0-5-5", "ID", "+6281210100055"),
    ("0 8 1 2 1 0 1 0 0 0 5 5", "ID", "+6281210100055"),
    ("62811123456", "ID", "+62811123456"),
    ("0171/1234567", "DE", "+491711234567"),
    ("0151/23456789", "DE", "+4915123456789"),
    ("0176 123 456 78", "DE", "+4917612345678"),
    ("0171 12 34 567", "DE", "+491711234567"),
    ("4915036381289", "DE", "+4915036381289"),
    ("06 12 34 56 78", "FR", "+33612345678"),
    ("06.12.34.56.78", "FR", "+33612345678"),
    ("06-12-34-56-78", "FR", "+33612345678"),
    ("06/12/34/56/78", "FR", "+33612345678"),
    ("+33 (0)6.12.34.56.78", "ID", "+33612345678"),
    ("0475/12.34.56", "BE", "+32475123456"),
    ("0475 12 34 56", "BE", "+32475123456"),
    ("621 12 34 56", "LU", "+352621123456"),
    ("621-12-34-56", "LU", "+352621123456"),
    ("20 12 34 56", "DK", "+4520123456"),
    ("20-12-34-56", "DK", "+4520123456"),
    ("0532 123 45 67", "TR", "+905321234567"),
    ("0(532) 123-45-67", "TR", "+905321234567"),
    ("8 (912) 345-67-89", "RU", "+79123456789"),
    ("+7 912 345-67-89", "ID", "+79123456789"),
    ("0664 123 45 67", "AT", "+436641234567"),
    ("0664/123 45 67", "AT", "+436641234567"),
    ("+43 (0)664 123 45 67", "AT", "+436641234567"),
    ("0664/1234567", "AT", "+436641234567"),
    ("040 123 45 67", "FI", "+358401234567"),
    ("040-123 45 67", "FI", "+358401234567"),
    ("040-1234567", "FI", "+358401234567"),
    ("079 123 45 67", "CH", "+41791234567"),
    ("070-123 45 67", "SE", "+46701234567"),
    ("347/1234567", "IT", "+393471234567"),
    ("347 12 34 567", "IT", "+393471234567"),
    ("021 12 34 56 78", "NZ", "+642112345678"),
    ("(650) 253-0000", "US", "+16502530000"),
    ("1.650.253.0000", "US", "+16502530000"),
]
"""(Spelling that is common in the country, country, number)."""


@pytest.mark.parametrize(("text", "country"), WITH_TAIL)
def test_a_tail_is_refused(text: str, country: str) -> None:
    """The `.0` of a spreadsheet, the ` (2)` of an address book or a second extension is refused."""
    with pytest.raises(PhoneInvalid):
        parse(text, country)


@pytest.mark.parametrize(("text", "country", "e164"), REAL_SPELLINGS)
def test_a_real_spelling_is_read(text: str, country: str, e164: str) -> None:
    """Pairs, slashes after an area code, and brackets are read if the number is not complete before them."""
    assert parse(text, country).e164 == e164


def _lengths(country: str) -> tuple[int, ...]:
    metadata = PhoneMetadata.metadata_for_region(country)
    assert metadata and metadata.mobile and metadata.general_desc
    return tuple(metadata.mobile.possible_length or metadata.general_desc.possible_length)


def _example(country: str) -> str:
    number = phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE)
    return phonenumbers.national_significant_number(number) if number else ""


EXAMPLES = {country: example for country in sorted(SUPPORTED_COUNTRIES) if (example := _example(country))}
VARIABLE = [country for country in EXAMPLES if len(_lengths(country)) > 1]
FORMATS = [
    PhoneNumberFormat.NATIONAL,
    PhoneNumberFormat.INTERNATIONAL,
    PhoneNumberFormat.E164,
    PhoneNumberFormat.RFC3966,
]

_DIGITS = "0123456789"
_ENDS = st.text(_DIGITS, min_size=1, max_size=2)
_TAIL = st.one_of(
    st.builds(
        "{}{}".format, st.sampled_from([".", "/", "-", " - ", " / ", "–", "—", "－", "．", "／", "\t", "\n"]), _ENDS
    ),
    st.builds("{}{}{}".format, st.sampled_from(["(", " (", "[", " [", "（"]), _ENDS, st.sampled_from([")", "]", ""])),
    st.builds(" {}".format, _ENDS),
)


@st.composite
def _numbers(draw: st.DrawFn, countries: list[str]) -> tuple[PhoneNumber, str]:
    country = draw(st.sampled_from(countries))
    length = draw(st.sampled_from(_lengths(country)))
    start = EXAMPLES[country][: draw(st.integers(2, 5))]
    national = start + draw(
        st.text(_DIGITS, min_size=max(0, length - len(start)), max_size=max(0, length - len(start)))
    )
    try:
        number = parse(f"+{phonenumbers.country_code_for_region(country)}{national}", "")
    except PhoneInvalid:
        assume(False)
        raise
    return number, country


def _spellings(number: PhoneNumber) -> list[str]:
    found = phonenumbers.parse(number.e164)
    written = [phonenumbers.format_number(found, spelling) for spelling in FORMATS]
    return [*written, number.e164[1:], re.sub(r"\D", "", written[0])]


@settings(deadline=None, max_examples=400)
@given(known=_numbers(VARIABLE), spelling=st.integers(0, 5), tails=st.lists(_TAIL, min_size=1, max_size=3))
def test_no_tail_makes_another_number(known: tuple[PhoneNumber, str], spelling: int, tails: list[str]) -> None:
    """In every country whose mobile numbers have several lengths, a number with a tail is refused."""
    number, country = known
    text = _spellings(number)[spelling]
    assume(parse(text, country) == number)
    longer = text + "".join(tails)
    assume(not re.search(r" \d\d \d\d$", longer))  # two pairs in a row are a real spelling
    with pytest.raises(PhoneInvalid):
        parse(longer, country)


@settings(deadline=None, max_examples=400)
@given(known=_numbers(list(EXAMPLES)), spelling=st.integers(0, 5), separator=st.sampled_from([None, " ", "-", "."]))
def test_the_usual_formats_have_no_tail(known: tuple[PhoneNumber, str], spelling: int, separator: str | None) -> None:
    """In every country the formats of libphonenumber are read, also with another separator."""
    number, country = known
    text = _spellings(number)[spelling]
    assume(number.mobile and number.country == country)
    if separator and not text.startswith("tel:"):
        text = re.sub(r"[ -]+", separator, text)
    assert parse(text, country) == number


def test_important_numbering_plans_are_included() -> None:
    """Indonesia, Austria, Finland, Germany, Italy and New Zealand have mobile numbers of several lengths."""
    assert {"ID", "AT", "FI", "DE", "IT", "NZ"} <= set(VARIABLE)
    assert len(VARIABLE) > 25
