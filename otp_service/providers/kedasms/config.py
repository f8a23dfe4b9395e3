"""The table of a KedaSMS provider in the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import field

from otp_service.providers.config_fields import BaseUrl, CommonProvider, PollSeconds, SealingKey, SecretText, Text
from otp_service.providers.config_parsing import Finding
from otp_service.providers.http.json_pointer import JsonPointer
from otp_service.providers.sender_ids import SenderIds, no_sender_ids, sender_findings

__all__ = ["KedasmsConfig"]


class KedasmsConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="kedasms"):
    """KedaSMS. Messages go to `base_url`, encrypted with `encryption_key`; status queries go to `status_base_url`.

    `report_poll_seconds` is 0 by default: a status query needs an id that only a callback contains, and that callback
    contains the status already. `sender_ids` are the senders by country.

    `short_links` makes trackable addresses of those in messages (`/api/shortlinks`). Neither the members of its
    encrypted payload nor those of the response are documented: `short_link_member` is the member of the payload that
    has the address, and `short_link_pointer` (a JSON pointer) is where the response has the short one.
    """

    base_url: BaseUrl = "https://www.kedasms.net"
    status_base_url: BaseUrl = "https://backup.kedasms.net"
    api_key: SecretText
    encryption_key: SealingKey
    sender_id: Text | None = None
    sender_ids: SenderIds = field(default_factory=no_sender_ids)
    report_poll_seconds: PollSeconds = 0.0
    short_links: bool = False
    short_link_member: Text = "url"
    short_link_pointer: JsonPointer = "/data/shortUrl"

    def cross_check(self) -> Iterator[Finding]:
        """Refuse two senders for all other countries."""
        yield from sender_findings("sender_id", self.sender_id, self.sender_ids)
