"""Find what is configured or written for a locale: of the locale itself, or else of what it is shortened to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

__all__ = ["for_locale"]

T = TypeVar("T")

_MAX_LOCALE_CHARS: Final = 64
"""Longer than every registered language tag; the rest is ignored."""


def for_locale(by_locale: Mapping[str, T], locale: str) -> T | None:
    """Return the value for a locale, which is shortened from its end until one is found (RFC 4647, 3.4).

    Locales are compared without case, and `_` equals `-`; the keys of `by_locale` may be written either way.
    """
    normalized = {_normalize(key): value for key, value in by_locale.items()}
    wanted = _normalize(locale[:_MAX_LOCALE_CHARS])
    while wanted:
        if wanted in normalized:
            return normalized[wanted]
        wanted = wanted.rpartition("-")[0]
    return None


def _normalize(locale: str) -> str:
    return locale.lower().replace("_", "-")
