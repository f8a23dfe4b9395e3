"""The table of a Twilio provider in the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import field

from otp_service.providers.config_fields import Account
from otp_service.providers.config_parsing import Finding
from otp_service.providers.sender_ids import SenderIds, no_sender_ids, sender_findings
from otp_service.providers.twilio.account import TwilioAccount

__all__ = ["TwilioConfig"]


class TwilioConfig(TwilioAccount, frozen=True, kw_only=True, tag_field="type", tag="twilio"):
    """Twilio Programmable Messaging.

    `account_sid` is that of the account or subaccount that sends, with its own `auth_token`. Requests use the API key
    if there is one, or else the auth token. Receipts are verified with the auth token, or with `webhook_shared_key` if
    a Webhooks Rule of the account signs them. `from` or `messaging_service_sid` is required; with both, the service
    sends from that number. `sender_ids` are the senders by country. `report_poll_seconds`: when the status of a message
    is first queried if no receipt came. With `conversion_feedback` verified codes are reported to Twilio.
    """

    sender: Account | None = field(name="from", default=None)
    sender_ids: SenderIds = field(default_factory=no_sender_ids)
    messaging_service_sid: Account | None = None
    conversion_feedback: bool = False

    def cross_check(self) -> Iterator[Finding]:
        """Require a sender, and what every account needs."""
        required = "a sender; or messaging_service_sid" if self.messaging_service_sid is None else ""
        yield from sender_findings("from", self.sender, self.sender_ids, required=required)
        yield from super().cross_check()
