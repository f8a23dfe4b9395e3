"""The text of a message: the tenant's template, or ours, in the recipient's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otp_service.domain.outcomes import Sending
from otp_service.domain.phone import parse
from otp_service.domain.policy import Tenant
from otp_service.domain.ports import Sealed
from otp_service.domain.templates import choose, whole_minutes
from otp_service.domain.transitions import Claimed

__all__ = ["Composer"]

_MS: Final = 1000


class Composer:
    """Opens what is sealed, right before it is handed over, and writes the text."""

    def __init__(self, tenants: Mapping[str, Tenant], sealed: Sealed) -> None:
        """Write for `tenants`."""
        self._tenants = tenants
        self._sealed = sealed

    def compose(self, message: Claimed, now_ms: int) -> Sending:
        """Make what a provider gets. Raises `SealBroken`, or KeyError for a tenant that is configured no more."""
        record = message.record
        tenant = self._tenants[record.tenant]
        number = parse(self._sealed.open_phone(message.id, record), record.country)
        code = self._sealed.open_code(message.id, message.sealed_code, record)
        template = choose(tenant.templates, record.locale or None, record.country, record.purpose)
        minutes = whole_minutes((record.expires_ms - record.created_ms) // _MS)
        return Sending(
            message_id=message.id,
            to=number.e164,
            country=number.country,
            national_digits=number.national_digits,
            text=template.render(tenant.brand, code, minutes),
            code=code,
            expires_in=max(1, (record.expires_ms - now_ms) // _MS),
        )

    def number(self, message: Claimed) -> str:
        """Read the number; raises `SealBroken`."""
        return self._sealed.open_phone(message.id, message.record)

    def keeps_code(self, message: Claimed) -> bool:
        """Say whether the code is needed after it was sent: to send the same one again."""
        tenant = self._tenants.get(message.record.tenant)
        return tenant is not None and tenant.sends.reuse
