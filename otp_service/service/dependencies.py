"""What the use cases are asked, and what they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from otp_service.crypto.codes import read_code
from otp_service.crypto.fair_queue import Caller
from otp_service.crypto.hashing import HashPool
from otp_service.crypto.keyring import Keyring
from otp_service.crypto.tokens import TokenSigner
from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.limits import Limits
from otp_service.domain.ports import Attempts, Idempotency, Lockouts, MessageQueue, Verifications
from otp_service.domain.tenant import Tenant

__all__ = ["Attempt", "CodeRequest", "Dependencies", "key_unavailable"]

UNREADABLE_RETRY_MS: Final = 1_000


def key_unavailable() -> Refused:
    """Make the refusal for what was made under a key that other replicas have: come again, and one of them answers."""
    detail = "This replica does not have the key of this record (yet). Send the request again."
    return Refused(Reason.STORE_UNAVAILABLE, detail, retry_after_ms=UNREADABLE_RETRY_MS)


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """Who wants a code sent where. `client` is the address (IPv6: its /64) that the `client_ip` limit counts.

    `key_id` names the API key that asks.
    """

    tenant: Tenant
    phone: str
    purpose: str
    country: str | None = None
    locale: str = ""
    channel: str = "sms"
    client: str | None = None
    decoy: bool = False
    key_id: str = ""

    @property
    def caller(self) -> Caller:
        """Who shares places with the others."""
        return (self.tenant.name, self.key_id)

    def __repr__(self) -> str:
        """Leave the number out."""
        return f"CodeRequest({self.tenant.name}, {self.purpose})"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a verification's code; `code` is digits only.

    `key_id` names the API key that asks, `client` the address (IPv6: its /64) that the `verify_ip` limit counts.
    """

    tenant: Tenant
    verification_id: str
    code: str
    key_id: str = ""
    client: str | None = None

    @property
    def caller(self) -> Caller:
        """Who shares places with the others."""
        return (self.tenant.name, self.key_id)

    @classmethod
    def typed(
        cls, tenant: Tenant, verification_id: str, typed: str, *, key_id: str = "", client: str | None = None
    ) -> Self:
        """Read what a person typed; raises `Refused` (`request_malformed`) for what cannot be a code."""
        code = read_code(typed)
        if code is None:
            mistake = FieldError("/code", "The code must be 4-10 digits; spaces and dashes may stand between them.")
            raise Refused(Reason.REQUEST_MALFORMED, "Send the code of the text message.", mistakes=(mistake,))
        return cls(tenant, verification_id, code, key_id, client)

    def __repr__(self) -> str:
        """Leave the code out."""
        return f"Guess({self.verification_id})"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the use cases stand on; the composition root puts them together."""

    verifications: Verifications
    attempts: Attempts
    lockouts: Lockouts
    idempotency: Idempotency
    keyring: Keyring
    cipher: VerificationCipher
    pool: HashPool
    signer: TokenSigner
    message_queue: MessageQueue
    limits: Limits
