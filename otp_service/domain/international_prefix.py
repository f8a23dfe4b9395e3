"""International call prefixes: which digits people dial before a country code.

Each region has its own: `00` in most, `011` in North America, `001` and others in Thailand, `8 10` in Russia. A number
without a plus is read by the prefixes of its region and of no other: `001 65 8234 5678` is Singapore's +65 8234 5678 in
Thailand, where 001 is a prefix, and +1 658 234 5678 (Jamaica) in Germany, where the prefix is 00. The prefixes are
libphonenumber's, with three additions:

- Indonesia has the prefixes of five carriers (001, 007, 008, 009, 017); libphonenumber knows two of them. `00` is read
  there too: people write 0062... and 0065..., although no Indonesian carrier connects them.
- `00` before the region's own country code is read everywhere (`00254 7...` in Kenya, where the prefix is 000), because
  it cannot lead to another country. North America is the exception: there 001 is often the prefix of another region.
- Without a region, `00` is read, as the ITU recommends, but 001 is not: it is nearly always a prefix itself.

A text can begin with several prefixes of its region (00 and 008 in Indonesia, and in Hong Kong). Each is tried, and the
caller refuses a text that spells a valid number after more than one of them: 0081 90 1234 5678 is Japan's with one, and
+1 901 234 5678 with the other. People also write 00 out of habit where it is not a prefix. Such a text is not read that
way, but it makes another reading ambiguous: 0049 151 23456789 in Singapore, where 004 is a prefix, is not read as
India's +91. Where 001 is a prefix of the region, it is never read as 00 and the country code 1.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

__all__ = ["habitual_reading", "international_readings"]

_MAX_PREFIX: Final = 9
"""How many digits are examined: one more than the longest prefix of any region, Australia's 14xx0011."""

_ADDED: Final = {"ID": "00|001|007|008|009|017", "": "00"}

_HOME: Final = {
    region: f"00{code}" for code, regions in COUNTRY_CODE_TO_REGION_CODE.items() for region in regions if code > 1
}
"""By region: 00 and its own country code, outside North America."""


def international_readings(digits: str, country: str) -> Iterator[str]:
    """Yield each `+...` that `digits` can mean with the prefixes of `country` ("": unknown)."""
    known = _prefixes(country, with_00=country in _HOME and digits.startswith(_HOME[country]))
    whole = digits.startswith("001") and (not country or known.fullmatch("001"))
    for end in range(3 if whole else 1, min(_MAX_PREFIX, len(digits) - 1) + 1):
        if digits[end] != "0" and known.fullmatch(digits, 0, end):  # no country code begins with 0
            yield "+" + digits[end:]


def habitual_reading(digits: str) -> str:
    """Return the `+...` of a number written with 00 out of habit; "" without 00, and for 001, which is no habit."""
    return "+" + digits[2:] if digits.startswith("00") and not digits.startswith("001") else ""


@cache
def _prefixes(country: str, *, with_00: bool) -> re.Pattern[str]:
    metadata = PhoneMetadata.metadata_for_region(country) if country else None
    patterns = [metadata.international_prefix if metadata else None, _ADDED.get(country), "00" if with_00 else None]
    return re.compile("|".join(filter(None, patterns)))
