"""What `check-config` says of texts that cost more than one message (field case E13)."""

from __future__ import annotations

import pytest

from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import config_warnings, load

BENT = "\u2019"


def said(**tenant: object) -> list[str]:
    """Check a config with one tenant, and keep what is said of its texts."""
    document = merged(dev_config("redis://127.0.0.1"), {"tenants": {"demo": tenant}})
    return [line for line in config_warnings(load(document, {}, plain_secrets=True)) if "tenants" in line]


def test_the_built_in_texts_cost_one_message() -> None:
    """With the longest brand that is allowed."""
    assert said(brand="A" * 30) == []


@pytest.mark.parametrize(
    ("template", "cost"),
    [
        ("{brand}: {code}" + BENT, 'the text is UCS-2 because of "\\u2019", and is billed as 1 message'),
        ("{brand}: {code}" + BENT + "x" * 70, 'the text is UCS-2 because of "\\u2019", and is billed as 2 messages'),
        ("{brand}: {code}" + "x" * 160, "the text is billed as 2 messages"),
        ("{brand}: {code}" + "x" * 400, "the text is billed as 3 messages"),
    ],
)
def test_a_template_that_costs_more_is_named(template: str, cost: str) -> None:
    """By its path, with the character that makes it costly."""
    assert said(templates={"id": {"default": template}}) == [f"tenants.demo.templates.id.default: {cost}"]


def test_a_brand_that_costs_more_is_named_once() -> None:
    """It is in every built-in text."""
    [line] = said(brand="Acme" + BENT + "s")
    assert line == (
        'tenants.demo.brand: with it a built-in text is UCS-2 because of "\\u2019", and is billed as 2 messages'
    )


def test_a_text_of_one_message_is_not_named() -> None:
    """160 characters, of which one counts twice, are one message."""
    assert said(templates={"id": {"default": "{code}" + "x" * 152 + "€"}}) == []
