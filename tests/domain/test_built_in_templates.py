"""The built-in texts of SMS: every language and purpose, its length, and what each of them says."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from otp_service.cli.tables import align
from otp_service.domain.apps import App
from otp_service.domain.built_in_templates import BUILT_IN
from otp_service.domain.sms_segments import Encoding, count_segments, measure

BRAND = "Telekomunikasi Nusan"
LONGEST_BRAND = "Perusahaan Telekomunikasi Raya"
LONGEST_CODE = "1234567890"
ALL = [(locale, purpose) for locale, texts in BUILT_IN.items() for purpose in texts]
GSM7_LOCALES = {"de", "en", "es", "fil", "fr", "id", "ms", "pt", "pt-br"}
WITHOUT_MINUTES = {"ar", "hi", "th", "vi"}
WARNINGS = {
    "ar": "لا تشاركه مع أحد",
    "de": "Geben Sie ihn nie weiter.",
    "en": "Never share it with anyone.",
    "es": "No la compartas con nadie.",
    "fil": "Huwag itong ibigay kahit kanino.",
    "fr": "Ne le partagez jamais.",
    "hi": "किसी को न बताएं।",
    "id": "Jangan berikan kepada siapa pun.",
    "ja": "他人に教えないでください。",
    "ko": "타인에게 알려주지 마세요",
    "ms": "Jangan kongsi dengan sesiapa.",
    "pt": "Nunca o partilhe com ninguém.",
    "pt-br": "Nunca compartilhe com ninguém.",
    "th": "ห้ามบอกผู้อื่น",
    "vi": "Đừng chia sẻ với ai.",
    "zh-hans": "请勿告知他人。",
    "zh-hant": "請勿告知他人。",
}


def render(locale: str, purpose: str, brand: str = BRAND, code: str = LONGEST_CODE, minutes: int = 10) -> str:
    """Render a built-in text."""
    return BUILT_IN[locale][purpose].render(brand, code, minutes)


def test_every_language_has_every_purpose() -> None:
    """Each language has login, registration, password_reset and default."""
    purposes = {"login", "registration", "password_reset", "default"}
    assert {locale: set(texts) for locale, texts in BUILT_IN.items()} == dict.fromkeys(WARNINGS, purposes)


def test_table_of_every_text() -> None:
    """With a brand of 20 characters, a code of 10 digits and two-digit minutes each text is one segment.

    The table is shown with `pytest -rP`.
    """
    assert (len(BRAND), len(LONGEST_CODE)) == (20, 10)
    sizes = {(locale, purpose): measure(render(locale, purpose)) for locale, purpose in ALL}
    rows = [
        (locale, purpose, str(size.units), size.encoding.value, str(size.segments))
        for (locale, purpose), size in sizes.items()
    ]
    sys.stdout.write(align([("LOCALE", "PURPOSE", "CHARACTERS", "ENCODING", "SEGMENTS"), *rows]) + "\n")
    assert {key: size.segments for key, size in sizes.items() if size.segments != 1} == {}
    assert {locale for (locale, _), size in sizes.items() if size.encoding is Encoding.GSM7} == GSM7_LOCALES


@pytest.mark.parametrize("locale", sorted(GSM7_LOCALES))
def test_gsm7_texts_with_the_longest_brand(locale: str) -> None:
    """They are one segment with 30 characters too, and fit an Android app's 140 bytes with 20."""
    for purpose in BUILT_IN[locale]:
        assert count_segments(render(locale, purpose, LONGEST_BRAND)) == 1
        text = render(locale, purpose)
        assert App(hash="FA+9qCX9VSu").add_line(text, LONGEST_CODE) == f"{text}\nFA+9qCX9VSu"
        if locale in {"en", "id"}:
            assert count_segments(render(locale, purpose, "€" * 30)) == 1


@pytest.mark.parametrize(("locale", "purpose"), ALL)
def test_what_a_text_says(locale: str, purpose: str) -> None:
    """The brand comes first, then the code, the minutes and the warning, each once; four languages lack minutes."""
    text = render(locale, purpose, "Acme", "987654", 5)
    assert text.lstrip("[【").startswith("Acme")
    assert text.endswith(WARNINGS[locale])
    assert text.count("Acme") == text.count("987654") == text.count(WARNINGS[locale]) == 1
    assert text.index("Acme") < text.index("987654") < text.index(WARNINGS[locale])
    after_code = text[text.index("987654") + len("987654") :]
    assert [char for char in after_code if char.isdecimal()] == ([] if locale in WITHOUT_MINUTES else ["5"])


def test_each_purpose_has_its_own_text() -> None:
    """The texts of a language differ, also without their brackets and numbers."""
    for texts in BUILT_IN.values():
        assert len({template.parts for template in texts.values()}) == len(texts)


@pytest.mark.parametrize("brand", ["Acme", "متجر"])
@pytest.mark.parametrize("purpose", list(BUILT_IN["ar"]))
def test_the_arabic_code_is_read_from_left_to_right(purpose: str, brand: str) -> None:
    """The code is the only number, stands between spaces, and nothing weak or neutral ends the line.

    So the Unicode Bidirectional Algorithm keeps its digits in order and apart from the words, whether the first letter
    (of the brand) makes the line run from left to right or from right to left.
    """
    text = render("ar", purpose, brand, "123456")
    before, after = text.split("123456")
    assert before == f"{brand}: " and after.startswith(" ")
    assert not any(char.isdecimal() for char in before + after)
    assert {unicodedata.bidirectional(char) for char in after} <= {"AL", "WS", "CS"}
    assert unicodedata.bidirectional(after[-1]) == "AL"


def test_complete_messages() -> None:
    """One message of several languages, in full."""
    assert [
        render(locale, purpose, "Acme", "012345", 5)
        for locale, purpose in (
            ("en", "password_reset"),
            ("id", "default"),
            ("de", "login"),
            ("es", "registration"),
            ("ja", "login"),
            ("ko", "login"),
            ("zh-hant", "registration"),
            ("vi", "password_reset"),
        )
    ] == [
        "Acme: 012345 is your code to reset your password. Valid for 5 min. Never share it with anyone.",
        "Acme: kode verifikasi Anda 012345. Berlaku 5 menit. Jangan berikan kepada siapa pun.",
        "Acme: 012345 ist Ihr Code zum Anmelden. 5 Min. gültig. Geben Sie ihn nie weiter.",
        "Acme: 012345 es tu clave para crear tu cuenta. Vence en 5 min. No la compartas con nadie.",
        "【Acme】ログインの認証コード：012345（5分間有効）。他人に教えないでください。",
        "[Acme] 로그인 인증번호 012345 (5분간 유효) 타인에게 알려주지 마세요",
        "【Acme】您的註冊驗證碼為012345，5分鐘內有效，請勿告知他人。",
        "Acme: mã đổi mật khẩu 012345. Đừng chia sẻ với ai.",
    ]
