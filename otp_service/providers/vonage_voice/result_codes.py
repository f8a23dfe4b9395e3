"""Statuses of Vonage's calls, the details of those that failed, and the languages of its speech engine.

Sources: "Voice API webhooks reference" (developer.vonage.com/voice/voice-api/webhook-reference), "Event webhook";
"Text to speech", "Supported languages" (developer.vonage.com/voice/voice-api/guides/text-to-speech).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome

__all__ = ["ANSWERED", "CALL_STATUSES", "COMPLETED", "DETAIL_OUTCOMES", "LANGUAGES"]

ANSWERED: Final = "answered"
COMPLETED: Final = "completed"

CALL_STATUSES: Final[Mapping[str, DeliveryStatus | None]] = MappingProxyType(
    {
        "started": None,
        "ringing": None,
        ANSWERED: DeliveryStatus.DELIVERED,
        "human": DeliveryStatus.DELIVERED,  # with machine detection, after `answered`
        "machine": DeliveryStatus.UNDELIVERED,  # the same; the call has ended
        COMPLETED: DeliveryStatus.DELIVERED,
        "busy": DeliveryStatus.UNDELIVERED,
        "cancelled": DeliveryStatus.UNDELIVERED,
        "unanswered": DeliveryStatus.UNDELIVERED,
        "timeout": DeliveryStatus.UNDELIVERED,  # rang for longer than `ringing_timer`
        "rejected": DeliveryStatus.UNDELIVERED,
        "failed": DeliveryStatus.UNDELIVERED,
    }
)
"""Other events are not about the status: `record`, `input`, `transfer`, errors without a status."""

DETAIL_OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        # of `failed`
        "cannot_route": Outcome.DESTINATION_UNSUPPORTED,
        "number_out_of_service": Outcome.RECIPIENT_INVALID,
        "internal_error": Outcome.TRANSIENT,
        # of `rejected`
        "restricted": Outcome.DESTINATION_UNSUPPORTED,  # rejected by the carrier
        "invalid_number": Outcome.RECIPIENT_INVALID,
        "declined": Outcome.TRANSIENT,  # by the person, who may take another call
        # of `unanswered`
        "unavailable": Outcome.TRANSIENT,
        "timeout": Outcome.TRANSIENT,
        "carrier_timeout": Outcome.TRANSIENT,  # only in the vendor's library for Java
    }
)
"""A call that ended without an answer for any other reason, or without one, is `transient`."""

LANGUAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "en-US",
        "id": "id-ID",
        "ar": "ar",
        "de": "de-DE",
        "es": "es-ES",
        "fil": "fil-PH",
        "fr": "fr-FR",
        "hi": "hi-IN",
        "ja": "ja-JP",
        "ko": "ko-KR",
        "pt": "pt-BR",
        "th": "th-TH",
        "vi": "vi-VN",
        "zh-Hans": "cmn-CN",
        "zh-Hant": "cmn-TW",
    }
)
"""The `language` of a talk action by locale of the text. There is no Malay: it is spoken in English."""
