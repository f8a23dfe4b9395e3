"""Warnings about providers whose gateway cannot be given a URL for receipts."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.crypto.keyring import Keyring
from otp_service.delivery.receipts import ReceiptTokens
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import config_warnings, load
from otp_service.settings.warnings import RECEIPT_TOKEN_CHARS
from otp_service.store.keys import ALL_PARTITIONS, new_verification_id
from tests.config_parts import demo_policy

KEDASMS = {"type": "kedasms", "api_key": "k", "encryption_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
VONAGE = {"type": "vonage", "api_key": "abcd1234", "api_secret": "s", "from": "Acme"}
SIGNED = VONAGE | {"signature_secret": "x"}
NO_URL = "providers.first: without server.public_url it cannot send receipts: messages stay in status sent"
TOO_LONG = "providers.first: its receipt URLs are 2 characters too long: messages stay in status sent"
LONGEST = "https://" + "a" * 24
"""With the provider's name `first`, a receipt URL below it has 100 characters."""


@pytest.mark.parametrize(
    ("provider", "public_url", "expected"),
    [
        (KEDASMS, None, [NO_URL]),
        (VONAGE, None, [NO_URL]),
        (SIGNED, None, []),
        (SIGNED | {"receipts": "token"}, None, [NO_URL]),
        (VONAGE, LONGEST, []),
        (VONAGE, LONGEST + "aa", [TOO_LONG]),
        (SIGNED, LONGEST + "a", []),
        (KEDASMS, LONGEST + "a", []),
    ],
)
def test_receipt_urls(provider: dict[str, Any], public_url: str | None, expected: list[str]) -> None:
    """A provider that authenticates receipts by a token needs a public URL; Vonage one of at most 100 characters."""
    over: dict[str, Any] = {"providers": {"first": provider}, "routes": [{"providers": ["first"]}]}
    if public_url:
        over["server"] = {"public_url": public_url}
    document = merged(dev_config("redis://127.0.0.1"), demo_policy(channels=["sms"])) | over
    assert config_warnings(load(document, {}, plain_secrets=True)) == expected


def test_length_of_the_token() -> None:
    """The warning counts with the length that a token of a receipt URL has."""
    tokens = ReceiptTokens(Keyring({"k": bytes(32)}, current="k", index="k"), "https://x")
    url = tokens.url("first", new_verification_id(ALL_PARTITIONS[0]), call=99)
    assert len(url.rpartition("/")[2]) == RECEIPT_TOKEN_CHARS
