"""The region and the type of a number, by the rules and the patterns of libphonenumber.

The results are those of its `region_code_for_number` and `number_type`, and a test compares them. Those look up each
pattern in the cache of `re`, which keeps 512, and all plans have more: a flood of numbers of all regions in turn took
580 us each, because the patterns were compiled again each time. Here the patterns of a region are compiled when they
are first needed, and kept (1 MB for all regions); such a number takes 20 us, and an Indonesian one 5 instead of 30.
Nothing about a number is kept.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberDesc

__all__ = ["may_have_national_prefix", "region_and_type"]

_TYPES: Final = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)
"""In the order in which libphonenumber tries them: the first one decides."""


def region_and_type(country_code: int, digits: str) -> tuple[str, str] | None:
    """Return the region and the type of the number with these national digits; None if it is not valid.

    Returns:
        ISO 3166 alpha-2, or `001` for a number of no country; and one of `_TYPES` or `fixed_line_or_mobile`.
    """
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code, ())
    for region in regions:
        leading_digits = _leading_digits(country_code, region) if len(regions) > 1 else None
        if leading_digits is None or leading_digits.match(digits):
            found = _plan(country_code, region).type_of(digits)
            if found or leading_digits:
                return (region, found) if found else None
    return None


def may_have_national_prefix(country_code: int, digits: str) -> bool:
    """Return whether national digits begin with what libphonenumber may remove as a national prefix (trunk code)."""
    prefix = _national_prefix(country_code)
    return prefix is not None and prefix.match(digits) is not None


class _Plan:
    """The patterns of the numbers of one region, with their lengths."""

    def __init__(self, metadata: PhoneMetadata) -> None:
        self._lengths, self._pattern = _compiled(metadata.general_desc)
        self._patterns = [(name, *_compiled(getattr(metadata, name))) for name in _TYPES]

    def type_of(self, digits: str) -> str:
        """Return the type of a number; "" if it is not valid."""
        size = len(digits)
        if size not in self._lengths or not self._pattern.fullmatch(digits):
            return ""
        types = [name for name, lengths, pattern in self._patterns if size in lengths and pattern.fullmatch(digits)]
        if types == ["fixed_line", "mobile"]:
            return "fixed_line_or_mobile"
        return types[0] if types else ""


def _compiled(description: PhoneNumberDesc | None) -> tuple[frozenset[int], re.Pattern[str]]:
    """Return the lengths of the numbers of a description, and their pattern; without one, no number matches."""
    if description is None:
        return frozenset(), re.compile("")
    return frozenset(description.possible_length), re.compile(description.national_number_pattern or "")


@cache
def _plan(country_code: int, region: str) -> _Plan:
    return _Plan(_metadata(country_code, region))


@cache
def _leading_digits(country_code: int, region: str) -> re.Pattern[str] | None:
    """Return what distinguishes the numbers of a region from others of its country code; None: their whole plan."""
    pattern = _metadata(country_code, region).leading_digits
    return re.compile(pattern) if pattern else None


@cache
def _national_prefix(country_code: int) -> re.Pattern[str] | None:
    """Return the national prefix of a country code, by the plan of its main region; None if it has none."""
    region = phonenumbers.region_code_for_country_code(country_code)
    pattern = _metadata(country_code, region).national_prefix_for_parsing
    return re.compile(pattern) if pattern else None


def _metadata(country_code: int, region: str) -> PhoneMetadata:
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(country_code, region)
    if metadata is None:
        raise AssertionError(f"libphonenumber has no plan for {region}")
    return metadata
