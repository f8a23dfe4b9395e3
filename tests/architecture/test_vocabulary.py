"""No name uses a word that was given up; a failure shows its place and the word to use instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.given_up_words import NAMES, NOT_YET, PHRASES, WORDS
from tests.architecture.source_names import ROOT, DefinedName, defined_names, lua_files, python_files, replacement


def findings(path: Path, names: Iterator[DefinedName]) -> Iterator[tuple[str, str]]:
    """Yield each forbidden word in these names, with a message."""
    for found in (DefinedName(path.stem, 0), *names):
        if given_up := replacement(found.name, WORDS, NAMES):
            word, instead = given_up
            yield word, f"{path}:{found.line}: `{found.name}`: instead of `{word}` write {instead}"


def findings_in(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each forbidden word in the names of a file and in its own name, with a message."""
    is_python = path.suffix == ".py"
    yield from findings(path, defined_names((ROOT / path).read_text(encoding="utf-8")) if is_python else iter(()))


def test_no_name_uses_a_word_that_was_given_up() -> None:
    """Classes, functions, arguments, variables, attributes, modules and Lua files have names without these words."""
    wrong = [
        message
        for path in (*python_files(), *lua_files())
        for word, message in findings_in(path)
        if str(path) not in NOT_YET.get(word, ())
    ]
    assert not wrong, "\n".join(wrong)


def test_no_text_uses_a_phrase_that_was_given_up() -> None:
    """The docstrings, comments and texts of the service have none of these phrases, also across a line end."""
    phrases = re.compile(r"\b(" + "|".join(phrase.replace(" ", r"\s+(?:-- )?") for phrase in PHRASES) + r")\b")
    wrong = []
    for path in (*python_files(), *lua_files()):
        if path.parts[0] == "otp_service":
            text = (ROOT / path).read_text(encoding="utf-8")
            for found in phrases.finditer(text):
                phrase = re.sub(r"\s+(-- )?", " ", found[1])
                line = text.count("\n", 0, found.start()) + 1
                wrong.append(f"{path}:{line}: instead of `{phrase}` write {PHRASES[phrase]}")
    assert not wrong, "\n".join(wrong)


def test_no_exception_is_obsolete() -> None:
    """`NOT_YET` lists only words and files that still need it."""
    listed = {(word, path) for word, paths in NOT_YET.items() for path in paths}
    used = {(word, path) for _, path in listed for word, _ in findings_in(Path(path))}
    assert listed <= used


@pytest.mark.parametrize(
    "source",
    [
        "class Courier: ...",
        "class _Way: ...",
        "def judge_code(): ...",
        "async def untake(): ...",
        "def check(wrong_guess): ...",
        "def check(*, gateway_id=None): ...",
        "class Record:\n    doubtful_ms: int",
        "self.standing = 1",
        "for doubtful_row in found: ...",
        "MAX_GUESSES = 5",
        "from otp_service.store import records as courier",
        "with gate() as desk: ...",
        "try: ...\nexcept ValueError as hindrance: ...",
        "match found:\n    case Spare() as vault: ...",
        "[living for living in found]",
        "if vault := found(): ...",
    ],
)
def test_a_bad_name_is_found(source: str) -> None:
    """The check finds the word wherever a name is defined."""
    assert [word for word, _ in findings(Path("good.py"), defined_names(source))] != []


@pytest.mark.parametrize(
    "source",
    [
        "class Gateway: ...",
        "def calling_code(): ...",
        "outstanding = 1",
        "prejudged = 1",
        "call = 1",
        "x.guess()",
        "Way()",
    ],
)
def test_a_good_name_is_accepted(source: str) -> None:
    """A part of a longer word is allowed, and so is the use of a name that is defined elsewhere."""
    assert list(findings(Path("good.py"), defined_names(source))) == []


@pytest.mark.parametrize("path", ["otp_service/store/lua/untake.lua", "tests/store/test_guess.py"])
def test_a_bad_file_name_is_found(path: str) -> None:
    """File names are checked, too."""
    assert [word for word, _ in findings(Path(path), iter(()))] == [Path(path).stem.removeprefix("test_")]


def test_the_message_has_the_replacement() -> None:
    """The message has the place, the forbidden word and its replacement."""
    [(_, message)] = findings(Path("good.py"), defined_names("\nclass Courier: ..."))
    assert message == "good.py:2: `Courier`: instead of `courier` write OutboxWorker"
