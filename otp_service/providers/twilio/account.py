"""The keys of every table that is an account at Twilio: the credentials of requests, and those of receipts."""

from __future__ import annotations

from collections.abc import Iterator

from otp_service.providers.config_fields import Account, BaseUrl, CommonProvider, PollSeconds, SecretText
from otp_service.providers.config_parsing import Finding

__all__ = ["TwilioAccount"]


class TwilioAccount(CommonProvider, frozen=True, kw_only=True):
    """An account or subaccount at Twilio.

    `account_sid` is that of the account or subaccount that sends, with its own `auth_token`. Requests use the API key
    if there is one, or else the auth token. Receipts are verified with the auth token, or with `webhook_shared_key` if
    a Webhooks Rule of the account signs them. `report_poll_seconds`: when a status is first queried if no receipt came.
    """

    base_url: BaseUrl = "https://api.twilio.com"
    account_sid: Account
    auth_token: SecretText | None = None
    api_key_sid: Account | None = None
    api_key_secret: SecretText | None = None
    webhook_shared_key: SecretText | None = None
    report_poll_seconds: PollSeconds = 60.0

    @property
    def verifies_receipts(self) -> bool:
        """Whether there is a key for the signatures of receipts."""
        return self.auth_token is not None or self.webhook_shared_key is not None

    @property
    def reports_delivery(self) -> bool:
        """Whether receipts can be verified, or statuses are queried."""
        return self.verifies_receipts or self.report_poll_seconds > 0

    def cross_check(self) -> Iterator[Finding]:
        """Require credentials, and SIDs of the right kind, which are easily mixed up."""
        if self.api_key_secret is not None and self.api_key_sid is None:
            yield ("api_key_sid",), "missing", "the SID of the API key, SK..."
        if self.api_key_sid is not None and self.api_key_secret is None:
            yield ("api_key_secret",), "missing", "the secret of the API key"
        if self.auth_token is None and self.api_key_sid is None and self.api_key_secret is None:
            yield ("auth_token",), "missing", "the auth token; or api_key_sid and api_key_secret"
        for key, prefix in {"account_sid": "AC", "api_key_sid": "SK", "messaging_service_sid": "MG"}.items():
            sid = getattr(self, key, None)
            if sid is not None and not sid.startswith(prefix):
                yield (key,), f"the value (not shown) does not start with {prefix}", f"a SID, {prefix}..."
