"""The table of an EIMS / Ejoin provider in the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from otp_service.providers.config_fields import Account, BaseUrl, CommonProvider, PollSeconds, SecretText, Text
from otp_service.providers.config_parsing import Parse, lower_case

__all__ = ["EimsConfig"]


class EimsConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="eims"):
    """EIMS / Ejoin.

    `method`: the gateway's document shows GET only, so that is the default; `post` sends JSON. `zero_is_delivered`: the
    gateway has no delivery status, and "sent" is the last status that it reports. `report_poll_seconds`: when it is
    first queried for the status of a message.
    """

    base_url: BaseUrl
    account: Account
    password: SecretText
    variant: Literal["v1", "v2"] = "v1"
    method: Annotated[Literal["get", "post"], Parse(lower_case, {"enum": ["get", "post", "GET", "POST"]})] = "get"
    sender_id: Text | None = None
    zero_is_delivered: bool = False
    report_poll_seconds: PollSeconds = 30.0
