"""The text of a message: the tenant's template, or ours, in the recipient's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from otp_service.domain.message import OutboundMessage
from otp_service.domain.phone import parse
from otp_service.domain.ports import Sealed
from otp_service.domain.results import ClaimedMessage
from otp_service.domain.templates import choose, whole_minutes
from otp_service.domain.tenant import Tenant

__all__ = ["Composer"]

_MS: Final = 1000


def _nowhere(_provider: str, _message_id: str) -> str:
    return ""


class Composer:
    """Opens what is sealed, right before it is handed over, and writes the text."""

    def __init__(
        self, tenants: Mapping[str, Tenant], sealed: Sealed, receipt_url: Callable[[str, str], str] = _nowhere
    ) -> None:
        """Write for `tenants`; `receipt_url` says where a provider's receipts for a message go."""
        self._tenants = tenants
        self._sealed = sealed
        self._receipt_url = receipt_url

    def knows(self, message: ClaimedMessage) -> bool:
        """Say whether the message is of a tenant that is configured here."""
        return message.record.tenant in self._tenants

    def compose(self, message: ClaimedMessage, provider: str, now_ms: int) -> OutboundMessage:
        """Make what `provider` gets. Raises `SealBroken`; the tenant is one that it `knows`."""
        record = message.record
        tenant = self._tenants[record.tenant]
        number = parse(self._sealed.open_phone(message.id, record), record.country)
        code = self._sealed.open_code(message.id, message.sealed_code, record)
        template = choose(tenant.templates, record.locale or None, record.country, record.purpose)
        minutes = whole_minutes((record.expires_ms - record.created_ms) // _MS)
        return OutboundMessage(
            message_id=message.id,
            to=number.e164,
            country=number.country,
            national_digits=number.national_digits,
            text=template.render(tenant.brand, code, minutes),
            code=code,
            expires_in=max(1, (record.expires_ms - now_ms) // _MS),
            brand=tenant.brand,
            minutes=minutes,
            receipt_url=self._receipt_url(provider, message.id),
        )

    def number(self, message: ClaimedMessage) -> str:
        """Read the number; raises `SealBroken`."""
        return self._sealed.open_phone(message.id, message.record)
