"""Opt-outs: which inbound messages ask to get no more messages, and which end that."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "DEFAULT_START_WORDS",
    "DEFAULT_STOP_WORDS",
    "InboundClaim",
    "OptOutAction",
    "OptOutEffect",
    "OptOutWords",
    "normalize_word",
]

DEFAULT_STOP_WORDS: Final = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "BERHENTI", "UNREG", "BATAL")
DEFAULT_START_WORDS: Final = ("START", "UNSTOP", "YES", "MULAI")

MAX_TEXT_CHARS: Final = 160
"""Characters of an inbound message that are examined."""

MAX_STOP_WORDS: Final = 3
"""A message that begins with a stop word is an opt-out if it has at most this many words, such as `UNREG OTP`."""


class OptOutAction(StrEnum):
    """What an inbound message, a gateway or an operator does to a number."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"


class OptOutEffect(StrEnum):
    """What a change of an opt-out did. `KNOWN`: its inbound message was handled before."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class InboundClaim:
    """The lease of an inbox. `cursor`: up to which time it was read, in Unix seconds; None: it never was."""

    cursor: int | None


class OptOutWords:
    """The configured words. An opt-in is one word alone, so that no sentence ends an opt-out by accident."""

    def __init__(self, stop: Iterable[str] = DEFAULT_STOP_WORDS, start: Iterable[str] = DEFAULT_START_WORDS) -> None:
        self._stop = frozenset(map(normalize_word, stop))
        self._start = frozenset(map(normalize_word, start))

    def action_of(self, text: str) -> OptOutAction | None:
        """Return what a message asks for; None for any other message."""
        words = [word for part in text[:MAX_TEXT_CHARS].split() if (word := normalize_word(part))]
        if not words or len(text) > MAX_TEXT_CHARS:
            return None
        if words[0] in self._stop and len(words) <= MAX_STOP_WORDS:
            return OptOutAction.OPT_OUT
        return OptOutAction.OPT_IN if len(words) == 1 and words[0] in self._start else None


def normalize_word(word: str) -> str:
    """Return a word without case, without the difference of full-width letters, and without other characters."""
    return "".join(char for char in unicodedata.normalize("NFKC", word).casefold() if char.isalnum())
