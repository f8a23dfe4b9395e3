"""The table of a KedaSMS provider in the configuration."""

from __future__ import annotations

from otp_service.providers.config_fields import BaseUrl, CommonProvider, PollSeconds, SealingKey, SecretText, Text

__all__ = ["KedasmsConfig"]


class KedasmsConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="kedasms"):
    """KedaSMS. Messages go to `base_url`, encrypted with `encryption_key`; status queries go to `status_base_url`.

    `report_poll_seconds` is 0 by default: a status query needs an id that only a callback contains, and that callback
    contains the status already.
    """

    base_url: BaseUrl = "https://www.kedasms.net"
    status_base_url: BaseUrl = "https://backup.kedasms.net"
    api_key: SecretText
    encryption_key: SealingKey
    sender_id: Text | None = None
    report_poll_seconds: PollSeconds = 0.0
