"""The table of a provider of Twilio's voice calls in the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta, field

from otp_service.domain.message import Channel
from otp_service.domain.voice_texts import VOICE_LOCALES
from otp_service.providers.config_fields import PriceArea, Text
from otp_service.providers.config_parsing import Finding, quoted
from otp_service.providers.sender_ids import no_sender_ids, sender_findings
from otp_service.providers.twilio.account import TwilioAccount
from otp_service.providers.voice_calls import VOICE_ONLY, CallSeconds, RingSeconds

__all__ = ["TwilioVoiceConfig"]

CallerId = Annotated[
    str, Meta(pattern=r"\A\+[1-9][0-9]{6,14}\Z", description="a number in E.164, such as +15005550006")
]


class TwilioVoiceConfig(TwilioAccount, frozen=True, kw_only=True, tag_field="type", tag="twilio_voice"):
    """Twilio Programmable Voice: a call that speaks the code.

    The credentials are those of `twilio`. `from` is a number of the account, or a verified caller id, and `sender_ids`
    are those by country. A call rings for
    `ring_seconds`, and ends `max_call_seconds` after the answer. With `machine_detection` a call that voicemail answers
    counts as undelivered; Twilio charges for it, and speaks only after it. `voices` replaces the voice of a language,
    such as `id = "Google.id-ID-Wavenet-A"`: Twilio's voices have different prices.
    """

    sender: CallerId = field(name="from")
    sender_ids: Mapping[PriceArea, CallerId] = field(default_factory=no_sender_ids)
    ring_seconds: RingSeconds = 30
    max_call_seconds: CallSeconds = 120
    machine_detection: bool = False
    voices: Mapping[str, Text] = field(default_factory=lambda: MappingProxyType[str, str]({}))

    @property
    def channels(self) -> frozenset[Channel]:
        """Voice only."""
        return VOICE_ONLY

    def cross_check(self) -> Iterator[Finding]:
        """Require languages that calls have, and what every account needs."""
        for locale in self.voices:
            if locale not in VOICE_LOCALES:
                yield (
                    ("voices", locale),
                    f"{quoted(locale)} is not a language of calls",
                    ", ".join(sorted(VOICE_LOCALES)),
                )
        yield from sender_findings("from", self.sender, self.sender_ids)
        yield from super().cross_check()
