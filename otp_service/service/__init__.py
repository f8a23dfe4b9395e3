"""The use cases: request a code, verify it, look at a verification, cancel it, unlock a number.

This floor orders the steps and does nothing itself: rules are in `domain`, atomic transitions in the store, secrets
in `crypto`, gateways in `delivery`. The order is the point. A place in the hash pool comes before the store is
asked, so an overload costs nobody anything. Budgets come before the hash, so a denied request costs none. The attempt
is paid before the comparison, and the second script alone decides the success.
"""

from __future__ import annotations

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.phone import PhoneInvalid, PhoneNumber, parse
from otp_service.domain.ports import SealBroken
from otp_service.domain.results import IdempotencyClaim, NotFound, Unreadable
from otp_service.domain.tenant import Tenant
from otp_service.domain.verification import VerificationSnapshot
from otp_service.domain.views import VerificationView, view_of
from otp_service.service.cleanup import Cleanup
from otp_service.service.dependencies import Attempt, CodeRequest, Dependencies, key_unavailable
from otp_service.service.request_code import RequestCode
from otp_service.service.unlock import UnlockNumber
from otp_service.service.verify_code import VerifyCode

__all__ = ["Attempt", "CodeRequest", "Dependencies", "OtpService"]


class OtpService:
    """The use cases in one place. Every method raises `Refused` when it does not do what it was asked."""

    def __init__(self, dependencies: Dependencies) -> None:
        """Work with `dependencies`."""
        self._dependencies = dependencies
        self._cleanup = Cleanup()
        self.request_code = RequestCode(dependencies, self._cleanup)
        self.verify_code = VerifyCode(dependencies, self._cleanup)
        self.unlock = UnlockNumber(dependencies.lockouts, dependencies.keyring)

    async def stop(self) -> None:
        """Leave what is still to be given back to its time-outs."""
        await self._cleanup.stop()

    async def read(self, tenant: Tenant, verification_id: str) -> VerificationView:
        """Show a verification of `tenant`."""
        return self._view(await self._dependencies.verifications.read(verification_id, tenant.name))

    async def cancel(self, tenant: Tenant, verification_id: str) -> VerificationView:
        """End a verification if it is pending; show how it stands. A repeated call changes nothing."""
        return self._view(await self._dependencies.verifications.cancel(verification_id, tenant.name))

    def normalize(self, tenant: Tenant, phone: str, country: str | None) -> PhoneNumber:
        """Read a number in any spelling."""
        try:
            return parse(phone, country or tenant.country)
        except PhoneInvalid as invalid:
            raise Refused(Reason.PHONE_INVALID, str(invalid)) from None

    def idempotency_claim(self, tenant: Tenant, endpoint: str, key: str, *asked: str) -> IdempotencyClaim:
        """Name a caller's idempotency key and fingerprint what it asks for, both by a keyed hash."""
        keyed_hash = self._dependencies.keyring.keyed_hash
        return IdempotencyClaim(
            keyed_hash("idempotency", tenant.name, endpoint, key), keyed_hash("fingerprint", endpoint, *asked), ""
        )

    def _view(self, found: VerificationSnapshot | NotFound | Unreadable) -> VerificationView:
        if isinstance(found, NotFound):
            raise Refused(Reason.VERIFICATION_UNKNOWN, "There is no such verification, or not any more.")
        if isinstance(found, Unreadable):
            raise key_unavailable()
        try:
            return view_of(found, self._dependencies.cipher.masked_phone(found))
        except SealBroken:
            raise key_unavailable() from None
