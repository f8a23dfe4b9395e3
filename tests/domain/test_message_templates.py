"""The texts a recipient reads, and which one is chosen."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.domain.sms_segments import characters_outside_gsm7, count_segments
from otp_service.domain.templates import (
    BUILT_IN,
    Template,
    TemplateInvalid,
    choose_template,
    compile_template,
    match_locale,
    validity_minutes,
)

LONGEST_BRAND = "Perusahaan Telekomunikasi Raya"
ALL = [(locale, purpose) for locale, texts in BUILT_IN.items() for purpose in texts]
NONE: Mapping[str, Mapping[str, Template]] = {}


def _texts(**by_locale: str) -> dict[str, dict[str, Template]]:
    """Templates from `locale="purpose purpose"`; each text is `<locale> <purpose> {code}`."""
    return {
        locale: {purpose: compile_template(f"{locale} {purpose} {{code}}") for purpose in purposes.split()}
        for locale, purposes in by_locale.items()
    }


def _chosen(
    own: Mapping[str, Mapping[str, Template]], locale: str | None, country: str = "SG", purpose: str = "login"
) -> str:
    return choose_template(own, locale, country, purpose).render("B", "1", 5)


def test_both_languages_have_every_purpose() -> None:
    """English and Indonesian, each with login, registration, password_reset and default."""
    purposes = {"login", "registration", "password_reset", "default"}
    assert {locale: set(texts) for locale, texts in BUILT_IN.items()} == {"en": purposes, "id": purposes}


@pytest.mark.parametrize(("locale", "purpose"), ALL)
def test_a_built_in_text_is_one_plain_segment(locale: str, purpose: str) -> None:
    """Longest brand, code of 10, two-digit minutes: GSM-7 without escapes, one segment."""
    assert len(LONGEST_BRAND) == 30
    text = BUILT_IN[locale][purpose].render(LONGEST_BRAND, "1234567890", 10)
    assert not characters_outside_gsm7(text) and len(text) <= 160
    assert count_segments(text) == 1
    assert count_segments(BUILT_IN[locale][purpose].render("€" * 30, "1234567890", 10)) == 1


@pytest.mark.parametrize(("locale", "purpose"), ALL)
def test_a_built_in_text_says_all_in_order(locale: str, purpose: str) -> None:
    """Brand first, then the code, the minutes and the warning, each once."""
    text = BUILT_IN[locale][purpose].render("Acme", "987654", 5)
    warning = {"en": "Never share it with anyone.", "id": "Jangan berikan kepada siapa pun."}[locale]
    assert text.startswith("Acme: ") and text.endswith(warning)
    assert text.index("987654") < text.index(" 5 ") < text.index(warning)
    assert text.count("Acme") == text.count("987654") == text.count(" 5 ") == 1


def test_each_purpose_has_its_own_sentence() -> None:
    """No two built-in texts are the same."""
    assert len({BUILT_IN[locale][purpose].parts for locale, purpose in ALL}) == len(ALL)


def test_the_texts_as_they_are_read() -> None:
    """One of each language, whole."""
    assert BUILT_IN["en"]["password_reset"].render("Acme", "012345", 1) == (
        "Acme: 012345 is your code to reset your password. Valid for 1 min. Never share it with anyone."
    )
    assert BUILT_IN["id"]["default"].render("Acme", "012345", 5) == (
        "Acme: kode verifikasi Anda 012345. Berlaku 5 menit. Jangan berikan kepada siapa pun."
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{code}", "0042"),
        ("{brand}: {code} ({minutes})", "Acme: 0042 (5)"),
        ("{code}\n@acme.example #{code}", "0042\n@acme.example #0042"),
        ("%s $code {code} \\{brand}", "%s $code 0042 \\Acme"),
    ],
)
def test_a_template_renders(source: str, text: str) -> None:
    """Placeholders are filled, as often as they stand; everything else is literal."""
    assert compile_template(source).render("Acme", "0042", 5) == text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "{code} is missing"),
        ("Your code", "{code} is missing"),
        ("{brand} {minutes}", "{code} is missing"),
        ("{code} {name}", "unknown placeholder {name}"),
        ("{code} {}", "unknown placeholder {}"),
        ("{code} {0}", "unknown placeholder"),
        ("{ code }", "unknown placeholder"),
        ("{Code}", "unknown placeholder"),
        ("{code:>9}", "unknown placeholder"),
        ("{code!r}", "unknown placeholder"),
        ("{code} {brand.__class__}", "unknown placeholder"),
        ("{code} {brand[0]}", "unknown placeholder"),
        ("{code} {", "brace"),
        ("{code} }", "brace"),
        ("{{code}}", "brace"),
        ("{code} {bra{nd}", "unknown placeholder"),
        ("{code", "brace"),
    ],
)
def test_a_broken_template_is_refused(source: str, said: str) -> None:
    """Unknown names, attributes, specs, stray braces and a missing code are refused, with the reason."""
    with pytest.raises(TemplateInvalid, match=said.replace("{", r"\{").replace("}", r"\}")):
        compile_template(source)


def test_a_value_is_never_read_as_a_template() -> None:
    """A brand that looks like a placeholder stays as it is."""
    rendered = compile_template("{brand} {code}").render("{code}{brand.__class__}{", "0042", 5)
    assert rendered == "{code}{brand.__class__}{ 0042"


@settings(deadline=None)
@given(st.text(alphabet="{}codebrandminutes .!:", max_size=30))
def test_any_source_compiles_or_is_refused(source: str) -> None:
    """No source raises anything but TemplateInvalid, and a rendered text has no brace left."""
    try:
        text = compile_template(source).render("B", "1234", 5)
    except TemplateInvalid:
        return
    assert "1234" in text
    assert "{" not in text and "}" not in text


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 1), (10, 1), (60, 1), (61, 2), (90, 2), (300, 5), (600, 10)])
def test_whole_minutes(seconds: int, minutes: int) -> None:
    """A started minute counts, and there is at least one."""
    assert validity_minutes(seconds) == minutes


@pytest.mark.parametrize(
    ("locale", "country", "language"),
    [
        ("en", "ID", "en"),
        ("id", "US", "id"),
        ("ID", "US", "id"),
        ("id-ID", "US", "id"),
        ("id_ID", "US", "id"),
        ("in_ID", "US", "id"),
        ("EN_gb", "ID", "en"),
        (None, "ID", "id"),
        ("", "ID", "id"),
        ("jv", "ID", "id"),
        ("jv", "SG", "en"),
        (None, "SG", "en"),
        (None, "001", "en"),
        ("../../etc", "SG", "en"),
    ],
)
def test_the_language(locale: str | None, country: str, language: str) -> None:
    """The locale, its language, the country's language, English; without case, `_` as `-`."""
    assert choose_template(NONE, locale, country, "login") is BUILT_IN[language]["login"]


