"""The use cases by which an app gets a challenge and registers its key; requests for a code then carry assertions.

Registrations are counted for the app's address before anything is verified, by the windows of its requests for a code:
an app that may request five codes in an hour may register five keys. A server's registrations are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from otp_service.crypto.app_attest_objects import InvalidAttestation
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.results import RateLimit
from otp_service.domain.tenant import Tenant
from otp_service.observability import LOG, METRICS
from otp_service.service.app_attest_verifier import AppAttest
from otp_service.service.code_admission import UNKNOWN_ADDRESS
from otp_service.service.dependencies import Dependencies
from otp_service.service.refusals import address_limited

__all__ = ["AppAttestations", "Registration"]

_KIND: Final = "attestation_address"
"""Registrations and requests for a code are counted apart, though by the same windows."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A key to register.

    Attributes:
        tenant: The tenant of the app.
        key_id: The key id as iOS returns it: 32 bytes in base64.
        challenge: The challenge that the attestation is over.
        attestation: The attestation object in base64.
        client_ip: The address that is counted (IPv6: its /64); None: none is counted, or it is not known.
        publishable: Anybody may know the API key, so the limit of such keys counts the address.
    """

    tenant: Tenant
    key_id: str
    challenge: str
    attestation: str = field(repr=False)
    client_ip: str | None = None
    publishable: bool = False


class AppAttestations:
    """Challenges and registrations for the tenants that use a verifier of the type `app_attest`."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies

    def new_challenge(self, tenant: Tenant) -> str:
        """Return a challenge for an app of the tenant. Nothing is stored. Raises `Refused` (`not_found`)."""
        return self._verifier(tenant).new_challenge(tenant.name)

    async def register(self, registration: Registration) -> int:
        """Register a key, and return for how many seconds it is kept without a use.

        Raises:
            Refused: `not_found`, `rate_limited`, `captcha_failed` or `store_unavailable`.
        """
        tenant = registration.tenant
        verifier = self._verifier(tenant)
        await self._count_address(registration)
        try:
            await verifier.register(tenant.name, registration.key_id, registration.challenge, registration.attestation)
        except InvalidAttestation as invalid:
            METRICS.captcha_checks.labels(verifier.name, "attestation_rejected").inc()
            LOG.info("attestation_not_accepted", verifier=verifier.name, why=invalid.why)
            detail = "The attestation was not accepted. Get a new challenge, and attest a new key."
            raise Refused(Reason.CAPTCHA_FAILED, detail) from None
        METRICS.captcha_checks.labels(verifier.name, "attested").inc()
        return verifier.key_seconds

    def _verifier(self, tenant: Tenant) -> AppAttest:
        verifier = self._dependencies.app_attest.get(tenant.captcha.verifier) if tenant.captcha else None
        if verifier is None:
            raise Refused(Reason.NOT_FOUND, "The tenant uses no verifier of the type `app_attest`.")
        return verifier

    async def _count_address(self, registration: Registration) -> None:
        """Count the registration for the app's address; raises `Refused` (`rate_limited`)."""
        limits, address = self._dependencies.limits, registration.client_ip
        name, windows = "client_ip", limits.client_ip
        if registration.publishable:
            name, windows, address = "publishable_client_ip", limits.publishable_client_ip, address or UNKNOWN_ADDRESS
        if address is None or not windows:
            return
        rate_limit = RateLimit(name, self._dependencies.keyring.keyed_hash(_KIND, name, address), windows)
        if violated := await self._dependencies.attempts.count(rate_limit):
            raise address_limited(rate_limit, violated, "keys")
