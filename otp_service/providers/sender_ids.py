"""The sender of a message by the recipient's country, because senders are registered country by country.

A provider with one sender has its own key for it. `sender_ids` names others, such as
`{ ID = "Acme", US = "+15005550006", default = "Acme" }`; `default` stands for the provider's own key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta

from otp_service.domain.message import OutboundMessage
from otp_service.domain.provider_policy import ANY_COUNTRY
from otp_service.providers.config_fields import PriceArea
from otp_service.providers.config_parsing import Finding

__all__ = ["SenderIds", "no_sender_ids", "sender_findings", "sender_for"]

SenderId = Annotated[
    str,
    Meta(
        pattern=r"\A(?:\+?[0-9]{3,15}|(?=.{0,10}[A-Za-z])[A-Za-z0-9 &_+-]{1,11})\Z",
        description="a number of 3 to 15 digits, or 1 to 11 letters, digits, spaces and &_+- with a letter",
    ),
]
"""A number or a short code (E.164), or an alphanumeric sender (3GPP TS 23.040, 9.1.2.5: 11 characters)."""

SenderIds = Mapping[PriceArea, SenderId]


def no_sender_ids() -> SenderIds:
    """Return the default of a `sender_ids` key."""
    return MappingProxyType({})


def sender_for(sender: str | None, sender_ids: SenderIds, outbound: OutboundMessage) -> str | None:
    """Return the sender of a message: that of the recipient's country, or the one for all others."""
    return sender_ids.get(outbound.country) or sender_ids.get(ANY_COUNTRY) or sender


def sender_findings(key: str, sender: str | None, sender_ids: SenderIds, *, required: str = "") -> Iterator[Finding]:
    """Yield an error if there are two senders for all other countries, or (with `required`, what to write) none."""
    if sender is not None and ANY_COUNTRY in sender_ids:
        yield (
            ("sender_ids", ANY_COUNTRY),
            f"a second sender beside {key} is not allowed",
            f"one of the two: {key}, or this",
        )
    if required and sender is None and ANY_COUNTRY not in sender_ids:
        yield (key,), "missing", required