def test_an_unknown_purpose_takes_the_default() -> None:
    """A tenant's own purpose without a text gets the general one."""
    assert choose_template(NONE, "en", "ID", "transfer") is BUILT_IN["en"]["default"]


def test_a_tenants_text_wins_at_its_step() -> None:
    """Even its default goes before the built-in text of the purpose."""
    assert _chosen(_texts(en="default"), "en") == "en default 1"
    assert _chosen(_texts(en="default login"), "en") == "en login 1"
    assert _chosen(_texts(id="default"), None, "ID") == "id default 1"


def test_a_tenants_text_does_not_win_at_a_later_step() -> None:
    """A reader who asked for Indonesian gets it, although the tenant wrote English only."""
    assert choose_template(_texts(en="login"), "id", "SG", "login") is BUILT_IN["id"]["login"]
    assert choose_template(_texts(fr="login"), None, "SG", "login") is BUILT_IN["en"]["login"]


def test_a_tenants_purpose_may_be_missing() -> None:
    """Without this purpose and without a default, the built-in text of the same step is used."""
    assert choose_template(_texts(en="registration"), "en", "SG", "login") is BUILT_IN["en"]["login"]


def test_a_tenants_regional_text() -> None:
    """The exact locale goes before the language, however either of them is written."""
    own = {**_texts(pt="default"), **_texts(PT_br="default")}
    assert _chosen(own, "pt-BR") == "PT_br default 1"
    assert _chosen(own, "pt-PT") == "pt default 1"
    assert _chosen(_texts(in_ID="default"), "id-ID") == "in_ID default 1"


REGIONAL = _texts(ar="default") | {"pt-BR": _texts(x="default")["x"], "zh-Hans": _texts(x="login")["x"]}


@pytest.mark.parametrize(
    ("asked", "locale"),
    [
        ("ar", "ar"),
        ("ar-EG-u-nu-arab", "ar"),
        ("AR_eg", "ar"),
        ("pt-BR", "pt-br"),
        ("pt_BR.UTF-8", "pt-br"),
        ("pt-PT", "pt-br"),
        ("pt", "pt-br"),
        ("zh-Hans-CN", "zh-hans"),
        ("zh_CN_#Hans", "zh-hans"),
        ("en-US,en;q=0.9", "en"),
        ("en_US@euro", "en"),
        ("en_US.UTF-8@x", "en"),
        (" in_ID ", "id"),
        ("fr, ar;q=0.2, id;q=0.8", "id"),
        ("fr;q=1.0, ar;q=0.9, id;q=0.8", "ar"),
        ("ar;q=0, id;q=0.1", "id"),
        ("ar;q=0.0", ""),
        ("ar;q=nothing", "ar"),
        ("ar;level=1", "ar"),
        ("ar; Q = 0.1, id;q=0.2", "id"),
        ("*, id;q=0.1", "id"),
        ("", ""),
        ("*", ""),
        ("C", ""),
        ("POSIX", ""),
        ("fr", ""),
        (",;,;q=", ""),
        ("-", ""),
        ("x" * 300, ""),
        ("fr," * 31 + "id", "id"),
        ("fr," * 100 + "id", ""),
    ],
)
def test_the_locale_that_fits_a_hint(asked: str, locale: str) -> None:
    """Tags in the order of their weights, each shortened until there is a text, then any of its language."""
    assert match_locale(REGIONAL, asked, "login") == locale


def test_a_locale_without_a_text_for_the_purpose_does_not_fit() -> None:
    """What is found has a text for this purpose, or a general one."""
    assert match_locale(REGIONAL, "zh-Hans,en;q=0.5", "login") == "zh-hans"
    assert match_locale(REGIONAL, "zh-Hans,en;q=0.5", "registration") == "en"


@given(st.text(max_size=300))
def test_any_hint_gives_a_short_locale_of_ours(hint: str) -> None:
    """So that what is kept of it is bounded, whatever was said, and gives the same text again."""
    locale = match_locale(REGIONAL, hint, "login")
    assert locale in ("", "ar", "pt-br", "zh-hans", "en", "id")
    assert choose_template(REGIONAL, locale, "ID", "login") is choose_template(REGIONAL, hint, "ID", "login")
