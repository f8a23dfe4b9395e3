"""The channels of a tenant and of an `http` provider."""

from __future__ import annotations

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
