"""The texts a recipient reads, and which one is chosen.

A template knows three placeholders, `{brand}`, `{code}` and `{minutes}`, and nothing else: no
format specs, no attributes, no escapes (`str.format` would reach into objects). It is cut into parts
once; a value that is put in is never looked at again, so a brand spelled `{code}` stays as it is.

The built-in texts name the brand first and end with the warning never to share the code. They are
plain GSM-7 and one segment with a brand of 30 characters, a code of 10 and two-digit minutes. "min"
and "menit" are right behind every number.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Final

Templates = Mapping[str, Mapping[str, "Template"]]
"""By locale, then by purpose or `default`."""

DEFAULT_PURPOSE: Final = "default"

_PLACEHOLDERS: Final = ("brand", "code", "minutes")
_ALLOWED: Final = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
_BRACED: Final = re.compile(r"\{([^{}]*)\}")
_FALLBACK_LANGUAGE: Final = "en"
_COUNTRY_LANGUAGE: Final[Mapping[str, str]] = MappingProxyType({"ID": "id"})
_OLD_LANGUAGE_CODES: Final[Mapping[str, str]] = MappingProxyType({"in": "id", "iw": "he", "ji": "yi"})
"""Java, and so Android, long reported Indonesian as `in_ID`, and Hebrew and Yiddish by old codes as well."""

_HINT_CHARACTERS: Final = 256
_TAGS: Final = 32
_SUBTAGS: Final = 16
"""More of each is nothing that a browser or a phone says."""


class TemplateInvalid(Exception):
    """The source is no template. The message says what was found and what is allowed."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled text: literals at the even places, names of placeholders at the odd ones."""

    parts: tuple[str, ...]

    def render(self, brand: str, code: str, minutes: int) -> str:
        """The text to send. It holds the code in the clear: seal it, never log it."""
        values = {"brand": brand, "code": code, "minutes": str(minutes)}
        return "".join(values[part] if odd % 2 else part for odd, part in enumerate(self.parts))


def compile_template(source: str) -> Template:
    """The template that `source` writes; `{code}` is needed, and may stand twice (`@host #{code}`).

    Raises TemplateInvalid for an unknown placeholder, a brace without its twin, or no `{code}`.
    """
    parts = tuple(_BRACED.split(source))
    literals, names = parts[::2], parts[1::2]
    if unknown := [name for name in names if name not in _PLACEHOLDERS]:
        raise TemplateInvalid(f"unknown placeholder {{{unknown[0]}}}; allowed: {_ALLOWED}")
    if any("{" in literal or "}" in literal for literal in literals):
        raise TemplateInvalid("a brace without its twin; braces stand only around brand, code and minutes")
    if "code" not in names:
        raise TemplateInvalid("{code} is missing: the recipient could not read the code")
    return Template(parts)


def whole_minutes(ttl_seconds: int) -> int:
    """The `minutes` of a text: started minutes of the code's life, at least 1."""
    return max(1, -(-ttl_seconds // 60))


def best_locale(templates: Templates, asked: str, purpose: str) -> str:
    """The locale among the tenant's `templates` and the built-in texts that fits what was asked for; "" for none.

    `asked` is a hint as callers have it: a BCP 47 tag (`zh-Hans-CN`, `ar-EG-u-nu-arab`), a POSIX or Java locale
    (`en_US.UTF-8`, `in_ID`), or the Accept-Language of a browser (`en-US,en;q=0.9`), whose tags are tried in the order
    of their weights. A tag is shortened from its end until a text is found (RFC 4647, 3.4); then any text of its
    language will do. Anything else fits nothing. At most 256 characters are looked at, and 32 tags.
    """
    own = {_normal(key): texts for key, texts in templates.items()}
    return next((step for step in _asked(asked, own) if _found(own, step, purpose)), "")


def choose(templates: Templates, locale: str | None, country: str, purpose: str) -> Template:
    """The text for this reader: a tenant's `templates` first, then the built-in ones, at each step.

    Steps: the locale as `best_locale` reads it, the language of the number's country, English, which is built in, so
    there is always a text. At a step the purpose's own text goes before `default`. Locales compare without case, and
    `_` is `-`.
    """
    own = {_normal(key): texts for key, texts in templates.items()}
    for step in (*_asked(locale or "", own), _COUNTRY_LANGUAGE.get(country, _FALLBACK_LANGUAGE), _FALLBACK_LANGUAGE):
        if found := _found(own, step, purpose):
            return found
    raise LookupError("the built-in English text is missing")  # pragma: no cover


def _found(own: Templates, locale: str, purpose: str) -> Template | None:
    for texts in (own.get(locale, {}), BUILT_IN.get(locale, {})):
        if found := texts.get(purpose) or texts.get(DEFAULT_PURPOSE):
            return found
    return None


def _asked(hint: str, own: Templates) -> Iterator[str]:
    """Give the locales that may fit a hint, the best first."""
    for tag in _tags(hint):
        subtags = _normal(tag).split("-")[:_SUBTAGS]
        for length in range(len(subtags), 0, -1):
            yield "-".join(subtags[:length])
        yield from (locale for locale in own if locale.partition("-")[0] == subtags[0])


def _tags(hint: str) -> list[str]:
    """Read a list of weighted tags (RFC 9110, 12.5.4); without weights or commas it is one tag."""
    weighted = []
    for item in hint[:_HINT_CHARACTERS].split(",")[:_TAGS]:
        tag, _, parameters = item.partition(";")
        if (weight := _weight(parameters)) > 0:
            weighted.append((-weight, tag))
    return [tag for _, tag in sorted(weighted, key=itemgetter(0))]


def _weight(parameters: str) -> float:
    """Read `q=0.9`; what is not written like it weighs nothing less than 1."""
    name, _, value = parameters.partition(";")[0].partition("=")
    digits = value.strip()
    if name.strip().lower() != "q" or not digits.isascii() or not digits.replace(".", "", 1).isdecimal():
        return 1.0
    return float(digits)


def _normal(locale: str) -> str:
    """Write a locale in lower case, with `-` between its parts, without a POSIX charset or variant behind it."""
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
