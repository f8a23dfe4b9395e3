"""Which countries' numbers can start with a prefix, compared with the example numbers of libphonenumber."""

from __future__ import annotations

import phonenumbers
import pytest

from otp_service.domain.numbering import has_prefix, may_have_prefix
from otp_service.domain.phone import SUPPORTED_COUNTRIES


@pytest.mark.parametrize("region", sorted(SUPPORTED_COUNTRIES))
def test_every_prefix_of_an_example_number_matches_its_country(region: str) -> None:
    """No country is missed, however long the prefix, so no route that its numbers can use is missed."""
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    if example is None:
        return
    country = phonenumbers.region_code_for_number(example)
    assert country is not None
    e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    for length in range(len(e164) + 1):
        prefix = e164[:length] if length != 1 else ""
        assert may_have_prefix(country, prefix), prefix
    assert has_prefix(country, f"+{example.country_code}")
    assert not has_prefix(country, e164)


@pytest.mark.parametrize(
    ("prefix", "countries"),
    [
        ("+62811", {"ID"}),
        ("+62", {"ID"}),
        ("+6", {"ID", "SG", "MY"}),
        ("", {"ID", "SG", "MY", "US", "JM", "GB"}),
        ("+1658", {"JM"}),
        ("+1876", {"JM"}),
        ("+1212", {"US", "JM"}),
        ("+447700", {"GB"}),
        ("+999", set()),
    ],
)
def test_countries_of_a_prefix(prefix: str, countries: set[str]) -> None:
    """A prefix matches several countries, unless the numbering plan says that it belongs to one."""
    assert {one for one in ("ID", "SG", "MY", "US", "JM", "GB") if may_have_prefix(one, prefix)} == countries
