"""The Lua files: each script documents itself, and its clock can be replaced in tests."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from otp_service.store.scripts import all_scripts, override_clock, script

LUA = files("otp_service.store").joinpath("lua")
FILES = {entry.name: entry.read_text("utf-8") for entry in LUA.iterdir()}
NAMES = [one.name for one in all_scripts()]
FIXED_CLOCK = "local function now_ms() return 1 end"


@pytest.mark.parametrize("name", NAMES)
def test_every_script_has_a_header(name: str) -> None:
    """It begins with its name, and states KEYS, ARGV if it has some, the reply and the invariant."""
    text = FILES[f"{name}.lua"]

    assert text.startswith(f"-- {name}: ")
    assert re.search(r"^-- KEYS  1 ", text, re.MULTILINE)
    assert ("ARGV[" in text) == bool(re.search(r"^-- ARGV  1 ", text, re.MULTILINE))
    assert re.search(r"^-- returns \{", text, re.MULTILINE)
    assert re.search(r"^-- Invariant: ", text, re.MULTILINE)


def test_scripts_neither_build_keys_nor_read_another_clock() -> None:
    """Every key comes through KEYS or a prefix in ARGV, and only `_clock.lua` reads the time."""
    assert [name for name, text in FILES.items() if "otp:" in text] == []
    assert [name for name, text in FILES.items() if "'TIME'" in text] == ["_clock.lua"]


def test_the_clock_can_be_replaced_and_restored() -> None:
    """The innermost block decides, None means the server's clock, and at the end the outer clock is back."""
    outer = script("read")

    with override_clock(FIXED_CLOCK):
        assert FIXED_CLOCK in script("read").text
        assert script("read").digest != outer.digest
        with override_clock(None):
            assert FILES["_clock.lua"].rstrip() in script("read").text
        assert FIXED_CLOCK in script("read").text
    assert script("read") == outer
