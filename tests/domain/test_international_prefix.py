"""A number without a plus is read by the international prefixes of its region, or refused."""

import itertools

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from otp_service.domain.international_prefix import international_readings
from otp_service.domain.phone import SUPPORTED_COUNTRIES, PhoneInvalid, parse

SINGAPORE = "+6582345678"
JAKARTA = "+6281210100055"

READ = [
    ("001 65 8234 5678", "TH", SINGAPORE),
    ("001 65 8234 5678", "HK", SINGAPORE),
    ("001 65 8234 5678", "ID", SINGAPORE),
    ("001 65 8234 5678", "KH", SINGAPORE),
    ("001 65 8234 5678", "SG", SINGAPORE),
    ("001 65 8234 5678", "MN", SINGAPORE),
    ("0011 65 8234 5678", "AU", SINGAPORE),
    ("001 65 8234 5678", "DE", "+16582345678"),
    ("001-62-812-1010-0055", "TH", JAKARTA),
    ("001-62-812-1010-0055", "ID", JAKARTA),
    ("007 62 812 1010 0055", "ID", JAKARTA),
    ("008 62 812 1010 0055", "ID", JAKARTA),
    ("009 62 812 1010 0055", "ID", JAKARTA),
    ("017 62 812 1010 0055", "ID", JAKARTA),
    ("017 65 8234 5678", "ID", SINGAPORE),
    ("00 65 8234 5678", "ID", SINGAPORE),
    ("00 62 812 1010 0055", "ID", JAKARTA),
    ("00 (62) 0812 1010 0055", "ID", JAKARTA),
    ("00 84 91 234 56 78", "ID", "+84912345678"),
    ("00 86 138 0013 8000", "ID", "+8613800138000"),
    ("001 44 7911 123456", "HK", "+447911123456"),
    ("001 62 812 1010 0055", "HK", JAKARTA),
    ("00 86 138 0013 8000", "HK", "+8613800138000"),
    ("009 62 812 1010 0055", "NG", JAKARTA),
    ("011 62 812 1010 0055", "US", JAKARTA),
    ("010 62 812 1010 0055", "JP", JAKARTA),
    ("8 10 62 812 1010 0055", "RU", JAKARTA),
    ("810 62 812 1010 0055", "KZ", JAKARTA),
    ("012 62 812 1010 0055", "IL", JAKARTA),
    ("019 62 812 1010 0055", "SG", JAKARTA),
    ("000 62 812 1010 0055", "KE", JAKARTA),
    ("0015 62 812 1010 0055", "BR", JAKARTA),
    ("00700 62 812 1010 0055", "KR", JAKARTA),
    ("002 62 812 1010 0055", "TW", JAKARTA),
    ("00254 712 345678", "KE", "+254712345678"),
    ("0082 10 2345 6789", "KR", "+821023456789"),
    ("0065 8234 5678", "SG", SINGAPORE),
    ("0066 81 234 5678", "TH", "+66812345678"),
    ("0081 90 1234 5678", "JP", "+819012345678"),
    ("00 62 812 1010 0055", "MY", JAKARTA),
    ("00 62 812 1010 0055", "GB", JAKARTA),
    ("00 62 812 1010 0055", "", JAKARTA),
]
"""(Input, country, the number that it means there)."""

REFUSED = [
    ("001 415 555 2671", "US"),
    ("001 212 555 0123", "ID"),
    ("001 415 555 2671", ""),
    ("001 65 8234 5678", ""),
    ("001 65 8234 5678", "US"),
    ("001 65 8234 5678", "JP"),
    ("007 62 812 1010 0055", ""),
    ("007 62 812 1010 0055", "GB"),
    ("017 62 812 1010 0055", "MY"),
    ("00 62 812 1010 0055", "US"),
    ("00 62 812 1010 0055", "JP"),
    ("00 62 812 1010 0055", "TH"),
    ("011 62 812 1010 0055", "GB"),
    ("0081 90 1234 5678", "ID"),
    ("0049 151 23456789", "SG"),
    ("0049 151 23456789", "TH"),
    ("000 62 812 1010 0055", "ID"),
    ("00 0 62 812 1010 0055", "ID"),
]
"""(Input, country): the prefix is not one of that country, or the number is valid in two countries."""


@pytest.mark.parametrize(("text", "country", "e164"), READ)
def test_a_prefix_of_the_region_is_read(text: str, country: str, e164: str) -> None:
    """An international prefix of the region replaces the plus."""
    assert parse(text, country).e164 == e164


@pytest.mark.parametrize(("text", "country"), REFUSED)
def test_other_prefixes_are_refused(text: str, country: str) -> None:
    """A prefix of another region, and a text that is valid in two countries, are refused."""
    with pytest.raises(PhoneInvalid):
        parse(text, country)


PREFIXES = [
    "".join(digits)
    for length in range(1, 4)
    for digits in itertools.product("0123456789", repeat=length)
    if digits[0] in "0189"
] + [
    "0011",
    "0014",
    "0015",
    "00414",
    "00456",
    "00700",
    "00766",
    "14110011",
    "123000",
    "17900",
    "19100",
    "99111",
    "1230",
]


def _prefixes(country: str) -> list[str]:
    probe = "4779001234" if country == "SG" else "6581234567"
    return [text for text in PREFIXES if f"+{probe}" in international_readings(text + probe, country)]


def _numbers() -> list[str]:
    """Return a mobile number of every third country code, and some that begin like another prefix."""
    found = {
        metadata.country_code: phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE)
        for country in sorted(SUPPORTED_COUNTRIES)
        if (metadata := PhoneMetadata.metadata_for_region(country))
    }
    numbers = [phonenumbers.format_number(number, PhoneNumberFormat.E164) for number in found.values() if number]
    return [*numbers[::3], SINGAPORE, "+4915123456789", "+16582345678", "+819012345678", "+14155552671"]


@pytest.mark.parametrize(
    "country", ["ID", "TH", "HK", "SG", "KR", "BR", "AU", "US", "RU", "JP", "CL", "IL", "GB", "WS"]
)
def test_a_prefix_never_leads_to_another_number(country: str) -> None:
    """Each prefix of the region before a number of each country gives that number, or is refused."""
    wrong = []
    read = 0
    for prefix, number in itertools.product(_prefixes(country), _numbers()):
        text = prefix + number[1:]
        if text.startswith("001") and prefix == "00" and "001" in _prefixes(country):
            continue  # 001 is the prefix there, not 00 and the country code 1
        try:
            found = parse(text, country).e164
        except PhoneInvalid:
            continue
        read += 1
        wrong += [(prefix, number, found)] if found != number else []
    assert wrong == []
    assert read > 60


def test_every_region_has_a_prefix() -> None:
    """In every supported region, some prefix leads to a number of Singapore."""
    assert [country for country in SUPPORTED_COUNTRIES if not _prefixes(country)] == []
