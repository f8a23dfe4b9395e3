"""The message templates: how they are compiled, and which one is chosen."""

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
    """Make templates from `locale="purpose purpose"`; each is `<locale> <purpose> {code}`."""
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
def test_a_built_in_template_fits_one_segment(locale: str, purpose: str) -> None:
    """With the longest brand, a code of 10 digits and two-digit minutes it is GSM-7 and one segment."""
    assert len(LONGEST_BRAND) == 30
    text = BUILT_IN[locale][purpose].render(LONGEST_BRAND, "1234567890", 10)
    assert not characters_outside_gsm7(text) and len(text) <= 160
    assert count_segments(text) == 1
    assert count_segments(BUILT_IN[locale][purpose].render("€" * 30, "1234567890", 10)) == 1


@pytest.mark.parametrize(("locale", "purpose"), ALL)
def test_order_of_a_built_in_template(locale: str, purpose: str) -> None:
    """The brand comes first, then the code, the minutes and the warning, each once."""
    text = BUILT_IN[locale][purpose].render("Acme", "987654", 5)
    warning = {"en": "Never share it with anyone.", "id": "Jangan berikan kepada siapa pun."}[locale]
    assert text.startswith("Acme: ") and text.endswith(warning)
    assert text.index("987654") < text.index(" 5 ") < text.index(warning)
    assert text.count("Acme") == text.count("987654") == text.count(" 5 ") == 1


def test_each_purpose_has_its_own_template() -> None:
    """No two built-in templates are the same."""
    assert len({BUILT_IN[locale][purpose].parts for locale, purpose in ALL}) == len(ALL)


def test_complete_built_in_messages() -> None:
    """One message of each language, in full."""
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
    """Each occurrence of a placeholder is replaced; everything else is literal."""
    assert compile_template(source).render("Acme", "0042", 5) == text


@pytest.mark.parametrize(
    ("source", "error"),
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
def test_an_invalid_template_is_refused(source: str, error: str) -> None:
    """Unknown names, attributes, format specifications, single braces and a missing code are refused."""
    with pytest.raises(TemplateInvalid, match=error.replace("{", r"\{").replace("}", r"\}")):
        compile_template(source)


def test_a_value_is_not_parsed_as_a_template() -> None:
    """A brand that looks like a placeholder is sent literally."""
    rendered = compile_template("{brand} {code}").render("{code}{brand.__class__}{", "0042", 5)
    assert rendered == "{code}{brand.__class__}{ 0042"


@settings(deadline=None)
@given(st.text(alphabet="{}codebrandminutes .!:", max_size=30))
def test_any_source_compiles_or_is_refused(source: str) -> None:
    """Compiling raises nothing but TemplateInvalid, and a rendered message contains no brace."""
    try:
        text = compile_template(source).render("B", "1234", 5)
    except TemplateInvalid:
        return
    assert "1234" in text
    assert "{" not in text and "}" not in text


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 1), (10, 1), (60, 1), (61, 2), (90, 2), (300, 5), (600, 10)])
def test_validity_minutes(seconds: int, minutes: int) -> None:
    """Minutes are rounded up, to at least one."""
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
def test_language_of_a_built_in_template(locale: str | None, country: str, language: str) -> None:
    """The locale goes before its language, the country's language and English; case and `_` do not matter."""
    assert choose_template(NONE, locale, country, "login") is BUILT_IN[language]["login"]


def test_an_unknown_purpose_uses_the_default_template() -> None:
    """A tenant's own purpose without a template uses `default`."""
    assert choose_template(NONE, "en", "ID", "transfer") is BUILT_IN["en"]["default"]


def test_a_tenants_template_goes_before_a_built_in_one() -> None:
    """For the same locale, even its `default` goes before the built-in template of the purpose."""
    assert _chosen(_texts(en="default"), "en") == "en default 1"
    assert _chosen(_texts(en="default login"), "en") == "en login 1"
    assert _chosen(_texts(id="default"), None, "ID") == "id default 1"


def test_the_locale_goes_before_the_tenants_template() -> None:
    """A request for Indonesian gets it, although the tenant has only an English template."""
    assert choose_template(_texts(en="login"), "id", "SG", "login") is BUILT_IN["id"]["login"]
    assert choose_template(_texts(fr="login"), None, "SG", "login") is BUILT_IN["en"]["login"]


def test_a_tenant_without_a_template_for_the_purpose() -> None:
    """Without a template for this purpose and without `default`, the built-in one of the same locale is used."""
    assert choose_template(_texts(en="registration"), "en", "SG", "login") is BUILT_IN["en"]["login"]


def test_a_tenants_regional_template() -> None:
    """The exact locale goes before the language, in any notation."""
    own = {**_texts(pt="default"), **_texts(PT_br="default")}
    assert _chosen(own, "pt-BR") == "PT_br default 1"
    assert _chosen(own, "pt-PT") == "pt default 1"
    assert _chosen(_texts(in_ID="default"), "id-ID") == "in_ID default 1"


REGIONAL = _texts(ar="default") | {"pt-BR": _texts(x="default")["x"], "zh-Hans": _texts(x="login")["x"]}


@pytest.mark.parametrize(
    ("requested", "locale"),
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
def test_match_locale(requested: str, locale: str) -> None:
    """Tags are tried by weight; each is shortened until there is a template, then any of its language matches."""
    assert match_locale(REGIONAL, requested, "login") == locale


def test_a_locale_without_a_template_for_the_purpose_does_not_match() -> None:
    """A matching locale has a template for this purpose, or `default`."""
    assert match_locale(REGIONAL, "zh-Hans,en;q=0.5", "login") == "zh-hans"
    assert match_locale(REGIONAL, "zh-Hans,en;q=0.5", "registration") == "en"


@given(st.text(max_size=300))
def test_any_input_gives_a_known_locale(requested: str) -> None:
    """The stored locale is one of few, whatever was sent, and it chooses the same template as the input."""
    locale = match_locale(REGIONAL, requested, "login")
    assert locale in ("", "ar", "pt-br", "zh-hans", "en", "id")
    assert choose_template(REGIONAL, locale, "ID", "login") is choose_template(REGIONAL, requested, "ID", "login")
