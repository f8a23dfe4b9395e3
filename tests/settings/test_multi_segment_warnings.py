"""Warnings about templates that are billed as more than one message."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import config_warnings, load

EMPTY: Mapping[str, object] = MappingProxyType({})
BENT = "\u2019"
PRICED = {
    "one": {"type": "inbox", "price": {"ID": "0.015"}},
    "two": {"type": "inbox", "price": {"SG": "0.05", "default": "0.1"}},
    "three": {"type": "inbox", "price": {"default": "1"}, "currency": "EUR"},
    "four": {"type": "inbox", "price": {"default": "1"}},
    "free": {"type": "inbox"},
    "aurora": {"type": "sendcloud", "sms_user": "a", "sms_key": "b", "template_id": 1},
}


def text_warnings(routes: object = None, policy: Mapping[str, object] = EMPTY, **tenant: object) -> list[str]:
    """Return the warnings about the texts of a tenant; `routes` replaces the route to the inbox."""
    demo = {**tenant, "policy": {"channels": ["sms"], **policy}}
    changed = {"tenants": {"demo": demo}, **({"routes": routes} if routes else {}), "providers": PRICED}
    document = merged(dev_config("redis://127.0.0.1"), changed)
    return [line for line in config_warnings(load(document, {}, plain_secrets=True)) if "tenants" in line]


def test_built_in_templates_are_one_segment() -> None:
    """The built-in templates are one segment with a brand of 20 characters and the longest code and minutes."""
    assert text_warnings(brand="A" * 20, policy={"code_length": 10, "ttl_seconds": 600}) == []


@pytest.mark.parametrize(
    ("template", "cost"),
    [
        ("{brand}: {code}" + BENT, 'the text is UCS-2 because of "\\u2019", and is billed as 1 message'),
        ("{brand}: {code}" + BENT + "x" * 70, 'the text is UCS-2 because of "\\u2019", and is billed as 2 messages'),
        ("{brand}: {code}" + "x" * 160, "the text is billed as 2 messages"),
        ("{brand}: {code}" + "x" * 400, "the text is billed as 3 messages"),
        ("Demo: {code}" + "x" * 160, "the text is billed as 2 messages"),
        ("{code}", "the text does not name the brand: the recipient cannot tell whose code it is; add {brand}"),
    ],
)
def test_expensive_template_is_named(template: str, cost: str) -> None:
    """A template of several segments, or in UCS-2, is named with its path and the character that causes it."""
    assert text_warnings(templates={"id": {"default": template}}) == [f"tenants.demo.templates.id.default: {cost}"]


def test_a_template_in_a_language_of_ucs2() -> None:
    """It is named only if it is longer than a segment: its language has no GSM-7."""
    assert text_warnings(templates={"zh_CN": {"default": "【{brand}】验证码{code}"}}) == []
    [line] = text_warnings(templates={"zh_CN": {"default": "【{brand}】验证码{code}" + "验" * 60}})
    assert line == "tenants.demo.templates.zh_CN.default: the text is billed as 2 messages"


def test_expensive_brand_is_named() -> None:
    """A brand that makes the built-in templates UCS-2, or too long in the languages of UCS-2, is named."""
    [line] = text_warnings(brand="Acme" + BENT + "s")
    assert line == (
        'tenants.demo.brand: with it a built-in text is UCS-2 because of "\\u2019", and is billed as 2 messages'
    )
    [line] = text_warnings(brand="A" * 27)
    assert line == "tenants.demo.brand: with it the built-in texts in ar, hi, ja, ko, th, vi are billed as 2 messages"


def test_only_texts_that_the_tenant_uses() -> None:
    """Built-in texts are not named where the tenant has its own, or has no such purpose."""
    own = {locale: {"default": "{brand} {code}"} for locale in ("ar", "hi", "ja", "ko", "th", "vi")}
    assert text_warnings(brand="A" * 27, templates=own) == []
    own = {locale: {"default": "{brand} {code}"} for locale in ("ar", "hi")}
    [line] = text_warnings(brand="A" * 25, templates=own)
    assert line == "tenants.demo.brand: with it the built-in texts in vi are billed as 2 messages"
    assert text_warnings(brand="A" * 25, templates=own, purposes=["login", "transfer"]) == []


def test_full_segment_is_not_named() -> None:
    """160 characters, one of which counts twice, are one segment."""
    assert text_warnings(templates={"id": {"default": "{code} Demo" + "x" * 147 + "€"}}) == []


APPS = {"web": {"domain": "login.example.com"}, "droid": {"hash": "FA+9qCX9VSu"}}


def test_expensive_line_of_an_app_is_named() -> None:
    """The longest line counts; a text that is long without it is not named again."""
    texts = {"default": "{brand}: {code}" + "x" * 130, "login": "{brand}: {code}" + "x" * 90}
    lines = text_warnings(apps={"web": APPS["web"]}, templates={"id": texts})
    assert (
        lines[0] == "tenants.demo.templates.id.default: with the line of the app web the text is billed as 2 messages"
    )
    assert [line.partition(": ")[0] for line in lines[1:]] == ["tenants.demo.apps.web"]
    lines = text_warnings(apps={"web": APPS["web"]}, templates={"id": {"default": "{brand} {code}" + "x" * 160}})
    assert [line.partition(": ")[0] for line in lines] == ["tenants.demo.templates.id.default", "tenants.demo.apps.web"]


def test_apps_that_built_in_texts_are_too_long_for() -> None:
    """A web site's line makes a second segment in UCS-2; an Android app's hash is left out where it does not fit."""
    assert text_warnings(apps=APPS, brand="B" * 17) == [
        "tenants.demo.apps.web: with its line built-in texts in ar, hi, ja, ko, th, vi, zh-hans, zh-hant"
        " are billed as 2 messages",
        "tenants.demo.apps.droid: built-in texts in ar, hi, ja, ko, th, vi are too long for Android with the hash,"
        " and go without it",
    ]


def test_what_several_segments_cost() -> None:
    """Segments times the prices of the providers to which the tenant's SMS are routed: the lowest and the highest."""
    routes = [
        {"country": "ID", "providers": ["one"]},
        {"providers": ["two", "free", "three"]},
        {"channel": "whatsapp", "providers": ["four"]},
    ]
    text: dict[str, Any] = {"templates": {"id": {"default": "{brand}: {code}" + "x" * 160}}, "country": "ID"}
    path = "tenants.demo.templates.id.default: the text is billed as 2 messages"
    assert text_warnings(routes, **text, countries=["ID"]) == [f"{path} (0.03 USD at one)"]
    assert text_warnings(routes, **text, countries=["ID", "SG", "MY"]) == [
        f"{path} (0.03 USD at one, 0.1 to 0.2 USD at two, 2 EUR at three)"
    ]
    every = [{"providers": ["one", "two", "three", "four"]}]
    assert text_warnings(every, **text, countries=["ID"])[0].endswith("2 EUR at three and 1 more)")


def test_a_provider_that_sends_a_text_of_its_own() -> None:
    """No app reads the templates of a gateway."""
    routes = [{"providers": ["aurora", "inbox"]}]
    lines = text_warnings(routes, apps={"droid": APPS["droid"]}, brand="B")
    assert lines == ["tenants.demo.apps: no app reads the messages of aurora, because it sends a text of its own"]


def test_a_provider_that_cannot_name_a_transaction() -> None:
    """The templates of a gateway name no transaction, so such messages go to the next provider."""
    routes = [{"providers": ["aurora", "inbox"]}]
    texts = {"id": {"login": "{brand}: {code} {amount} {currency} {payee}"}}
    [line] = text_warnings(routes, templates=texts)
    assert line == (
        "tenants.demo.templates: aurora rejects messages that name a transaction, because it sends a text of its own"
    )
