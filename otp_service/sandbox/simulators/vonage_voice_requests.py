"""Parse and check a request to create a call at Vonage."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from otp_service.sandbox.simulators.http_server import Request

__all__ = ["JSON", "VoiceRefused", "parse_call", "phone_number", "talk_action", "timer_seconds"]

JSON: Final = "application/json"
MAX_TEXT_CHARS: Final = 1500
LANGUAGES: Final = frozenset({
    "ar", "bg-BG", "bn-IN", "ca-ES", "cmn-CN", "cmn-TW", "cs-CZ", "cy-GB", "da-DK", "de-DE", "el-GR", "en-AU", "en-GB",
    "en-IN", "en-US", "en-ZA", "es-ES", "es-MX", "es-US", "eu-ES", "fi-FI", "fil-PH", "fr-CA", "fr-FR", "he-IL",
    "hi-IN", "hu-HU", "id-ID", "is-IS", "it-IT", "ja-JP", "ko-KR", "ml-IN", "nb-NO", "nl-NL", "no-NO", "pl-PL", "pt-BR",
    "pt-PT", "ro-RO", "ru-RU", "sk-SK", "sv-SE", "ta-IN", "te-IN", "th-TH", "tr-TR", "uk-UA", "vi-VN", "yue-CN",
})  # fmt: skip
"""The supported languages of the vendor's guide "Text to speech"."""

_MEMBERS: Final = frozenset(
    {"to", "from", "ncco", "event_url", "event_method", "ringing_timer", "length_timer", "machine_detection"}
)
_NUMBER: Final = re.compile(r"[0-9]{7,15}", re.ASCII)


class VoiceRefused(Exception):
    """The gateway refuses the request: an HTTP status, and the parameter that is wrong, with the reason."""

    def __init__(self, status: int, name: str = "", reason: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.invalid = [{"name": name, "reason": reason}] if name else []


def parse_call(request: Request) -> dict[str, Any]:
    """Parse the JSON of a call; raise `VoiceRefused` for a member that is unknown."""
    try:
        call = json.loads(request.body)
    except ValueError:
        raise VoiceRefused(400, "body", "is not JSON") from None
    if request.headers.get("content-type") != JSON or not isinstance(call, dict):
        raise VoiceRefused(400, "body", "must be a JSON object")
    if unknown := call.keys() - _MEMBERS:
        raise VoiceRefused(400, min(unknown), "is unknown")
    return call


def talk_action(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the only action of a call, which talks."""
    match call.get("ncco"):
        case [{"action": "talk", "text": str(text), **options} as talk] if 1 <= len(text) <= MAX_TEXT_CHARS:
            is_valid = options.keys() <= {"language", "loop", "style"} and "<" not in text
            if is_valid and options.get("language", "en-US") in LANGUAGES and options.get("loop", 1) in range(10):
                return dict(talk)
    raise VoiceRefused(400, "ncco", "must be one talk action with a text, a known language and a loop")


def phone_number(endpoint: Any, name: str) -> str:
    """Return the number of a phone endpoint; `name` is that of the parameter."""
    match endpoint:
        case {"type": "phone", "number": str(number)} if len(endpoint) == 2 and _NUMBER.fullmatch(number):
            return number
    raise VoiceRefused(400, name, "must be a number in E.164 without a plus")


def timer_seconds(call: Mapping[str, Any], name: str, limit: int) -> int:
    """Return a timer of a call, 60 by default."""
    seconds = call.get(name, 60)
    if not isinstance(seconds, int) or not 1 <= seconds <= limit:
        raise VoiceRefused(400, name, f"must be 1 to {limit}")
    return seconds
