"""The channels of a tenant and of an `http` provider."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.domain.message import Channel
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import ConfigInvalid, config_warnings, load
from tests.config_parts import demo_policy
from tests.settings.test_http_provider_errors import BASE


def test_channels_of_a_tenant() -> None:
    """The default is SMS; a list keeps its order."""
    document = dev_config("redis://127.0.0.1")
    assert load(document, {}, plain_secrets=True).tenants["demo"].policy.channels[0] == Channel.WHATSAPP
    del document["tenants"]["demo"]["policy"]
    assert load(document, {}, plain_secrets=True).tenants["demo"].policy.channels == (Channel.SMS,)


def test_channel_without_a_route() -> None:
    """`check-config` names the channels that no route serves."""
    document = merged(dev_config("redis://127.0.0.1"), demo_policy(channels=["voice", "sms", "email"]))
    document["routes"] = document["routes"][:2]
    assert config_warnings(load(document, {}, plain_secrets=True)) == [
        "providers.voice-inbox: no route uses it",
        "providers.email-inbox: no route uses it",
        "tenants.demo.policy.channels: no route sends by voice, email",
    ]


def test_channel_of_an_http_provider() -> None:
    """It is SMS by default, and the route must be for the same one."""
    document = merged(dev_config("redis://127.0.0.1"), {"providers": {"own": {**BASE, "channel": "whatsapp"}}})
    document["routes"][1]["providers"] = ["own"]
    own = load(document, {}, plain_secrets=True).providers["own"]
    assert own.channels == {Channel.WHATSAPP}


def test_prices_of_emails() -> None:
    """An address has no country: a spend cap needs the price for any."""
    box = {"type": "inbox", "daily_spend_cap": "1", "price": {"ID": "0.1"}}
    document = merged(dev_config("redis://127.0.0.1"), {"providers": {"email-inbox": box}})
    with pytest.raises(ConfigInvalid, match="no price for e-mails"):
        load(document, {}, plain_secrets=True)
    box["price"] = {"default": "0.001"}
    assert load(merged(document, {"providers": {"email-inbox": box}}), {}, plain_secrets=True)


SILENT: dict[str, Any] = {
    "hub": {"type": "smshub", "base_url": "https://hub.example.edu/api", "program_sid": "a", "program_key": "b"},
    "wa": {"type": "whatsapp", "phone_number_id": "106540352242922", "access_token": "t",
           "templates": {"default": {"name": "x", "language": "en"}}},
    "aurora": {"type": "sendcloud", "sms_user": "a", "sms_key": "b", "template_id": 1},
    "jakarta": {"type": "eims", "base_url": "http://127.0.0.1", "account": "a", "password": "b",
                "report_poll_seconds": 0},
    "own": BASE,
    "calls": {"type": "twilio_voice", "account_sid": "AC" + "a" * 32, "api_key_sid": "SK" + "a" * 32,
              "api_key_secret": "s", "from": "+15005550006", "report_poll_seconds": 0},
    "keda": {"type": "kedasms", "api_key": "a", "encryption_key": "A" * 43 + "="},
}  # fmt: skip
"""Providers of the channel of their key that report no deliveries (KedaSMS: without a public URL)."""
REPORTING: dict[str, Any] = {
    "aurora": {"hook_key": "k"}, "wa": {"app_secret": "s", "verify_token": "v" * 16},
    "jakarta": {"report_poll_seconds": 5},
    "calls": {"report_poll_seconds": 5},
}  # fmt: skip


def warnings_of(provider: str, channel: str, order: list[str], table: dict[str, Any], **more: Any) -> list[str]:
    """Return the warnings about the order of `auto`, with one provider for a channel and inboxes for the others."""
    document = merged(dev_config("redis://127.0.0.1"), demo_policy(channels=order))
    routes = [route for route in document["routes"] if route.get("channel", "sms") != channel]
    over = {"providers": {provider: table}, "routes": [*routes, {"channel": channel, "providers": [provider]}]}
    found = config_warnings(load(merged(document, over | more), {}, plain_secrets=True))
    return [line for line in found if line.startswith("tenants.demo.policy.channels")]


@pytest.mark.parametrize("name", list(SILENT))
def test_a_channel_without_receipts_is_always_followed(name: str) -> None:
    """`check-config` names the provider, unless its channel is the last one or nothing may follow."""
    channel = {"wa": "whatsapp", "calls": "voice"}.get(name, "sms")
    after = "voice" if channel == "sms" else "sms"
    followed = f"tenants.demo.policy.channels: with the channel auto every message by {channel} through {name} is "
    [found] = warnings_of(name, channel, [channel, after], SILENT[name])
    assert found.startswith(followed) and f"one by {after}" in found

    assert warnings_of(name, channel, [after, channel], SILENT[name]) == []
    assert warnings_of(name, channel, [channel], SILENT[name]) == []
    assert warnings_of(name, channel, [channel, "email"], SILENT[name]) == []
    for delivery in ({"channel_hold_seconds": 0}, {"max_texts": 1}):
        assert warnings_of(name, channel, [channel, after], SILENT[name], delivery=delivery) == []


@pytest.mark.parametrize("name", list(REPORTING))
def test_a_channel_with_receipts_is_not_named(name: str) -> None:
    """A webhook that can be verified, or polling, tells whether the message arrived."""
    channel = {"wa": "whatsapp", "calls": "voice"}.get(name, "sms")
    after = "voice" if channel == "sms" else "sms"
    assert warnings_of(name, channel, [channel, after], SILENT[name] | REPORTING[name]) == []


def test_an_address_and_the_channel_auto() -> None:
    """`check-config` names the templates that a request with `auto` cannot use."""
    texts = {"link_hosts": ["a.example"], "templates": {"id": {"password_reset": "{brand} {code} {link}"}}}
    document = merged(dev_config("redis://127.0.0.1"), {"tenants": {"demo": texts}})
    expected = "tenants.demo.templates.id.password_reset: with {link} a request with the channel auto is always refused"
    assert any(line.startswith(expected) for line in config_warnings(load(document, {}, plain_secrets=True)))
    one_channel = merged(document, demo_policy(channels=["sms", "email"]))
    assert not any("auto" in line for line in config_warnings(load(one_channel, {}, plain_secrets=True)))
