"""Into how many SMS segments a text is divided."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.domain.sms_segments import characters_outside_gsm7, count_segments

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"


def test_septets_of_the_gsm7_alphabet() -> None:
    """The 127 basic characters (without the escape) take one septet each, extension characters two."""
    assert (len(BASIC), len(EXTENSION)) == (127, 10)
    assert {(count_segments(char * 160), count_segments(char * 161)) for char in BASIC} == {(1, 2)}
    assert {(count_segments(char * 80), count_segments(char * 81)) for char in EXTENSION} == {(1, 2)}


@pytest.mark.parametrize("char", ["’", "–", "…", "“", "ç", "`", "\t", "\x1b", "\xa0", "•", "漢", "😀", "á", "\ud800"])
def test_a_character_outside_gsm7(char: str) -> None:
    """One such character makes the whole text UCS-2, where a character beyond the BMP takes two code units."""
    units = 2 if char > "\uffff" else 1
    assert characters_outside_gsm7("OTP " + char) == char
    assert count_segments("a" * (70 - units) + char) == 1
    assert count_segments("a" * (71 - units) + char) == 2


def test_no_other_character_is_gsm7() -> None:
    """Over all of Unicode, exactly these 137 characters are GSM-7."""
    assert {c for c in map(chr, range(0x110000)) if not characters_outside_gsm7(c)} == set(BASIC + EXTENSION)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 80 + "a", 2),
        ("a" * 159 + "€", 2),
        ("漢" * 70, 1),
        ("漢" * 71, 2),
        ("漢" * 134, 2),
        ("漢" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("a" * 69 + "’", 1),
        ("a" * 70 + "’", 2),
        ("€" * 70 + "’", 2),
    ],
)
def test_segments_at_the_limits(text: str, expected: int) -> None:
    """160/153 septets, 70/67 UTF-16 code units; the euro sign is one unit in UCS-2."""
    assert count_segments(text) == expected


def test_an_escape_pair_is_not_split() -> None:
    """306 septets fit into two parts, unless a pair would cross the boundary."""
    assert count_segments("a" * 151 + "€" + "a" * 153) == 2
    assert count_segments("a" * 152 + "€" + "a" * 152) == 3
    assert count_segments("€" * 152) == 2
    assert count_segments("€" * 153) == 3


def test_a_surrogate_pair_is_not_split() -> None:
    """134 units fit into two parts, unless an emoji would cross the boundary."""
    assert count_segments("漢" * 65 + "😀" + "漢" * 67) == 2
    assert count_segments("漢" * 66 + "😀" + "漢" * 66) == 3
    assert count_segments("😀" * 66) == 2
    assert count_segments("😀" * 67) == 3


@settings(deadline=None)
@given(st.text(max_size=400))
def test_segments_of_any_text(text: str) -> None:
    """There are enough segments for all units, and at most one unit per part is unused."""
    units, single, part = sum(2 if char in EXTENSION else 1 for char in text), 160, 153
    if characters_outside_gsm7(text):
        units, single, part = len(text.encode("utf-16-le", "surrogatepass")) // 2, 70, 67
    count = count_segments(text)
    assert count == 1 if units <= single else (count - 1) * (part - 1) < units <= count * part
