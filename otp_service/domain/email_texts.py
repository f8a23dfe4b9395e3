"""The e-mail with a code: subject, plain text and HTML, in the language of the recipient.

The subject begins with the brand and names the purpose. It does not contain the code, because subjects are shown on
lock screens and stay in lists of messages. The body names the purpose, gives the code on a line of its own and its
lifetime, says not to share it and what to do if it was not requested (OWASP, NIST SP 800-63B-4, 3.1.3).

The HTML has the same content. It loads nothing, contains no link, names its language and direction for screen readers,
and is readable without styles.

A language is one entry of `_WORDINGS`. A purpose that it does not list gets the general wording, and an unknown
language English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Final, Literal

from otp_service.domain.locale_lookup import for_locale

__all__ = ["EMAIL_LOCALES", "EmailText", "render"]

DEFAULT_PURPOSE: Final = "default"
FALLBACK_LOCALE: Final = "en"


@dataclass(frozen=True, slots=True)
class EmailText:
    """What an e-mail says, in the language of `locale`. `text` and `html` are secret and not part of the `repr`."""

    subject: str
    text: str
    html: str
    locale: str

    def __repr__(self) -> str:
        """Show the locale only."""
        return f"EmailText({self.locale})"


@dataclass(frozen=True, slots=True)
class _Wording:
    """The sentences of one language.

    Attributes:
        subjects: What follows the brand in the subject, by purpose or `default`.
        introductions: The line above the code, by purpose or `default`.
        minutes: A lifetime of 1 minute, and one of several, with `{minutes}`.
        warning: Not to share the code, with `{brand}`.
        unexpected: What to do if the code was not requested.
        direction: How the language is written.
    """

    subjects: Mapping[str, str]
    introductions: Mapping[str, str]
    minutes: tuple[str, str]
    warning: str
    unexpected: str
    direction: Literal["ltr", "rtl"] = "ltr"


def render(brand: str, code: str, minutes: int, purpose: str, locale: str) -> EmailText:
    """Return the e-mail with a code.

    Args:
        brand: The tenant's brand. It is escaped in the HTML.
        code: The code.
        minutes: How long the code is valid.
        purpose: What the code is for.
        locale: A language tag such as `id` or `en-GB`; "" or an unknown one is English.
    """
    chosen, wording = for_locale(_BY_LOCALE, locale) or (FALLBACK_LOCALE, _WORDINGS[FALLBACK_LOCALE])
    validity = wording.minutes[minutes != 1].replace("{minutes}", str(minutes))
    warning = brand.join(wording.warning.split("{brand}"))
    introduction = _of_purpose(wording.introductions, purpose)
    subject = f"{brand}: {_of_purpose(wording.subjects, purpose)}"
    paragraphs = (brand, introduction, code, validity, warning, wording.unexpected)
    html = _html(chosen, wording.direction, subject, paragraphs)
    return EmailText(subject, "\n\n".join(paragraphs) + "\n", html, chosen)


def _of_purpose(texts: Mapping[str, str], purpose: str) -> str:
    return texts.get(purpose, texts[DEFAULT_PURPOSE])


def _html(locale: str, direction: str, subject: str, paragraphs: tuple[str, str, str, str, str, str]) -> str:
    """Return the HTML. The code is one element of digits, so that it can be selected, and is always left to right."""
    brand, introduction, code, validity, warning, unexpected = map(escape, paragraphs)
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="{locale}" dir="{direction}">\n'
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(subject)}</title></head>\n"
        '<body style="font-family: sans-serif; font-size: 16px; line-height: 1.5">\n'
        f"<p><strong>{brand}</strong></p>\n"
        f"<p>{introduction}</p>\n"
        f'<p style="font-size: 32px; letter-spacing: 4px"><strong dir="ltr">{code}</strong></p>\n'
        f"<p>{validity}</p>\n"
        f"<p>{warning}</p>\n"
        f"<p>{unexpected}</p>\n"
        "</body>\n"
        "</html>\n"
    )


def _purposes(default: str, login: str, registration: str, password_reset: str) -> Mapping[str, str]:
    return MappingProxyType(
        {DEFAULT_PURPOSE: default, "login": login, "registration": registration, "password_reset": password_reset}
    )


_WORDINGS: Final[Mapping[str, _Wording]] = MappingProxyType(
    {
        "en": _Wording(
            _purposes(
                "your verification code",
                "your code to log in",
                "your code to create your account",
                "your code to reset your password",
            ),
            _purposes(
                "Use this code for verification:",
                "Use this code to log in:",
                "Use this code to create your account:",
                "Use this code to reset your password:",
            ),
            ("The code is valid for 1 minute.", "The code is valid for {minutes} minutes."),
            "Never share this code with anyone, not even with people who say that they are from {brand}.",
            "If you did not request this code, ignore this e-mail.",
        ),
        "id": _Wording(
            _purposes(
                "kode verifikasi Anda",
                "kode masuk Anda",
                "kode pendaftaran akun Anda",
                "kode atur ulang kata sandi Anda",
            ),
            _purposes(
                "Gunakan kode ini untuk verifikasi:",
                "Gunakan kode ini untuk masuk:",
                "Gunakan kode ini untuk mendaftarkan akun Anda:",
                "Gunakan kode ini untuk mengatur ulang kata sandi Anda:",
            ),
            ("Kode berlaku selama {minutes} menit.",) * 2,
            "Jangan berikan kode ini kepada siapa pun, termasuk orang yang mengaku dari {brand}.",
            "Jika Anda tidak meminta kode ini, abaikan e-mail ini.",
        ),
    }
)
_BY_LOCALE: Final = MappingProxyType({locale: (locale, wording) for locale, wording in _WORDINGS.items()})

EMAIL_LOCALES: Final = frozenset(_WORDINGS)
"""The locales that an `EmailText` can have."""
