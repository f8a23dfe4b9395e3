"""Numbers have the digits, the region and the type that libphonenumber's own functions give them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberType

from otp_service.domain.number_types import known_national_digits, region_and_type
from otp_service.domain.phone import SUPPORTED_COUNTRIES, PhoneInvalid, parse

TYPES: Final = [PhoneNumberType.to_string(kind).lower() for kind in PhoneNumberType.values()]
CHANGED_DIGITS: Final = 4


def examples(country_code: int, regions: Sequence[str]) -> Iterator[str]:
    """Yield the national digits of the example numbers of regions with a country code."""
    for region in regions:
        plan = PhoneMetadata.metadata_for_region_or_calling_code(country_code, region)
        for kind in ("general_desc", *TYPES):
            description = getattr(plan, kind, None)
            if description is not None and description.example_number:
                yield description.example_number


def spellings(country_code: int, regions: Sequence[str]) -> Iterator[str]:
    """Yield national numbers: examples, variants of them, and both after each national prefix or a zero."""
    source = random.Random(country_code)  # noqa: S311 - the same numbers in each run
    prefixes = {"", "0", *filter(None, map(national_prefix, regions))}
    for example in sorted(set(examples(country_code, regions))):
        changed = source.randrange(1, CHANGED_DIGITS + 1)
        variant = example[:-changed] + "".join(source.choices("0123456789", k=changed))
        any_digits = "".join(source.choices("0123456789", k=len(example)))
        for digits in (example, variant, any_digits, example[:-1], example + "1"):
            yield from (prefix + digits for prefix in prefixes)


def national_prefix(region: str) -> str | None:
    """Return the national prefix of a region, if it is a country and has one."""
    plan = PhoneMetadata.metadata_for_region(region, None)
    return plan.national_prefix if plan else None


def by_libphonenumber(text: str, country: str | None = None) -> tuple[str, str, str] | None:
    """Return E.164, region and type by libphonenumber alone; None for an invalid number."""
    try:
        number = phonenumbers.parse(text, country)
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


def test_a_number_with_a_plus_is_read_as_by_libphonenumber() -> None:
    """All types of all regions, numbers beside them, and national prefixes that do not belong there."""
    texts = [
        f"+{country_code}{digits}"
        for country_code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        for digits in spellings(country_code, regions)
    ]
    found = {text: (parsed(text), by_libphonenumber(text)) for text in texts}
    assert sum(ours is not None for ours, _ in found.values()) > 3000
    assert {text: both for text, both in found.items() if both[0] != both[1]} == {}


def test_a_known_national_number_is_read_as_by_libphonenumber() -> None:
    """Where the plan of a country leaves no choice, libphonenumber chooses nothing else."""
    found = {}
    for country in sorted(SUPPORTED_COUNTRIES):
        country_code = phonenumbers.country_code_for_region(country)
        texts = list(spellings(country_code, [country]))
        for text in texts + [f"{country_code}{digits}" for digits in texts]:
            digits = known_national_digits(text, country, country_code)
            if digits is not None:
                place = region_and_type(country_code, digits)
                ours = place and (f"+{country_code}{digits}", *place)
                found[text, country] = ours, by_libphonenumber(text, country)
    assert sum(ours is not None for ours, _ in found.values()) > 1500
    assert {spelled: both for spelled, both in found.items() if both[0] != both[1]} == {}


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
