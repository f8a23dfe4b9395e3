"""Senders by country: each provider that takes a sender sends from the one of the recipient's country."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from msgspec.structs import replace

from otp_service.domain.outcomes import Outcome
from otp_service.domain.phone import national_digits
from otp_service.providers.registry import make_provider
from otp_service.providers.twilio_voice import wire as twilio_voice
from otp_service.providers.vonage_voice import wire as vonage_voice
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.sandbox.simulators.http_server import Request
from otp_service.sandbox.simulators.infobip import InfobipSimulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator
from otp_service.sandbox.simulators.vonage import VonageSimulator
from otp_service.settings import Settings, load
from tests.delivery.gateway_types import KEDASMS_KEY, decrypted_envelope, form_fields
from tests.providers.http_gateways import INFOBIP_LIKE, http_table
from tests.providers.twilio_provider import outbound
from tests.providers.twilio_voice_provider import outbound_call, voice_config
from tests.providers.vonage_voice_provider import vonage_voice_config

COUNTRIES = {"ID": "+6281210100055", "US": "+12025550123", "SG": "+6581234567"}
SENDERS = {"ID": "Acme ID", "US": "+15005550006"}


def loaded(table: dict[str, Any]) -> Settings:
    """Load a configuration with this provider."""
    config = {"providers": {"first": table}, "routes": [{"providers": ["first"]}]}
    return load(merged(dev_config("redis://127.0.0.1:1"), config), {}, plain_secrets=True)


async def senders_used(gateway: Any, table: dict[str, Any], sender_in: Callable[[Request], str]) -> list[str]:
    """Return the senders of a message to each country."""
    async with gateway:
        keys = {"base_url": gateway.url, **table, "sender_ids": SENDERS}
        if table["type"] == "kedasms":
            keys["status_base_url"] = gateway.url
        provider = make_provider("first", loaded(keys).providers["first"])
        for country, number in COUNTRIES.items():
            message = replace(outbound(), to=number, country=country, national_digits=national_digits(number))
            assert (await provider.send(message)).outcome is Outcome.ACCEPTED
        await provider.close()
    return [sender_in(request) for request in gateway.requests]


async def test_twilio() -> None:
    """`From`, as configured."""
    table = {"type": "twilio", "account_sid": ACCOUNT_SID, "auth_token": "twilio-auth-token", "from": "Acme"}
    used = await senders_used(TwilioSimulator(), table, lambda request: form_fields(request)["From"])
    assert used == ["Acme ID", "+15005550006", "Acme"]


async def test_twilio_with_a_service() -> None:
    """A messaging service chooses the sender of the countries that are not named."""
    service = {"messaging_service_sid": "MG" + "0" * 32}
    table = {"type": "twilio", "account_sid": ACCOUNT_SID, "auth_token": "twilio-auth-token", **service}
    used = await senders_used(TwilioSimulator(), table, lambda request: form_fields(request).get("From", ""))
    assert used == ["Acme ID", "+15005550006", ""]


async def test_vonage() -> None:
    """`from`, without the plus of a number."""
    table = {"type": "vonage", "api_key": "abcd1234", "api_secret": "secret", "from": "Acme"}
    used = await senders_used(
        VonageSimulator("abcd1234", "secret"), table, lambda request: form_fields(request)["from"]
    )
    assert used == ["Acme ID", "15005550006", "Acme"]


async def test_kedasms() -> None:
    """`senderId`, in the encrypted message."""
    table = {"type": "kedasms", "api_key": "k", "encryption_key": base64.b64encode(KEDASMS_KEY).decode()}
    used = await senders_used(
        KedasmsSimulator("k", KEDASMS_KEY),
        {**table, "sender_id": "Acme"},
        lambda request: str(msgspec.json.decode(decrypted_envelope(request))["senderId"]),
    )
    assert used == ["Acme ID", "+15005550006", "Acme"]


@pytest.mark.parametrize("country", ["ID", "US"])
def test_calls(country: str) -> None:
    """The caller id of a call."""
    numbers = {"ID": "+6221500001"}
    message = replace(outbound_call(), country=country)
    expected = numbers.get(country, "+15005550006")
    twilio_call = parse_qs(twilio_voice.call_body(voice_config(sender_ids=numbers), message).decode())
    assert twilio_call["From"] == [expected]
    config = vonage_voice_config(sender="15005550006", sender_ids=numbers)
    vonage_call = msgspec.json.decode(vonage_voice.call_body(config, message))
    assert vonage_call["from"]["number"] == expected.removeprefix("+")


async def test_http() -> None:
    """`{sender}`."""
    table = http_table(INFOBIP_LIKE, secrets={"api_key": "infobip-key"}, receipts=None, balance=None)
    used = await senders_used(
        InfobipSimulator("infobip-key"),
        table,
        lambda request: str(msgspec.json.decode(request.body)["messages"][0]["sender"]),
    )
    assert used == ["Acme ID", "+15005550006", table["sender"]]
