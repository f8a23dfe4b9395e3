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
_OLD_LANGUAGE_CODES: Final[Mapping[str, str]] = MappingProxyType({"in": "id"})
"""Java, and so Android, long reported Indonesian as `in_ID`."""


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


def choose(templates: Templates, locale: str | None, country: str, purpose: str) -> Template:
    """The text for this reader: a tenant's `templates` first, then the built-in ones, at each step.

    Steps: the locale as asked for, its language alone, the language of the number's country,
    English, which is built in, so there is always a text. At a step the purpose's own text goes
    before `default`. Locales compare without case, and `_` is `-`.
    """
    own = {_normal(key): texts for key, texts in templates.items()}
    for step in _steps(locale, country):
        for texts in (own.get(step, {}), BUILT_IN.get(step, {})):
            if found := texts.get(purpose) or texts.get(DEFAULT_PURPOSE):
                return found
    raise LookupError("the built-in English text is missing")  # pragma: no cover


def _steps(locale: str | None, country: str) -> Iterator[str]:
    asked = _normal(locale or "")
    yield asked
    yield asked.partition("-")[0]
    yield _COUNTRY_LANGUAGE.get(country, _FALLBACK_LANGUAGE)
    yield _FALLBACK_LANGUAGE


def _normal(locale: str) -> str:
    language, dash, rest = locale.strip().lower().replace("_", "-").partition("-")
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
