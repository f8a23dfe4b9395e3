"""Which template a message gets: the best match of a locale among the tenant's and the built-in templates."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.domain.built_in_templates import BUILT_IN
from otp_service.domain.locale_matching import choose_template, match_locale
from otp_service.domain.templates import Template, compile_template

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
    assert choose_template(_texts(en="login"), "fr", "SG", "login") is BUILT_IN["fr"]["login"]


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
        ("pt-Arab", "pt-br"),
        ("zh-CN", "zh-hans"),
        ("zh-TW", "zh-hant"),
        ("zh-Latn", "zh-hans"),
        ("zh-Hans-CN", "zh-hans"),
        ("zh_CN_#Hans", "zh-hans"),
        ("en-US,en;q=0.9", "en"),
        ("en_US@euro", "en"),
        ("en_US.UTF-8@x", "en"),
        (" in_ID ", "id"),
        ("nl, ar;q=0.2, id;q=0.8", "id"),
        ("nl;q=1.0, ar;q=0.9, id;q=0.8", "ar"),
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
        ("fr", "fr"),
        ("nl", ""),
        (",;,;q=", ""),
        ("-", ""),
        ("x" * 300, ""),
        ("nl," * 31 + "id", "id"),
        ("nl," * 100 + "id", ""),
    ],
)
def test_match_locale(requested: str, locale: str) -> None:
    """Tags are tried by weight; each is shortened until there is a template, then any of its language matches."""
    assert match_locale(REGIONAL, requested, "login") == locale


def test_a_locale_without_a_template_for_the_purpose_does_not_match() -> None:
    """A matching locale has a template for this purpose, or `default`."""
    assert match_locale(REGIONAL, "zh-Hans,en;q=0.5", "login") == "zh-hans"
    assert match_locale(_texts(nl="login"), "nl,en;q=0.5", "login") == "nl"
    assert match_locale(_texts(nl="login"), "nl,en;q=0.5", "registration") == "en"


@given(st.text(max_size=300))
def test_any_input_gives_a_known_locale(requested: str) -> None:
    """The stored locale is one of few, whatever was sent, and it chooses the same template as the input."""
    locale = match_locale(REGIONAL, requested, "login")
    assert locale in {"", *BUILT_IN}
    assert choose_template(REGIONAL, locale, "ID", "login") is choose_template(REGIONAL, requested, "ID", "login")


@pytest.mark.parametrize(
    ("requested", "locale"),
    [
        ("de-AT", "de"),
        ("ko_KR.UTF-8", "ko"),
        ("ja-JP", "ja"),
        ("es-419", "es"),
        ("ES_mx", "es"),
        ("fr-CH", "fr"),
        ("pt", "pt"),
        ("pt-PT", "pt"),
        ("pt-AO", "pt"),
        ("PT_br", "pt-br"),
        ("ar-EG-u-nu-arab", "ar"),
        ("hi-IN", "hi"),
        ("vi-VN", "vi"),
        ("th-TH-u-ca-buddhist", "th"),
        ("ms-MY", "ms"),
        ("ms-Arab-MY", "ms"),
        ("fil-PH", "fil"),
        ("tl", "fil"),
        ("tl_PH", "fil"),
        ("zh", "zh-hans"),
        ("zh-CN", "zh-hans"),
        ("zh-SG", "zh-hans"),
        ("zh-Hans-HK", "zh-hans"),
        ("zh_CN_#Hans", "zh-hans"),
        ("zh-TW", "zh-hant"),
        ("zh_HK", "zh-hant"),
        ("zh-MO", "zh-hant"),
        ("ZH-HANT-CN", "zh-hant"),
        ("zh_TW_#Hant", "zh-hant"),
        ("zh_SG_#Hant", "zh-hant"),
        ("zh-Hant-TW-x-private-use", "zh-hant"),
        ("zh-Latn-pinyin", "zh-hans"),
        ("cmn-Hant-TW", "zh-hant"),
        ("yue-HK", ""),
        ("sv, zh-TW;q=0.9, en;q=0.8", "zh-hant"),
    ],
)
def test_match_of_a_built_in_template(requested: str, locale: str) -> None:
    """Region, then script, then language; Chinese is written as its region writes it, unless the tag names a script."""
    assert match_locale(NONE, requested, "login") == locale
    assert choose_template(NONE, requested, "SG", "login") is BUILT_IN[locale or "en"]["login"]


@pytest.mark.parametrize(
    ("own", "requested", "locale"),
    [
        ("pt-BR", "pt-PT", "pt-br"),
        ("pt", "pt-BR", "pt"),
        ("en-GB", "en-US", "en-gb"),
        ("zh-Hans", "zh-TW", "zh-hant"),
        ("zh-CN", "zh-TW", "zh-hant"),
        ("zh-CN", "zh", "zh-cn"),
        ("zh-TW", "zh-HK", "zh-tw"),
        ("zh", "zh-TW", "zh"),
        ("tl", "fil-PH", "fil"),
    ],
)
def test_a_tenants_template_in_the_language(own: str, requested: str, locale: str) -> None:
    """It goes before a built-in one of the language, even of the exact region, but not before its script."""
    templates = {own: {"default": compile_template("own {code}")}}
    assert match_locale(templates, requested, "login") == locale
    rendered = choose_template(templates, requested, "SG", "login").render("B", "1", 5)
    assert (rendered == "own 1") is (locale in {own.lower(), "fil"})


def test_a_tenants_regional_template_for_the_countrys_language() -> None:
    """Without a locale, the tenant's template in the language of the country is used, whatever its region."""
    assert _chosen({"id-ID": _texts(x="default")["x"]}, None, "ID") == "x default 1"
    assert _chosen({"en-GB": _texts(x="default")["x"]}, None, "SG") == "x default 1"
