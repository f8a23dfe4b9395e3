"""Codes are uniform: every digit at every place, leading zeros included (NIST SP 800-63B-4, 3.1.3.2)."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from otp_service.crypto.codes import CODE_LENGTHS, generate_code, parse_code

DRAWN = 1_000_000
DEVIATIONS = 7
"""A correct generator is outside this many standard deviations less than once in 10^11 runs."""


def deviation(counts: Counter[str], cells: int) -> float:
    """Return how many standard deviations chi-square is from its mean, for values that should fill `cells` evenly."""
    assert len(counts) == cells
    expected = counts.total() / cells
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    freedom = cells - 1
    return abs(chi_square - freedom) / math.sqrt(2 * freedom)


def digits_at(place: int, counts: Counter[str]) -> Counter[str]:
    """Return how often each digit stands at a place of the values that were counted."""
    digits: Counter[str] = Counter()
    for value, count in counts.items():
        digits[value[place]] += count
    return digits


def test_a_million_codes_are_uniform() -> None:
    """Chi-square of the first and last three digits, and of each place, is that of a uniform distribution."""
    codes = [generate_code(6) for _ in range(DRAWN)]

    assert {len(code) for code in codes} == {6}
    for half in (slice(0, 3), slice(3, 6)):
        counts = Counter(code[half] for code in codes)
        assert deviation(counts, 1000) < DEVIATIONS
        for place in range(3):
            assert deviation(digits_at(place, counts), 10) < DEVIATIONS


def test_a_biased_generator_is_noticed() -> None:
    """A generator that loses leading zeros, and one that takes a random byte modulo 10, are outside the limit."""
    without_zero = Counter(str(100_000 + int(generate_code(6)) * 9 // 10)[:3] for _ in range(10_000))
    modulo = Counter(str(byte % 10) for byte in range(256) for _ in range(1000))

    with pytest.raises(AssertionError):
        deviation(without_zero, 1000)
    assert deviation(modulo, 10) > DEVIATIONS


@pytest.mark.parametrize("length", CODE_LENGTHS)
def test_a_code_is_a_text_of_its_length(length: int) -> None:
    """It is read back unchanged: a code that begins with 0 keeps its zeros."""
    codes = {generate_code(length) for _ in range(1000)}

    assert {parse_code(code) for code in codes} == codes
    assert any(code.startswith("0") for code in codes)
