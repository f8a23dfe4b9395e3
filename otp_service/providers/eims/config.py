"""The table of an EIMS / Ejoin provider in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

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

CountryCode = Annotated[str, country_code(), Meta(description="an ISO 3166 alpha-2 code in capitals, such as ID")]


class EimsConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="eims"):
    """EIMS / Ejoin.

    `method`: the gateway's document shows GET only, so that is the default; `post` sends JSON. `zero_is_delivered`: the
    gateway has no delivery status, and "sent" is the last status that it reports. `report_poll_seconds`: when it is
    first queried for the status of a message.

    `push_token`: the token in the URL to which the platform pushes reports, `/v1/receipts/NAME?token=...`; without it
    no push is accepted. `country`: how national numbers in what the gateway sends are read. `lookup_ambiguous`: before
    another provider gets a message whose outcome is ambiguous, ask the gateway for its list of accepted messages
    (`getsentrcdV2`).
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

    def cross_check(self) -> Iterator[Finding]:
        """Require the signed interface for lookups: the plain one has no list of messages."""
        if self.lookup_ambiguous and self.variant == "v1":
            yield ("lookup_ambiguous",), 'true with variant "v1"', 'false; or variant = "v2"'
