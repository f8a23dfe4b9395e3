"""The e-mail with a code: subject, plain text and HTML, in the language of the recipient.

The subject begins with the brand and names the purpose. It does not contain the code, because subjects are shown on
lock screens and stay in lists of messages. The body names the purpose, gives the code on a line of its own and its
lifetime, says not to share it and what to do if it was not requested (OWASP, NIST SP 800-63B-4, 3.1.3).

The HTML has the same content. It loads nothing, contains no link, names its language and direction for screen readers,
and is readable without styles.

A purpose that a language does not list gets its general wording, and an unknown language is English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Final

from otp_service.domain.email_wordings import DEFAULT_PURPOSE, WORDINGS
from otp_service.domain.locale_lookup import for_locale

__all__ = ["EMAIL_LOCALES", "EmailText", "render"]

FALLBACK_LOCALE: Final = "en"

EMAIL_LOCALES: Final = frozenset(WORDINGS)
"""The locales that an `EmailText` can have."""

_LOCALES: Final = MappingProxyType({locale: locale for locale in WORDINGS})


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


def render(brand: str, code: str, minutes: int, purpose: str, locale: str) -> EmailText:
    """Return the e-mail with a code.

    Args:
        brand: The tenant's brand. It is escaped in the HTML.
        code: The code.
        minutes: How long the code is valid.
        purpose: What the code is for.
        locale: A language tag such as `id` or `en-GB`; "" or an unknown one is English.
    """
    chosen = for_locale(_LOCALES, locale) or FALLBACK_LOCALE
    wording = WORDINGS[chosen]
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
