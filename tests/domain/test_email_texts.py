"""The e-mail with a code: subject, text and HTML in every language."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from otp_service.domain.built_in_templates import BUILT_IN
from otp_service.domain.email_texts import EMAIL_LOCALES, EmailText, render
from otp_service.domain.email_wordings import WORDINGS
from otp_service.domain.voice_texts import VOICE_LOCALES

PURPOSES = ("default", "login", "registration", "password_reset")


class _Page(HTMLParser):
    """Collects the visible texts of a page, its tags and its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        self.tags.append(tag)
        self.attributes |= {f"{tag}.{name}": value for name, value in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Require that tags are closed in order."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Record a text."""
        if data.strip():
            self.texts.append(data.strip())


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("locale", sorted(EMAIL_LOCALES))
def test_every_text(locale: str, purpose: str) -> None:
    """Brand first, no code in the subject; the text and the page have the same paragraphs and load nothing."""
    mail = render("Acme", "123456", 5, purpose, locale)
    page = _Page(mail.html)

    assert mail.locale == locale
    assert mail.subject.startswith("Acme: ")
    assert not any(char.isdigit() for char in mail.subject)
    paragraphs = mail.text.removesuffix("\n").split("\n\n")
    assert (paragraphs[0], paragraphs[2]) == ("Acme", "123456")
    assert "5" in paragraphs[3]
    assert len(paragraphs) == 6
    assert "Acme" in paragraphs[4]
    assert page.texts == [mail.subject, *paragraphs]
    assert page.attributes["html.lang"] == locale
    assert set(page.tags) == {"html", "head", "meta", "title", "body", "p", "strong"}
    assert page.open == []
    assert not {name.partition(".")[2] for name in page.attributes} & {"href", "src", "onload", "background"}
    for text in (mail.subject, mail.text, mail.html):
        assert "{" not in text and "}" not in text


def test_every_purpose_has_its_own_wording() -> None:
    """The purpose is named in the subject and above the code."""
    for locale in EMAIL_LOCALES:
        mails = [render("Acme", "123456", 5, purpose, locale) for purpose in PURPOSES]
        assert len({mail.subject for mail in mails}) == len({mail.text for mail in mails}) == len(PURPOSES)


def test_english_text() -> None:
    """The whole text, with a lifetime of one minute."""
    assert render("Acme", "123456", 1, "login", "en-GB").text == (
        "Acme\n\nUse this code to log in:\n\n123456\n\nThe code is valid for 1 minute.\n\n"
        "Never share this code with anyone, not even with people who say that they are from Acme.\n\n"
        "If you did not request this code, ignore this e-mail.\n"
    )


@pytest.mark.parametrize(
    ("locale", "expected"),
    [("", "en"), ("id", "id"), ("id-ID", "id"), ("ID_id", "id"), ("en-US", "en"), ("xx", "en"), ("-", "en"),
     ("idx", "en"), ("id-" * 1000, "id"), ("zh", "zh-Hans"), ("zh-CN", "zh-Hans"), ("zh_TW", "zh-Hant"),
     ("zh-Hant-HK", "zh-Hant"), ("zh-hans-tw", "zh-Hans"), ("in_ID", "id"), ("tl", "fil"), ("pt-BR", "pt")],
)  # fmt: skip
def test_locale(locale: str, expected: str) -> None:
    """A locale is shortened from its end; an unknown one is English."""
    assert render("Acme", "123456", 5, "login", locale).locale == expected


def test_unknown_purpose_gets_the_general_wording() -> None:
    """A tenant's own purpose."""
    assert render("Acme", "1", 5, "transfer", "id") == render("Acme", "1", 5, "default", "id")


def test_brand_is_text() -> None:
    """A brand is escaped in the page, and its braces are no placeholders."""
    mail = render("<b>{brand} & Söhne\"'", "123456", 5, "login", "en")
    assert _Page(mail.html).texts[1] == "<b>{brand} & Söhne\"'"
    assert "<b>" not in mail.html
    assert mail.text.count("<b>{brand} & Söhne\"'") == 2


def test_repr_hides_the_code() -> None:
    """The code stands in no log."""
    assert repr(render("Acme", "123456", 5, "login", "id")) == "EmailText(id)"
    assert isinstance(render("Acme", "123456", 5, "login", "id"), EmailText)


def test_languages_of_other_channels() -> None:
    """E-mails have the languages of SMS and calls; only Arabic is written from right to left."""
    assert {locale.lower() for locale in EMAIL_LOCALES} == {locale.lower() for locale in VOICE_LOCALES}
    for locale in BUILT_IN:
        assert render("Acme", "1", 5, "login", locale).locale[:2] == locale[:2]
    assert {locale for locale, wording in WORDINGS.items() if wording.direction == "rtl"} == {"ar"}
    assert 'lang="ar" dir="rtl"' in render("Acme", "123456", 5, "login", "ar").html


def test_lifetime_of_one_minute() -> None:
    """In the singular, where a language has one."""
    for locale in EMAIL_LOCALES:
        one, several = (render("Acme", "123456", minutes, "login", locale).text for minutes in (1, 2))
        assert "1" in one.split("\n\n")[3]
        assert "2" in several.split("\n\n")[3]
