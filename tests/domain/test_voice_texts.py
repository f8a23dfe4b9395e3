"""What a call says: in each language the code digit by digit and twice, the purpose, and the warning."""

from __future__ import annotations

import re

import pytest

from otp_service.domain.voice_texts import VOICE_LOCALES, render, voice_locale

PURPOSES = ("default", "login", "registration", "password_reset")
NOT_SHARE = {
    "en": "Never share", "id": "Jangan berikan", "ar": "لا تشارك", "de": "niemals weiter", "es": "No comparta",
    "fil": "Huwag ibigay", "fr": "Ne communiquez", "hi": "किसी को न बताएं", "ja": "教えないで", "ko": "알려 주지 마세요",
    "ms": "Jangan kongsi", "pt": "Nunca compartilhe", "th": "ห้ามบอก", "vi": "Không chia sẻ", "zh-Hans": "请勿",
    "zh-Hant": "請勿",
}  # fmt: skip


def test_every_language_is_there() -> None:
    """English, Indonesian, and thirteen others, Chinese in both scripts."""
    assert NOT_SHARE.keys() == VOICE_LOCALES
    assert len(VOICE_LOCALES) == 16


@pytest.mark.parametrize("locale", sorted(VOICE_LOCALES))
def test_what_each_language_says(locale: str) -> None:
    """Twice the digits, apart; a text for each purpose; the brand, the minutes, the warning; nothing left to insert."""
    texts = {purpose: render("Acme", "190466", 7, purpose, locale) for purpose in PURPOSES}
    for spoken in texts.values():
        digits = re.findall(r"(?:\d(?:, |\u060c |\u3001)){5}\d", spoken.text)
        assert [re.sub(r"\D", "", run) for run in digits] == ["190466"] * 2
        assert not re.search(r"\d\d", spoken.text), "a run of digits is read as a number"
        assert ("Acme" in spoken.text, "7" in spoken.text, NOT_SHARE[locale] in spoken.text) == (True, True, True)
        assert not set(spoken.text) & set("{}<>&")
        assert spoken.locale == locale
    assert len({spoken.text for spoken in texts.values()}) == len(PURPOSES)
    assert render("Acme", "190466", 7, "wire_transfer", locale) == texts["default"]


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("de-AT", "de"), ("in_ID", "id"), ("tl", "fil"), ("pt-br", "pt"), ("zh", "zh-Hans"), ("zh-CN", "zh-Hans"),
        ("zh_TW", "zh-Hant"), ("zh-Hant-HK", "zh-Hant"), ("zh-Hans-HK", "zh-Hans"), ("zh-hant", "zh-Hant"),
        ("cmn-TW", "zh-Hant"), ("ZH-HANT", "zh-Hant"), ("nl", "en"), ("", "en"), ("-", "en"), ("x" * 999, "en"),
    ],
)  # fmt: skip
def test_language_of_a_tag(locale: str, expected: str) -> None:
    """A tag selects its language, Chinese by script or region; an unknown one gets English."""
    assert voice_locale(locale) == expected
    assert render("Acme", "123456", 5, "login", locale).locale == expected


def test_one_minute() -> None:
    """Languages that have a singular use it."""
    assert "for 1 minute." in render("Acme", "123456", 1, "login", "en").text
    assert "for 2 minutes." in render("Acme", "123456", 2, "login", "en").text
    assert "1 Minute gültig" in render("Acme", "123456", 1, "login", "de").text


def test_brand_is_not_parsed() -> None:
    """A brand that looks like a placeholder is spoken literally."""
    assert render("{code}{x}", "123456", 5, "login", "en").text.startswith("Hello. This is {code}{x}. Your code")


def test_no_secret_in_the_repr() -> None:
    """The text contains the code."""
    assert repr(render("Acme", "123456", 5, "login", "en")) == "VoiceText(en)"
