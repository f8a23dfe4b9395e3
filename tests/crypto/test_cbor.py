"""The CBOR decoder: what it reads, what it refuses, and that no input costs more than its length."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from otp_service.crypto.cbor import MAX_DEPTH, MAX_ITEMS, InvalidCbor, decode_cbor
from tests.app_attest_device import cbor

TEXTS = st.text(alphabet="aü€", max_size=30)
SCALARS = st.binary(max_size=300) | TEXTS | st.integers(-(2**64), 2**64 - 1)
ITEMS = SCALARS | st.lists(SCALARS, max_size=3)
VALUES = ITEMS | st.dictionaries(TEXTS, ITEMS | st.dictionaries(TEXTS, ITEMS, max_size=3), max_size=3)
"""Values with at most three levels, as attestations have."""


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("00", 0),
        ("1864", 100),
        ("1bffffffffffffffff", 2**64 - 1),
        ("3903e7", -1000),
        ("40", b""),
        ("4401020304", b"\1\2\3\4"),
        ("62c3bc", "ü"),
        ("83010203", [1, 2, 3]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("f5", True),
        ("f6", None),
        ("5800", b""),  # a longer form than needed is well-formed
    ],
)
def test_examples_of_the_standard(encoded: str, value: Any) -> None:
    """Items of the types that are used are read as RFC 8949, Appendix A, says."""
    assert decode_cbor(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "0000",  # two items
        "18",  # the argument is missing
        "4301",  # the content is missing
        "5bffffffffffffffff",  # a length that nothing has
        "9bffffffffffffffff",
        "bbffffffffffffffff",
        "9a00100000",
        "61ff",  # no UTF-8
        "5f4100ff",  # an indefinite length
        "9f00ff",
        "1c",  # reserved
        "c000",  # a tag
        "f93c00",  # a float
        "f7",  # undefined
        "a10102",  # a key that is no text
        "a2616101616102",  # a key twice
        "81" * (MAX_DEPTH + 1) + "00",
        f"98{MAX_ITEMS:02x}" + "00" * MAX_ITEMS,  # with the array one too many
        "a16161" * (MAX_DEPTH + 1) + "00",
    ],
)
def test_refused(encoded: str) -> None:
    """What is not well-formed, or is not used by App Attest, is refused."""
    with pytest.raises(InvalidCbor):
        decode_cbor(bytes.fromhex(encoded))


@hypothesis.settings(max_examples=40)
@hypothesis.given(VALUES)
def test_values_survive(value: Any) -> None:
    """A value that was encoded is decoded to itself."""
    assert decode_cbor(cbor(value)) == value


@hypothesis.settings(max_examples=60)
@hypothesis.given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    """Any bytes are decoded or refused with the one error, and a truncated item is always refused."""
    try:
        decode_cbor(raw)
    except InvalidCbor:
        return
    with pytest.raises(InvalidCbor):
        decode_cbor(raw[:-1])


def test_most_items() -> None:
    """As many items as are allowed are read."""
    assert decode_cbor(cbor([0] * (MAX_ITEMS - 1))) == [0] * (MAX_ITEMS - 1)


def test_work_is_bounded_by_the_length() -> None:
    """Nested promises of many items are refused before anything is allocated for them."""
    promise = bytes.fromhex("9a00ffffff")  # an array of 16 million items

    with pytest.raises(InvalidCbor, match="end is missing"):
        decode_cbor(promise * MAX_DEPTH + bytes(1000))
