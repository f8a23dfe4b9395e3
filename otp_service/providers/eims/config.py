"""The table of an EIMS / Ejoin provider in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta

from otp_service.providers.config_fields import (
    Account,
    BaseUrl,
    CommonProvider,
    PollSeconds,
    ReceiptToken,
    SecretText,
    Text,
    country_code,
)
from otp_service.providers.config_parsing import Finding, Parse, lower_case

__all__ = ["EimsConfig"]

MIN_INBOX_POLL_SECONDS: Final = 5.0

CountryCode = Annotated[str, country_code(), Meta(description="an ISO 3166 alpha-2 code in capitals, such as ID")]


class EimsConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="eims"):
    """EIMS / Ejoin.

    `method`: the gateway's document shows GET only, so that is the default; `post` sends JSON. `zero_is_delivered`: the
    gateway has no delivery status, and "sent" is the last status that it reports. `report_poll_seconds`: when it is
    first queried for the status of a message.

    `push_token`: the token in the URL to which the platform pushes reports, `/v1/receipts/NAME/TOKEN` or
    `/v1/receipts/NAME?token=TOKEN`; without it no push is accepted. `country`: how national numbers in what the gateway
    sends are read. `lookup_ambiguous`: before another provider gets a message whose outcome is ambiguous, ask the
    gateway for its list of accepted messages (`getsentrcdV2`).

    `inbox_poll_seconds`: how often the inbox is read, for opt-outs (`getsms`). `inbox_start_time`: ask for messages
    from a time on (`start_time`), which the gateway's document does not show. `utc_offset_hours`: the time zone of the
    times in its inbox.
    """

    base_url: BaseUrl
    account: Account
    password: SecretText
    variant: Literal["v1", "v2"] = "v1"
    method: Annotated[Literal["get", "post"], Parse(lower_case, {"enum": ["get", "post", "GET", "POST"]})] = "get"
    sender_id: Text | None = None
    zero_is_delivered: bool = False
    report_poll_seconds: PollSeconds = 30.0
    push_token: ReceiptToken | None = None
    country: CountryCode = "ID"
    lookup_ambiguous: bool = False
    inbox_poll_seconds: PollSeconds = 0.0
    inbox_start_time: bool = True
    utc_offset_hours: Annotated[float, Meta(ge=-12, le=14)] = 8.0

    @property
    def reports_delivery(self) -> bool:
        """Whether reports are queried or pushed."""
        return self.report_poll_seconds > 0 or self.push_token is not None

    def cross_check(self) -> Iterator[Finding]:
        """Require the signed interface for lookups (the plain one has no list of messages), and the plain one to poll.

        The signed one documents no inbox.
        """
        if self.inbox_poll_seconds and self.variant == "v2":
            yield ("inbox_poll_seconds",), f'{self.inbox_poll_seconds:g} with variant "v2"', '0; or variant = "v1"'
        if 0 < self.inbox_poll_seconds < MIN_INBOX_POLL_SECONDS:
            least = f"0 (never), or at least {MIN_INBOX_POLL_SECONDS:g}"
            yield ("inbox_poll_seconds",), f"{self.inbox_poll_seconds:g} is too often", least
        if self.lookup_ambiguous and self.variant == "v1":
            yield ("lookup_ambiguous",), 'true with variant "v1"', 'false; or variant = "v2"'
