"""The table of a Vonage provider in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, field

from otp_service.providers.config_fields import Account, BaseUrl, CommonProvider, SecretText, Text
from otp_service.providers.config_parsing import Finding
from otp_service.providers.sender_ids import SenderIds, no_sender_ids, sender_findings
from otp_service.providers.vonage.signing import SignatureMethod

__all__ = ["VonageConfig"]


class VonageConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="vonage"):
    """Vonage SMS API.

    `auth`: how a send is authenticated: key and secret in the body or as HTTP Basic, or a signature in place of the
    secret. `receipts`: whether a receipt is authenticated by its signature, or by the token in its URL; the default is
    the signature if there is a `signature_secret`. The timestamp of a signed receipt may differ from the time by
    `receipt_window_seconds`. The gateway discards a message when its code expires, but not before
    `min_ttl_seconds`. `entity_id` and `content_id` are ids that some countries require. `sender_ids` are the senders
    by country. With `conversion_feedback` verified codes are reported to the Conversion API at `conversion_url`;
    Vonage enables it for an account on request.
    """

    base_url: BaseUrl = "https://rest.nexmo.com"
    conversion_url: BaseUrl = "https://api.nexmo.com"
    api_key: Account
    api_secret: SecretText
    sender: Account | None = field(name="from", default=None)
    sender_ids: SenderIds = field(default_factory=no_sender_ids)
    auth: Literal["parameters", "basic", "signature"] = "parameters"
    body_format: Literal["form", "json"] = "form"
    signature_secret: SecretText | None = None
    signature_method: SignatureMethod = "md5hash"
    receipts: Literal["token", "signature"] | None = None
    receipt_window_seconds: Annotated[int, Meta(ge=60, le=172_800)] = 300
    min_ttl_seconds: Annotated[int, Meta(ge=20, le=604_800)] = 20
    entity_id: Text | None = None
    content_id: Text | None = None
    conversion_feedback: bool = False

    @property
    def signs_receipts(self) -> bool:
        """Whether only receipts with a valid signature are accepted."""
        return (self.receipts or ("signature" if self.signature_secret else "token")) == "signature"

    def cross_check(self) -> Iterator[Finding]:
        """Require a sender, and the secret of the signatures that are made or verified."""
        yield from sender_findings("from", self.sender, self.sender_ids, required="a sender; or sender_ids.default")
        if self.signature_secret is None and "signature" in (self.auth, self.receipts):
            yield ("signature_secret",), "missing", 'a secret; or neither auth nor receipts = "signature"'
