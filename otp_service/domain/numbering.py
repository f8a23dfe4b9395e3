"""Whether numbers of a country can start with a prefix, so that a route with this prefix can match them."""

from __future__ import annotations

import re
from typing import Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

__all__ = ["has_prefix", "may_have_prefix"]

_CALLING_CODES: Final = {
    region: str(code) for code, regions in COUNTRY_CODE_TO_REGION_CODE.items() for region in regions
}


def has_prefix(country: str, prefix: str) -> bool:
    """Return whether every number of a country, in E.164, starts with `prefix` ("", or "+" and digits)."""
    return f"+{_CALLING_CODES.get(country, '')}".startswith(prefix)


def may_have_prefix(country: str, prefix: str) -> bool:
    """Return whether a number of a country can start with `prefix`; True if it is not known.

    Countries that share a calling code are distinguished by the leading digits of their numbering plans, where
    libphonenumber has them: "+1658" is Jamaica only, "+16" can be several countries.
    """
    code = _CALLING_CODES.get(country)
    if code is None or has_prefix(country, prefix):
        return code is not None
    if not prefix.startswith(f"+{code}"):
        return False
    national = prefix.removeprefix(f"+{code}")
    sharing = COUNTRY_CODE_TO_REGION_CODE[int(code)]
    owners = [region for region in sharing if _has_leading_digits(region, national)]
    if owners:
        return country in owners
    return True


def _has_leading_digits(country: str, national: str) -> bool:
    """Return whether a prefix of national digits begins with the leading digits of a country's plan."""
    metadata = PhoneMetadata.metadata_for_region(country, None)
    leading = metadata.leading_digits if metadata else None
    return bool(leading and re.match(leading, national))
