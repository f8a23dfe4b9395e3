"""Numbers with a plus have the region, the type and the digits that libphonenumber's own functions give them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import phonenumbers
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberType

from otp_service.domain.phone import PhoneInvalid, parse

TYPES: Final = [PhoneNumberType.to_string(kind).lower() for kind in PhoneNumberType.values()]
CHANGED_DIGITS: Final = 4


def examples(country_code: int) -> Iterator[str]:
    """Yield the national digits of the example numbers of all regions with a country code."""
    for region in COUNTRY_CODE_TO_REGION_CODE[country_code]:
        plan = PhoneMetadata.metadata_for_region_or_calling_code(country_code, region)
        for kind in ("general_desc", *TYPES):
            description = getattr(plan, kind, None)
            if description is not None and description.example_number:
                yield description.example_number


def spellings(country_code: int) -> Iterator[str]:
    """Yield numbers with a plus: examples, variants of them, and both after each national prefix or a zero."""
    source = random.Random(country_code)  # noqa: S311 - the same numbers in each run
    prefixes = {"", "0", *filter(None, map(national_prefix, COUNTRY_CODE_TO_REGION_CODE[country_code]))}
    for example in sorted(set(examples(country_code))):
        changed = source.randrange(1, CHANGED_DIGITS + 1)
        variant = example[:-changed] + "".join(source.choices("0123456789", k=changed))
        any_digits = "".join(source.choices("0123456789", k=len(example)))
        for digits in (example, variant, any_digits, example[:-1], example + "1"):
            yield from (f"+{country_code}{prefix}{digits}" for prefix in prefixes)


def national_prefix(region: str) -> str | None:
    """Return the national prefix of a region, if it is a country and has one."""
    plan = PhoneMetadata.metadata_for_region(region, None)
    return plan.national_prefix if plan else None


def by_libphonenumber(text: str) -> tuple[str, str, str] | None:
    """Return E.164, region and type by libphonenumber alone; None for an invalid number."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    kind = PhoneNumberType.to_string(phonenumbers.number_type(number)).lower()
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None if kind == "unknown" else (e164, phonenumbers.region_code_for_number(number) or "", kind)


def parsed(text: str) -> tuple[str, str, str] | None:
    """Return E.164, country and type as `parse` does; None for an invalid number."""
    try:
        number = parse(text, "")
    except PhoneInvalid:
        return None
    return number.e164, number.country, number.type


@pytest.mark.parametrize("country_code", sorted(COUNTRY_CODE_TO_REGION_CODE))
def test_a_number_with_a_plus_is_read_as_by_libphonenumber(country_code: int) -> None:
    """All types of all regions, numbers beside them, and national prefixes that do not belong there."""
    texts = list(spellings(country_code))
    assert texts
    assert [(text, parsed(text)) for text in texts] == [(text, by_libphonenumber(text)) for text in texts]


def test_the_plans_have_the_lengths_that_the_rules_expect() -> None:
    """Each description has lengths, and those of fixed lines are those of mobiles if both have one pattern.

    Otherwise libphonenumber has further rules about lengths.
    """
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions:
            plan = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            found = {kind: getattr(plan, kind, None) for kind in ("general_desc", *TYPES)}
            lengths = {kind: description.possible_length for kind, description in found.items() if description}
            assert all(lengths.values()), region
            if plan and plan.same_mobile_and_fixed_line_pattern:
                assert lengths.get("fixed_line") == lengths.get("mobile"), region
