"""Warnings about templates that are billed as more than one message."""

from __future__ import annotations

import pytest

from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import config_warnings, load

BENT = "\u2019"


def text_warnings(**tenant: object) -> list[str]:
    """Return the warnings about the texts of a tenant."""
    document = merged(dev_config("redis://127.0.0.1"), {"tenants": {"demo": tenant}})
    return [line for line in config_warnings(load(document, {}, plain_secrets=True)) if "tenants" in line]


def test_built_in_templates_are_one_segment() -> None:
    """The built-in templates are one segment with the longest brand."""
    assert text_warnings(brand="A" * 30) == []


@pytest.mark.parametrize(
    ("template", "cost"),
    [
        ("{brand}: {code}" + BENT, 'the text is UCS-2 because of "\\u2019", and is billed as 1 message'),
        ("{brand}: {code}" + BENT + "x" * 70, 'the text is UCS-2 because of "\\u2019", and is billed as 2 messages'),
        ("{brand}: {code}" + "x" * 160, "the text is billed as 2 messages"),
        ("{brand}: {code}" + "x" * 400, "the text is billed as 3 messages"),
    ],
)
def test_expensive_template_is_named(template: str, cost: str) -> None:
    """A template of several segments, or in UCS-2, is named with its path and the character that causes it."""
    assert text_warnings(templates={"id": {"default": template}}) == [f"tenants.demo.templates.id.default: {cost}"]


def test_expensive_brand_is_named_once() -> None:
    """A brand that makes the built-in templates UCS-2 is named once."""
    [line] = text_warnings(brand="Acme" + BENT + "s")
    assert line == (
        'tenants.demo.brand: with it a built-in text is UCS-2 because of "\\u2019", and is billed as 2 messages'
    )


def test_full_segment_is_not_named() -> None:
    """160 characters, one of which counts twice, are one segment."""
    assert text_warnings(templates={"id": {"default": "{code}" + "x" * 152 + "€"}}) == []
