"""Locales as phones and browsers write them, and which of the available ones fit them best."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

__all__ = ["for_locale", "matching_locales", "normalize_locale"]

T = TypeVar("T")

_ALIASES: Final[Mapping[str, str]] = MappingProxyType({"in": "id", "iw": "he", "ji": "yi", "tl": "fil", "cmn": "zh"})
"""Aliases of language codes. Older Java and Android versions report Indonesian as `in_ID` and Filipino as `tl`, and use
old codes for Hebrew and Yiddish too; `cmn` is Mandarin, which is written in Chinese."""

_TRADITIONAL_CHINESE_REGIONS: Final = frozenset({"tw", "hk", "mo"})
_SCRIPT_CHARS: Final = 4
_MAX_LOCALE_CHARS: Final = 64
"""Longer than every registered language tag; the rest is ignored."""
_MAX_SUBTAGS: Final = 16


def normalize_locale(locale: str) -> str:
    """Return a locale in lower case, with `-` between its parts, and without a POSIX charset or modifier.

    The `#` before the script of a Java locale (`zh_TW_#Hant`) is removed.
    """
    bare = locale[:_MAX_LOCALE_CHARS].partition(".")[0].partition("@")[0]
    language, dash, rest = bare.strip().lower().replace("_", "-").replace("#", "").partition("-")
    return _ALIASES.get(language, language) + dash + rest


def matching_locales(tag: str, available: Collection[str], *, same_script: bool) -> Iterator[str]:
    """Yield the locales that a tag matches, the best first, some twice.

    First what the tag is shortened to from its end (RFC 4647, 3.4), then every locale of its language.

    Args:
        tag: A language tag, or a POSIX or Java locale.
        available: Normalized locales.
        same_script: Leave out locales of the language that are in another script, as far as both are known.
    """
    subtags = normalize_locale(tag).split("-")[:_MAX_SUBTAGS]
    shortened = ("-".join(subtags[:length]) for length in range(len(subtags), 0, -1))
    yield from (locale for locale in shortened if locale in available)
    language, script = subtags[0], _script(subtags)
    regional = f"{language}-"
    for locale in available:
        if locale == language or locale.startswith(regional):
            other = _script(locale.split("-"))
            if not same_script or script == other or not script or not other:
                yield locale


def for_locale(by_locale: Mapping[str, T], locale: str) -> T | None:
    """Return the value for the best match of a locale, None without one; see `matching_locales`.

    Locales are compared without case, and `_` equals `-`; the keys of `by_locale` may be written either way.
    """
    normalized = {normalize_locale(key): value for key, value in by_locale.items()}
    for same_script in (True, False):
        for found in matching_locales(locale, normalized, same_script=same_script):
            return normalized[found]
    return None


def _script(subtags: list[str]) -> str:
    """Return the script of a tag; "" if it follows from the language. That of Chinese follows from the region."""
    if named := next((tag for tag in subtags[1:] if len(tag) == _SCRIPT_CHARS and tag.isalpha()), ""):
        return named
    if subtags[0] != "zh":
        return ""
    return "hans" if _TRADITIONAL_CHINESE_REGIONS.isdisjoint(subtags[1:]) else "hant"
