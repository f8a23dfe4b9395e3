"""`sender_ids`: countries, the form of a sender, and one sender for all other countries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otp_service.providers.vonage.config import VonageConfig
from otp_service.settings import ConfigError, Settings

FindErrors = Callable[..., tuple[ConfigError, ...]]


@pytest.mark.parametrize("sender", ["Acme", "A", "Acme Tech 1", "1Acme", "A&B+C_D-E", "12345", "+15005550006", "123"])
def test_sender(loaded: Callable[..., Settings], sender: str) -> None:
    """Eleven characters with a letter, or digits with or without a plus."""
    provider = loaded(("providers.vonage.sender_ids", {"ID": sender})).providers["vonage"]
    assert isinstance(provider, VonageConfig)
    assert provider.sender_ids == {"ID": sender}


@pytest.mark.parametrize(
    "sender", ["", "Acme Technol", "12", "1" * 16, "++1234", "Ac\nme", "Café", "é", "1 2 3", "+Acme!"]
)
def test_sender_that_no_network_shows(find_errors: FindErrors, sender: str) -> None:
    """Too long, too short, or with other characters."""
    [error] = find_errors(("providers.vonage.sender_ids", {"ID": sender}))
    assert error.path == "providers.vonage.sender_ids.ID"


DEFAULT = {"default": "Acme"}


@pytest.mark.parametrize(
    ("edits", "path"),
    [
        ((("vonage.sender_ids", {"id": "Acme"}),), "vonage.sender_ids.id"),
        ((("vonage.sender_ids", DEFAULT),), "vonage.sender_ids.default"),
        ((("twilio.sender_ids", DEFAULT),), "twilio.sender_ids.default"),
        ((("keda.sender_id", "A"), ("keda.sender_ids", DEFAULT)), "keda.sender_ids.default"),
        ((("own.sender", "A"), ("own.sender_ids", DEFAULT)), "own.sender_ids.default"),
        ((("vonage.from", None),), "vonage.from"),
        ((("vonage.from", None), ("vonage.sender_ids", {"ID": "Acme"})), "vonage.from"),
        ((("own.body", '{"from": "{sender}"}'), ("own.sender_ids", {"ID": "A"})), "own.sender"),
    ],
)
def test_senders_of_all_countries(find_errors: FindErrors, edits: tuple[Any, ...], path: str) -> None:
    """Only countries are named, and all other countries have one sender where one is needed."""
    errors = find_errors(*((f"providers.{key}", value) for key, value in edits))
    assert path in [error.path.removeprefix("providers.") for error in errors]


def test_default_replaces_the_key(loaded: Callable[..., Settings]) -> None:
    """`default` is the sender of all other countries."""
    edits = (("providers.vonage.from", None), ("providers.vonage.sender_ids", {"ID": "Acme", "default": "12345"}))
    assert loaded(*edits).providers["vonage"].type == "vonage"
