"""What people dial in front of a country code: which digits are that prefix, and where.

Each region has its own: `00` in most, `011` in North America, `001` and others in Thailand, `8 10` in Russia. A number
without a plus is read by the prefixes of its region, and by no other region's: `001 65 8234 5678` is Singapore's
+65 8234 5678 in Thailand, where 001 is dialled to call abroad, and +1 658 234 5678 (Jamaica) in Germany, where that
is 00. The prefixes are libphonenumber's, and three additions:

- Indonesia has five carriers' prefixes (001, 007, 008, 009, 017), of which libphonenumber knows two. `00` is read there
  too: people write 0062... and 0065..., although no Indonesian carrier connects them.
- `00` in front of the region's own country code is read everywhere (`00254 7...` in Kenya, where the prefix is 000).
  It cannot lead to another country. North America is excepted, where 001 is so often somebody else's prefix.
- Without a region, `00` is read, which the ITU recommends, but not 001: it is nearly always a prefix by itself.

One text may begin with several prefixes of its region (00 and 008 in Indonesia, and in Hong Kong). Each one is tried,
and the caller refuses a text that spells a valid number behind more than one of them: 0081 90 1234 5678 would be
Japan's by the one and +1 901 234 5678 by the other. People also write 00 out of habit where it is none. That is not
read, but it makes a text doubtful: 0049 151 23456789 in Singapore, where 004 is a prefix, is not taken for India's +91.
Where 001 is a prefix of the region, it is never 00 and the country code 1.
"""

import re
from collections.abc import Iterator
from typing import Final

import phonenumbers
from phonenumbers import PhoneMetadata

__all__ = ["habitual_reading", "international_readings"]

_LONGEST: Final = 9
"""Digits that are looked at; the longest prefix of any region, Australia's 14xx0011, has 8."""

_ADDED: Final = {"ID": "00|001|007|008|009|017", "": "00"}


def international_readings(digits: str, country: str) -> Iterator[str]:
    """Give each `+...` that `digits` may stand for by the prefixes of `country` ("": unknown)."""
    known = _prefixes(digits, country)
    whole = digits.startswith("001") and (not country or known.fullmatch("001"))
    for end in range(3 if whole else 1, min(_LONGEST, len(digits) - 1) + 1):
        if digits[end] != "0" and known.fullmatch(digits, 0, end):  # no country code begins with 0
            yield "+" + digits[end:]


def habitual_reading(digits: str) -> str:
    """Give the `+...` of somebody who writes 00 wherever he is; "" without 00, and for 001, which is never meant so."""
    return "+" + digits[2:] if digits.startswith("00") and not digits.startswith("001") else ""


def _prefixes(digits: str, country: str) -> re.Pattern[str]:
    metadata = PhoneMetadata.metadata_for_region(country) if country else None
    patterns = [metadata.international_prefix if metadata else None, _ADDED.get(country)]
    home = phonenumbers.country_code_for_region(country)
    if home > 1 and digits.startswith(f"00{home}"):
        patterns.append("00")
    return re.compile("|".join(filter(None, patterns)))
