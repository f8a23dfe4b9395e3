"""The table of a provider of Vonage's voice calls in the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta, field

from otp_service.domain.message import Channel
from otp_service.providers.config_fields import Account, BaseUrl, CommonProvider, PollSeconds, PriceArea, SecretText
from otp_service.providers.config_parsing import Finding
from otp_service.providers.sender_ids import no_sender_ids, sender_findings
from otp_service.providers.voice_calls import VOICE_ONLY, CallSeconds, RingSeconds
from otp_service.providers.vonage_voice.application_jwt import RsaPem

__all__ = ["VonageVoiceConfig"]

CallerId = Annotated[
    str, Meta(pattern=r"\A\+?[1-9][0-9]{6,14}\Z", description="7 to 15 digits, with or without a plus")
]


class VonageVoiceConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="vonage_voice"):
    """Vonage Voice API: a call that speaks the code.

    Requests are signed with the `private_key` of the application `application_id`. `from` is a number of the account,
    and `sender_ids` are those by country.
    `receipts`: whether events must be signed, or only have the token of their URL; the default is the signature if
    there is a `signature_secret`. `api_key` is the account's: a signed event of another account is refused. The time of
    a signature may differ by `receipt_window_seconds`. A call rings for `ring_seconds`, and ends `max_call_seconds`
    after the answer. With `machine_detection` a call that voicemail answers ends, and counts as undelivered.
    `report_poll_seconds`: when the status of a call is first queried if no event came.
    """

    base_url: BaseUrl = "https://api.nexmo.com"
    application_id: Account
    private_key: RsaPem
    sender: CallerId = field(name="from")
    sender_ids: Mapping[PriceArea, CallerId] = field(default_factory=no_sender_ids)
    api_key: Account | None = None
    signature_secret: SecretText | None = None
    receipts: Literal["token", "signature"] | None = None
    receipt_window_seconds: Annotated[int, Meta(ge=60, le=172_800)] = 300
    ring_seconds: RingSeconds = 30
    max_call_seconds: CallSeconds = 120
    machine_detection: bool = False
    report_poll_seconds: PollSeconds = 60.0

    @property
    def channels(self) -> frozenset[Channel]:
        """Voice only."""
        return VOICE_ONLY

    @property
    def signs_receipts(self) -> bool:
        """Whether only signed events are accepted."""
        return (self.receipts or ("signature" if self.signature_secret else "token")) == "signature"

    def cross_check(self) -> Iterator[Finding]:
        """Require the secret of the signatures that are verified, and one sender for all other countries."""
        yield from sender_findings("from", self.sender, self.sender_ids)
        if self.signature_secret is None and self.receipts == "signature":
            yield ("signature_secret",), "missing", 'a secret; or receipts = "token"'
