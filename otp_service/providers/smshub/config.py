"""The table of a CSU SMS Hub provider in the configuration."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from otp_service.providers.config_fields import BaseUrl, CommonProvider, SecretText, Text

__all__ = ["SmshubConfig"]


class SmshubConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="smshub"):
    """CSU SMS Hub; `base_url` ends before `/Login`.

    The hub sends one message a second, so `max_per_second` is 1 by default: faster messages would wait in the hub,
    where neither their state nor their number can be seen.
    """

    max_per_second: Annotated[float, Meta(gt=0, le=10_000)] | None = 1.0
    base_url: BaseUrl
    program_sid: SecretText
    program_key: SecretText
    program_id: Text | None = None

    @property
    def reports_delivery(self) -> bool:
        """The hub has no ids and no receipts."""
        return False
