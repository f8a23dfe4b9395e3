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


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("_")])
def test_an_included_file_holds_only_definitions(name: str) -> None:
    """Each statement begins with `local`, so that a script can get one without the others."""
    starts = re.findall(r"^[^\s-].*", FILES[name], re.MULTILINE)

    assert [line for line in starts if not line.startswith(("local ", "end", "}"))] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_script_defines_what_it_uses_and_nothing_else(name: str) -> None:
    """Each definition is used by the script or by another definition."""
    code = re.sub(r"--.*", "", script(name).text)
    defined = re.findall(r"^local (?:function )?([\w, ]+)", code, re.MULTILINE)

    assert [names for names in defined if not any(code.count(one) > 1 for one in re.findall(r"\w+", names))] == []


def test_a_script_gets_definitions_with_their_comments() -> None:
    """In the place of its include line; the other definitions of the files are left out."""
    header, _, body = FILES["read.lua"].partition("--@include _clock _record\n")
    text = script("read").text

    assert text.startswith(header)
    assert text.endswith(body)
    assert "-- it.\nlocal function read_record(key, now)\n  local packed" in text
    assert "end_verification" in FILES["_record.lua"]
    assert "end_verification" not in text


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
