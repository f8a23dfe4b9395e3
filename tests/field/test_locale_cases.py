"""Locales as phones and browsers send them; cases from public bug reports, with their ids."""

from __future__ import annotations

from typing import Any

import pytest

from tests.problem_assertions import assert_one_field_error
from tests.running_service import RunningService, ServiceFactory

LOCALES = {
    "C27": [
        "ar-EG-u-nu-arab",
        "en-US,en;q=0.9",
        "en_US.UTF-8",
        "",
        "en_US@euro",
        "*",
        "C",
        "zh-Hant-TW-x-private-use",
        "fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5",
        "-",
        ",,,",
        ";q=",
        "\u0000",
        "\U0001f600",
        "x" * 256,
        "../../etc",
    ],
    "C29": ["in_ID", "id_ID", "EN", "zh-Hans-CN", "es-419", "fil"],
}


@pytest.mark.parametrize(
    "locale", [pytest.param(one, id=f"{case}-{n}") for case, row in LOCALES.items() for n, one in enumerate(row)]
)
async def test_no_locale_stops_a_login(service: RunningService, locale: str) -> None:
    """A locale is a hint: any string is accepted."""
    verification_id, _ = await service.request_code(locale=locale)
    assert len(verification_id) == 23


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        pytest.param("en-US,en;q=0.9", "code to log in", id="C27-browser"),
        pytest.param("en_US.UTF-8", "code to log in", id="C27-posix"),
        pytest.param("nl-BE,nl;q=0.9,en;q=0.8,id;q=0.7", "code to log in", id="C27-weights"),
        pytest.param("nl,id;q=0.2,en;q=0.1", "kode masuk", id="C27-order"),
        pytest.param("", "kode masuk", id="C27-empty"),
        pytest.param("*", "kode masuk", id="C27-any"),
        pytest.param("fr-CH,fr;q=0.9,en;q=0.8", "pour vous connecter", id="C27-built-in"),
        pytest.param("ar-EG-u-nu-arab", "رمزك", id="C27-extension"),
        pytest.param("jv", "kode masuk", id="C27-unknown"),
        pytest.param("in_ID", "kode masuk", id="C29-java"),
        pytest.param("EN", "code to log in", id="C29-case"),
        pytest.param("zh-Hans-CN", "验证码", id="C29-script"),
        pytest.param("zh_TW", "您的登入驗證碼", id="C29-region"),
        pytest.param("tl_PH", "para mag-log in", id="C29-old-code"),
    ],
)
async def test_the_best_matching_template_is_used(make_service: ServiceFactory, locale: str, words: str) -> None:
    """The tenant's and the built-in templates are matched; without a match, the country's language is used."""
    templates = {"ar": {"default": "رمزك {code}"}, "zh-Hans": {"default": "验证码 {code}"}}
    service = await make_service({"tenants": {"demo": {"templates": templates}}})
    verification_id, _ = await service.request_code(locale=locale)
    assert words in (await service.message_of(verification_id)).text


@pytest.mark.parametrize("locale", [17, ["id"], {"tag": "id"}, True, "x" * 257], ids=[f"C27-no-{n}" for n in range(5)])
async def test_an_invalid_locale_is_rejected(service: RunningService, locale: Any) -> None:
    """Only another JSON type, or more than 256 characters, is an error."""
    assert assert_one_field_error(await service.request(locale=locale))[0] == "/locale"
