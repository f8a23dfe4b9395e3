"""Read or cancel a verification, and normalize a phone number: the use cases that neither make nor compare a code."""

from __future__ import annotations

from otp_service.crypto.keyring import DecryptionError
from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.domain.phone import PhoneNumber
from otp_service.domain.ports import Verifications
from otp_service.domain.results import NotFound, Unreadable
from otp_service.domain.tenant import Tenant
from otp_service.domain.verification import VerificationSnapshot
from otp_service.domain.views import VerificationView, view_of
from otp_service.service.refusals import key_unavailable, verification_unknown

__all__ = ["VerificationQuery", "normalize_phone"]


def normalize_phone(tenant: Tenant, phone: str, country: str | None) -> PhoneNumber:
    """Parse a phone number of any type; raises `Refused` (`phone_invalid`)."""
    return tenant.parse_phone(phone, country)


class VerificationQuery:
    """Reads and cancels verifications by id."""

    def __init__(self, verifications: Verifications, cipher: VerificationCipher) -> None:
        self._verifications = verifications
        self._cipher = cipher

    async def read(self, tenant: Tenant, verification_id: str) -> VerificationView:
        """Return a verification of `tenant` with its current values.

        Raises:
            Refused: `verification_unknown`, also for an id of another tenant; `store_unavailable`.
        """
        return self._view(await self._verifications.read(verification_id, tenant.name))

    async def cancel(self, tenant: Tenant, verification_id: str) -> VerificationView:
        """Cancel a verification if it is pending, and return it.

        A verification that has ended keeps its status, so repeating the call changes nothing. Raises like `read`.
        """
        return self._view(await self._verifications.cancel(verification_id, tenant.name))

    def _view(self, found: VerificationSnapshot | NotFound | Unreadable) -> VerificationView:
        match found:
            case NotFound():
                raise verification_unknown()
            case Unreadable():
                raise key_unavailable()
            case VerificationSnapshot():
                try:
                    return view_of(found, self._cipher.masked_recipient(found))
                except DecryptionError:
                    raise key_unavailable() from None
