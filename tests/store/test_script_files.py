"""The Lua files: each script documents itself, and its clock can be replaced in tests."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files

import pytest

from otp_service.store.scripts import all_scripts, override_clock, script

LUA = files("otp_service.store").joinpath("lua")
FILES = {entry.name: entry.read_text("utf-8") for entry in LUA.iterdir()}
NAMES = [one.name for one in all_scripts()]
FIXED_CLOCK = "local function now_ms() return 1 end"
STRING_OR_COMMENT = re.compile(r"'[^'\n]*'|--.*")
WORD = re.compile(r"(?<![\w.:])[A-Za-z_]\w*")
GLOBALS = frozenset(
    WORD.findall(
        "KEYS ARGV redis cmsgpack struct string math table ipairs next pairs pcall tonumber tostring type unpack "
        "and break do else elseif end false for function if in local nil not or repeat return then true until while"
    )
)
"""The keywords of Lua, and what the server gives to scripts; any other global is an error where it is read."""


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
    """Each is a comment, a line with `local`, and indented lines up to its end, so that it can be used by itself.

    A comment between the lines of one would end it, and one over several lines would hide or show parts of it.
    """
    definitions = re.findall(r"(?:--.*\n|\n)*local .*\n(?:(?:[ \t].*|end|\}|)\n)*", FILES[name])

    assert "".join(definitions) == FILES[name]
    assert "--[" not in FILES[name]
    assert "[[" not in FILES[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_defines_what_it_uses_and_nothing_else(name: str) -> None:
    """Each name has a definition, and each definition is used by the script or by another definition."""
    assert "@include" not in script(name).text
    code = STRING_OR_COMMENT.sub("''", script(name).text)
    declared = re.findall(r"\blocal (?:function )?([\w, ]+)", code)
    declared += re.findall(r"\bfor ([\w, ]+?) (?:in|=)", code)
    declared += re.findall(r"\bfunction ?\w*\(([\w, ]*)\)", code)
    known = GLOBALS.union(*map(WORD.findall, declared))
    without_table_keys = re.sub(r"([{,]\s*)\w+ = ", r"\1", code)
    counts = Counter(WORD.findall(code))
    definitions = re.findall(r"^local (?:function )?([\w, ]+)", code, re.MULTILINE)

    assert sorted(set(WORD.findall(without_table_keys)) - known) == []
    assert [names for names in definitions if all(counts[name] == 1 for name in WORD.findall(names))] == []


def test_a_script_gets_definitions_with_their_comments() -> None:
    """In the place of its include line; the other definitions of the files are left out."""
    header, _, body = FILES["read.lua"].partition("--@include _clock _record\n")
    text = script("read").text

    assert text.startswith(header)
    assert text.endswith(body)
    assert "-- it.\nlocal function read_record(key, now)\n  local packed" in text
    assert "end_verification" in FILES["_record.lua"]
    assert "end_verification" not in text


@pytest.mark.parametrize(
    "name", [name for name in NAMES if re.search("^ +--@include", FILES[f"{name}.lua"], re.MULTILINE)]
)
def test_what_a_block_includes_is_used_in_that_block_only(name: str) -> None:
    """A definition in a block is unknown outside, which the server would report only when a script gets there."""
    code = re.sub(r"--(?!@).*", "", FILES[f"{name}.lua"])
    block = re.compile(r"^( +)--@include (.*)\n((?:\1.*\n)+)", re.MULTILINE)
    everywhere = _defined_by(" ".join(re.findall(r"^--@include (.*)", code, re.MULTILINE)).split())
    inside = _defined_by(" ".join(one[1] for one in block.findall(code)).split())

    assert (inside - everywhere) & set(re.findall(r"\w+", block.sub("", code))) == set()


def _defined_by(included: list[str]) -> set[str]:
    names = re.findall(
        r"^local (?:function )?([\w, ]+)", "".join(FILES[f"{one}.lua"] for one in included), re.MULTILINE
    )
    return set(re.findall(r"\w+", " ".join(names)))


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
