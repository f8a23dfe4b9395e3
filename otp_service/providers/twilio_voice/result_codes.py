"""Result codes of Twilio's calls: error codes of a refused call, statuses of a call, who answered, and voices.

Sources: Twilio's Error and Warning Dictionary, https://www.twilio.com/docs/api/errors/<code> (beside each code is the
dictionary's title); "Call status values" and "AnsweredBy" of the Call resource and of Answering Machine Detection;
"Text-to-Speech: available voices and languages".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.twilio.result_codes import ACCOUNT_OUTCOMES

__all__ = ["CALL_STATUSES", "ERROR_OUTCOMES", "MACHINES", "VOICES", "Voice"]

ERROR_OUTCOMES: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        **ACCOUNT_OUTCOMES,
        # the recipient
        21211: Outcome.RECIPIENT_INVALID,  # Invalid 'To' phone number
        21217: Outcome.RECIPIENT_INVALID,  # Phone number does not appear to be valid
        # the destination
        13224: Outcome.DESTINATION_UNSUPPORTED,  # Twilio does not support calling this number, or it is invalid
        21203: Outcome.DESTINATION_UNSUPPORTED,  # International calling not enabled
        21214: Outcome.DESTINATION_UNSUPPORTED,  # 'To' phone number cannot be reached
        21215: Outcome.DESTINATION_UNSUPPORTED,  # Geo Permission configuration is not permitting call
        # Call blocked by Twilio: for suspected fraud. Another gateway without that protection would evade it
        21216: Outcome.RECIPIENT_BLOCKED,
        # the sender and the parameters
        21205: Outcome.CONFIG_ERROR,  # Invalid URL
        21208: Outcome.CONFIG_ERROR,  # Invalid Timeout
        21210: Outcome.CONFIG_ERROR,  # 'From' phone number not verified
        21212: Outcome.CONFIG_ERROR,  # Invalid 'From' number
        21213: Outcome.CONFIG_ERROR,  # Caller phone number is required
        21219: Outcome.CONFIG_ERROR,  # 'To' phone number not verified: trial account
        21234: Outcome.CONFIG_ERROR,  # Invalid Machine Detection configuration value
    }
)

CALL_STATUSES: Final[Mapping[str, tuple[DeliveryStatus | None, Outcome | None]]] = MappingProxyType(
    {
        "queued": (None, None),
        "initiated": (None, None),
        "ringing": (None, None),
        "in-progress": (DeliveryStatus.DELIVERED, None),
        "completed": (DeliveryStatus.DELIVERED, None),
        "busy": (DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT),
        "no-answer": (DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT),
        # The carrier could not connect the call. A wrong number is the likely reason, and not the only one
        "failed": (DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT),
        "canceled": (DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT),
    }
)
"""The delivery status and the error of a call. `in-progress`: answered; with machine detection by whom is not known."""

MACHINES: Final = frozenset({"machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax"})
"""Who answered that is not a person; the other values are `human` and `unknown`."""


class Voice(NamedTuple):
    """A `language` of <Say>, and the voice that speaks it."""

    language: str
    name: str


def _google(language: str) -> Voice:
    return Voice(language, f"Google.{language}-Standard-A")


VOICES: Final[Mapping[str, Voice]] = MappingProxyType(
    {
        "en": _google("en-US"),
        "id": _google("id-ID"),
        "ar": _google("ar-XA"),
        "de": _google("de-DE"),
        "es": _google("es-ES"),
        "fil": _google("fil-PH"),
        "fr": _google("fr-FR"),
        "hi": _google("hi-IN"),
        "ja": _google("ja-JP"),
        "ko": _google("ko-KR"),
        "ms": _google("ms-MY"),
        "pt": _google("pt-BR"),
        "th": _google("th-TH"),
        "vi": _google("vi-VN"),
        "zh-Hans": _google("cmn-CN"),
        "zh-Hant": _google("cmn-TW"),
    }
)
"""The voices by locale of the text. Amazon's voices lack Indonesian, Malay, Filipino, Thai and Vietnamese."""
