"""The channels of a tenant and of an `http` provider."""

from __future__ import annotations

from otp_service.domain.message import Channel
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import config_warnings, load
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
        "tenants.demo.policy.channels: no route sends by voice, email",
    ]


def test_channel_of_an_http_provider() -> None:
    """It is SMS by default, and the route must be for the same one."""
    document = merged(dev_config("redis://127.0.0.1"), {"providers": {"own": {**BASE, "channel": "whatsapp"}}})
    document["routes"][1]["providers"] = ["own"]
    own = load(document, {}, plain_secrets=True).providers["own"]
    assert own.channels == {Channel.WHATSAPP}
