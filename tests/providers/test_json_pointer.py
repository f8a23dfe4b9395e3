"""JSON pointers: the examples of RFC 6901, and what finds nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.providers.http.json_pointer import MISSING, resolve, scalar_text

RFC_6901: dict[str, Any] = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8
}  # fmt: skip
"""The document of RFC 6901, section 5."""


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC_6901),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_rfc(pointer: str, value: object) -> None:
    """Each pointer has the value that section 5 states."""
    assert resolve(RFC_6901, pointer) == value


def test_the_order_of_unescaping() -> None:
    """`~01` is `~1` and not a slash (section 4)."""
    assert resolve({"~1": "tilde", "/": "slash"}, "/~01") == "tilde"


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({}, "/a"),
        ({"a": None}, "/a/b"),
        ({"a": "text"}, "/a/0"),
        (MISSING, "/a"),
        ([1], "/1"),
        ([1], "/-"),
        ([1], "/-1"),
        ([1], "/00"),
        ([1], "/\u0660"),
        ([1], "/" + "9" * 200),
        (1, "/a"),
    ],
)
def test_nothing_is_found(document: object, pointer: str) -> None:
    """A missing member, an index out of range or with a leading zero, and a step into a scalar find nothing."""
    assert resolve(document, pointer) is MISSING


def test_null_is_a_value() -> None:
    """A null is found, unlike a missing member."""
    assert resolve({"a": None}, "/a") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (0, "0"), (1.5, "1.5"), (True, "true"), (None, "null"), ([], None), ({}, None), (MISSING, None)],
)
def test_scalars_as_text(value: object, text: str | None) -> None:
    """Text is kept, other scalars are JSON, and containers have no text."""
    assert scalar_text(value) == text


@given(st.lists(st.text(max_size=8), max_size=6))
def test_every_member_can_be_found(path: list[str]) -> None:
    """Whatever the names of members are, the escaped pointer finds the innermost value."""
    document: Any = "found"
    for name in reversed(path):
        document = {name: document}
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)
    assert resolve(document, pointer) == "found"
