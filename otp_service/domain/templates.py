"""The message templates: how they are compiled, and which one is chosen.

A template has three placeholders, `{brand}`, `{code}` and `{minutes}`, and nothing else: no format specifications, no
attributes, no escapes (`str.format` would give access to objects). It is divided into parts once. An inserted value is
not parsed again, so a brand spelled `{code}` is sent literally.

The built-in templates begin with the brand, and end with the warning never to share the code. They are plain GSM-7, and
one segment with a brand of 30 characters, a code of 10 digits and two-digit minutes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Final

Templates = Mapping[str, Mapping[str, "Template"]]
"""Templates by locale, then by purpose or `default`."""

DEFAULT_PURPOSE: Final = "default"

_PLACEHOLDERS: Final = ("brand", "code", "minutes")
_ALLOWED: Final = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
_BRACED: Final = re.compile(r"\{([^{}]*)\}")
_FALLBACK_LANGUAGE: Final = "en"
_COUNTRY_LANGUAGE: Final[Mapping[str, str]] = MappingProxyType({"ID": "id"})
_OLD_LANGUAGE_CODES: Final[Mapping[str, str]] = MappingProxyType({"in": "id", "iw": "he", "ji": "yi"})
"""Older Java and Android versions report Indonesian as `in_ID`, and use old codes for Hebrew and Yiddish too."""

_MAX_LOCALE_CHARS: Final = 256
_MAX_TAGS: Final = 32
_MAX_SUBTAGS: Final = 16
"""No browser or phone sends more of each; the rest is ignored."""


class TemplateInvalid(Exception):
    """The source is not a template. The message says what was found, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: literal text at even indexes of `parts`, names of placeholders at odd ones."""

    parts: tuple[str, ...]

    def render(self, brand: str, code: str, minutes: int) -> str:
        """Return the text to send. It contains the code: never log it."""
        values = {"brand": brand, "code": code, "minutes": str(minutes)}
        return "".join(values[part] if index % 2 else part for index, part in enumerate(self.parts))


def compile_template(source: str) -> Template:
    """Compile a template. `{code}` is required, and may appear twice (`@host #{code}`).

    Raises:
        TemplateInvalid: There is an unknown placeholder, a single brace, or no `{code}`.
    """
    parts = tuple(_BRACED.split(source))
    literals, names = parts[::2], parts[1::2]
    if unknown := [name for name in names if name not in _PLACEHOLDERS]:
        raise TemplateInvalid(f"unknown placeholder {{{unknown[0]}}}; allowed: {_ALLOWED}")
    if any("{" in literal or "}" in literal for literal in literals):
        raise TemplateInvalid("a single brace; use braces only around brand, code and minutes")
    if "code" not in names:
        raise TemplateInvalid("{code} is missing; add it where the message shows the code")
    return Template(parts)


def validity_minutes(ttl_seconds: int) -> int:
    """Return the `minutes` of a message: how long the code is valid, rounded up."""
    return max(1, -(-ttl_seconds // 60))


def match_locale(templates: Templates, requested: str, purpose: str) -> str:
    """Return the locale of the tenant's or the built-in templates that matches best; "" if none does.

    Args:
        templates: The templates of the tenant.
        requested: A BCP 47 tag (`zh-Hans-CN`, `ar-EG-u-nu-arab`), a POSIX or Java locale (`en_US.UTF-8`, `in_ID`), or
            the Accept-Language of a browser (`en-US,en;q=0.9`), whose tags are tried in the order of their weights. A
            tag is shortened from its end until a template is found (RFC 4647, 3.4); then any template of its language
            matches. Anything else matches nothing. Only the first 256 characters and 32 tags are used.
        purpose: The purpose that the template is for.
    """
    own = {_normalize(key): texts for key, texts in templates.items()}
    return next((candidate for candidate in _candidates(requested, own) if _find(own, candidate, purpose)), "")


def choose_template(templates: Templates, locale: str | None, country: str, purpose: str) -> Template:
    """Return the template of a message.

    Tries the locales that `match_locale` would try, then the language of the number's country, then English. For each,
    the tenant's `templates` go before the built-in ones, and a template for the purpose goes before `default`. Locales
    are compared without case, and `_` equals `-`.
    """
    own = {_normalize(key): texts for key, texts in templates.items()}
    by_country = _COUNTRY_LANGUAGE.get(country, _FALLBACK_LANGUAGE)
    for candidate in (*_candidates(locale or "", own), by_country, _FALLBACK_LANGUAGE):
        if found := _find(own, candidate, purpose):
            return found
    raise LookupError("the built-in English template is missing")  # pragma: no cover - they ship with the package


def _find(own: Templates, locale: str, purpose: str) -> Template | None:
    for texts in (own.get(locale, {}), BUILT_IN.get(locale, {})):
        if found := texts.get(purpose) or texts.get(DEFAULT_PURPOSE):
            return found
    return None


def _candidates(requested: str, own: Templates) -> Iterator[str]:
    """Yield the locales that can match, the best first."""
    for tag in _tags(requested):
        subtags = _normalize(tag).split("-")[:_MAX_SUBTAGS]
        for length in range(len(subtags), 0, -1):
            yield "-".join(subtags[:length])
        yield from (locale for locale in own if locale.partition("-")[0] == subtags[0])


def _tags(requested: str) -> list[str]:
    """Return the tags of an Accept-Language list (RFC 9110, 12.5.4), the highest weight first."""
    weighted = []
    for item in requested[:_MAX_LOCALE_CHARS].split(",")[:_MAX_TAGS]:
        tag, _, parameters = item.partition(";")
        if (weight := _weight(parameters)) > 0:
            weighted.append((-weight, tag))
    return [tag for _, tag in sorted(weighted, key=itemgetter(0))]


def _weight(parameters: str) -> float:
    """Return the weight of `q=0.9`; 1 for anything else."""
    name, _, value = parameters.partition(";")[0].partition("=")
    digits = value.strip()
    if name.strip().lower() != "q" or not digits.isascii() or not digits.replace(".", "", 1).isdecimal():
        return 1.0
    return float(digits)


def _normalize(locale: str) -> str:
    """Return a locale in lower case, with `-` between its parts, and without a POSIX charset or modifier."""
    bare = locale.partition(".")[0].partition("@")[0]
    language, dash, rest = bare.strip().lower().replace("_", "-").partition("-")
    return _OLD_LANGUAGE_CODES.get(language, language) + dash + rest


def _compiled(texts: Mapping[str, str]) -> Mapping[str, Template]:
    return MappingProxyType({purpose: compile_template(source) for purpose, source in texts.items()})


_EN_END: Final = " Valid for {minutes} min. Never share it with anyone."
_ID_END: Final = " Berlaku {minutes} menit. Jangan berikan kepada siapa pun."

BUILT_IN: Final[Templates] = MappingProxyType(
    {
        "en": _compiled(
            {
                "default": "{brand}: {code} is your verification code." + _EN_END,
                "login": "{brand}: {code} is your code to log in." + _EN_END,
                "registration": "{brand}: {code} is your code to create your account." + _EN_END,
                "password_reset": "{brand}: {code} is your code to reset your password." + _EN_END,
            }
        ),
        "id": _compiled(
            {
                "default": "{brand}: kode verifikasi Anda {code}." + _ID_END,
                "login": "{brand}: kode masuk Anda {code}." + _ID_END,
                "registration": "{brand}: kode pendaftaran akun Anda {code}." + _ID_END,
                "password_reset": "{brand}: kode atur ulang kata sandi Anda {code}." + _ID_END,
            }
        ),
    }
)
