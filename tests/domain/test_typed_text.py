"""Normalization of typed text: invisible characters, white space, dashes, and digits of any script."""

import sys
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.crypto.codes import parse_code
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.domain.typed_text import normalize_typed, strip_invisible

DEFAULT_IGNORABLE = [
    *"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u200c\u200d\u200e\u200f",
    *"\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2065\u2066\u2067\u2068\u2069\u206a\u206f",
    *"\u3164\ufe00\ufe0e\ufe0f\ufeff\uffa0\ufff0\ufff8\U0001bca0\U0001d173\U000e0000\U000e0001\U000e0041\U000e0fff",
]
WHITE_SPACE = [*"\t\n\v\f\r \x85\u00a0\u1680\u2000\u2009\u200a\u2028\u2029\u202f\u205f\u3000"]
FORMATS = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf"]
DASHES = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Pd"]
MORE_DASHES = [*"\u2212\u30fc\uff70\u2043\u02d7\u2500"]
VISIBLE = [*"\x00\x07\x1b\x1c\x1f\x7f\x80.,;:#*'\"_~²①⑥Ⅳ\u20e3\u2800\u0301AΟо🙂\ud800"]


def _codes(chars: list[str]) -> list[str]:
    return [f"U+{ord(char):04X}" for char in chars]


@pytest.mark.parametrize("char", [*DEFAULT_IGNORABLE, *WHITE_SPACE], ids=_codes([*DEFAULT_IGNORABLE, *WHITE_SPACE]))
@pytest.mark.parametrize("around", ["{0}{1}", "{1}{0}", "{0}{1}{0}"])
def test_invisible_characters_are_dropped(char: str, around: str) -> None:
    """They do not change a number or a code, and are removed from the ends of a secret."""
    assert parse(around.format(char, "+6281210100055"), "ID").e164 == "+6281210100055"
    assert parse(around.format(char, f"0812{char}1010{char}0055"), "ID").e164 == "+6281210100055"
    assert parse_code(around.format(char, f"123{char}456")) == "123456"
    assert strip_invisible(around.format(char, f"a{char}b")) == f"a{char}b"


def test_every_format_character_is_dropped() -> None:
    """All characters of the Unicode category Cf are dropped."""
    assert len(FORMATS) > 150
    assert [char for char in FORMATS if normalize_typed(f"1{char}2") != "12"] == []


@pytest.mark.parametrize("char", [*DASHES, *MORE_DASHES], ids=_codes([*DASHES, *MORE_DASHES]))
def test_every_dash_is_normalized(char: str) -> None:
    """Category Pd, minus signs and the dashes of Japanese keyboards are separators in numbers and codes."""
    assert parse(f"0812{char}1010{char}0055", "ID").e164 == "+6281210100055"
    assert parse_code(f"123{char}456") == "123456"


@pytest.mark.parametrize("char", VISIBLE, ids=_codes(VISIBLE))
def test_visible_characters_are_refused(char: str) -> None:
    """Control characters, punctuation, look-alikes, superscripts and combining marks are not dropped."""
    assert parse_code(f"123{char}456") is None
    assert parse_code(f"123456{char}") is None
    if char != ".":  # a dot is a separator in a number
        with pytest.raises(PhoneInvalid):
            parse(f"0812{char}10100055", "ID")


@pytest.mark.parametrize("code", ["", "   ", "-", "123", "12345678901", "1" * 65, "1234".ljust(65)])
def test_an_invalid_code(code: str) -> None:
    """Anything but 4 to 10 digits within 64 characters is refused."""
    assert parse_code(code) is None


def test_digits_of_any_script() -> None:
    """Full-width, Arabic-Indic, Persian, Devanagari, Bengali and Thai digits are converted."""
    assert {parse_code(text) for text in ("１２３４", "١٢٣٤", "۱۲۳۴", "१२३४", "১২৩৪", "๑๒๓๔")} == {"1234"}


@given(text=st.text())
def test_normalization_is_idempotent(text: str) -> None:
    """A normalized text does not change again, and is not longer than its input."""
    plain = normalize_typed(text)
    assert normalize_typed(plain) == plain
    assert len(plain) <= len(text)


@pytest.mark.parametrize("work", [normalize_typed, strip_invisible, parse_code])
def test_time_is_linear(work: Callable[[str], object]) -> None:
    """Eight times the text takes about eight times the time, for the slowest characters."""

    def seconds(length: int) -> float:
        started = time.thread_time()  # not the time of other processes
        work("\u200b" * length)
        return time.thread_time() - started

    short, long = (min(seconds(length) for _ in range(9)) for length in (16_384, 131_072))
    assert long < 24 * short + 0.001  # 8 times if linear, 64 times if quadratic
