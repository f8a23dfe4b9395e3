"""The use cases: request or verify a code, read or cancel a verification, introspect a proof, normalize or unlock.

This package orders the steps. The rules are in `domain`, the atomic transitions in `store`, the cryptography in
`crypto`, and sending is in `delivery`. The order of the steps matters:

1. A slot in the hash pool is acquired before the store is called, so an overload costs no attempt and no rate limit.
2. The rate limits are acquired before a code is hashed, so a denied request costs no hash.
3. An attempt is reserved before its code is compared, and a second script alone decides on the one success.
"""

from __future__ import annotations

from otp_service.domain.phone import PhoneNumber
from otp_service.domain.results import IdempotencyClaim
from otp_service.domain.tenant import Tenant
from otp_service.domain.views import VerificationView
from otp_service.service.app_attestations import AppAttestations, Registration
from otp_service.service.cleanup import Cleanup
from otp_service.service.dependencies import Attempt, CodeRequest, Dependencies
from otp_service.service.forget import ForgetRecipient
from otp_service.service.idempotency import idempotency_claim
from otp_service.service.introspect import IntrospectProof
from otp_service.service.opt_out_directory import OptOutDirectory
from otp_service.service.query import VerificationQuery, normalize_phone
from otp_service.service.request_code import RequestCode
from otp_service.service.unlock import UnlockRecipient
from otp_service.service.verify_code import VerifyCode

__all__ = ["Attempt", "CodeRequest", "Dependencies", "OtpService", "Registration"]


class OtpService:
    """All use cases, as the HTTP API calls them.

    Every method raises `Refused` when it does not do what was requested. `request_code`, `verify_code`, `introspect`
    and `unlock` are callables; each use case has a module of its own.
    """

    def __init__(self, dependencies: Dependencies) -> None:
        self._keyring = dependencies.keyring
        self._cleanup = Cleanup()
        self._guard = dependencies.guard
        self.guard_admin = dependencies.guard_admin
        self._query = VerificationQuery(dependencies.verifications, dependencies.cipher)
        self.request_code = RequestCode(dependencies, self._cleanup)
        self.verify_code = VerifyCode(dependencies, self._cleanup)
        self.introspect = IntrospectProof(dependencies.signer, dependencies.proofs, dependencies.keyring)
        self.app_attestations = AppAttestations(dependencies)
        self.opt_outs = OptOutDirectory(dependencies.opt_outs, dependencies.keyring)
        self.unlock = UnlockRecipient(dependencies.lockouts, dependencies.keyring)
        self.forget = ForgetRecipient(dependencies.recipient_data, dependencies.keyring)

    def start(self) -> None:
        """Start the background tasks."""
        self._guard.start()

    async def stop(self) -> None:
        """Wait briefly for cleanups in progress; what remains expires in the store. Store what the guard collected."""
        await self._cleanup.stop()
        await self._guard.stop()

    async def read(self, tenant: Tenant, verification_id: str) -> VerificationView:
        """Return a verification of `tenant`."""
        return await self._query.read(tenant, verification_id)

    async def cancel(self, tenant: Tenant, verification_id: str) -> VerificationView:
        """Cancel a pending verification and return it; an ended one is returned unchanged."""
        return await self._query.cancel(tenant, verification_id)

    def normalize(self, tenant: Tenant, phone: str, country: str | None) -> PhoneNumber:
        """Parse a phone number; national forms are read by `country`, or by the tenant's country."""
        return normalize_phone(tenant, phone, country)

    def idempotency_claim(self, tenant: Tenant, endpoint: str, key: str, *request: str) -> IdempotencyClaim:
        """Return the claim for a caller's `Idempotency-Key` and the members of its request."""
        return idempotency_claim(self._keyring, tenant, endpoint, key, *request)
