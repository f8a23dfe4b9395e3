"""Events and responses of gateways for calls are parsed in linear time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otp_service.providers.twilio_voice.webhook import parse_call_callback
from otp_service.providers.vonage_voice.webhook import parse_event
from otp_service.providers.vonage_voice.wire import parse_created_response
from tests.providers.twilio_voice_provider import voice_config
from tests.providers.vonage_voice_provider import vonage_voice_config
from tests.test_linear_time_parsing import LIMIT, PIECES, Parser, call, quoted, ratio, reply

BY_TOKEN = vonage_voice_config(receipts="token")
PARSERS: dict[str, Parser] = {
    "twilio_voice, a callback": lambda text: parse_call_callback(call(text), voice_config()),
    "vonage_voice, a parameter": lambda text: parse_created_response(
        reply(f'{{"invalid_parameters": [{{"name": {quoted(text)}}}]}}')
    ),
    "vonage_voice, an event": lambda text: parse_event(
        replace(call(f'{{"status": {quoted(text)}}}'), message_id="m"), BY_TOKEN
    ),
    "vonage_voice, a signature": lambda text: parse_event(
        replace(call(text), message_id="m", headers={"authorization": f"Bearer {text}"}), vonage_voice_config()
    ),
}


@pytest.mark.parametrize("name", PARSERS)
def test_what_gateways_send_takes_linear_time(name: str) -> None:
    """Eight times the input takes about eight times as long."""
    slow = {piece: found for piece in PIECES if (found := ratio(PARSERS[name], piece)) >= LIMIT}
    assert slow == {}
