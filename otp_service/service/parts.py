"""What the use cases are asked, and what they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from otp_service.crypto.codes import read_code
from otp_service.crypto.hashing import HashPool
from otp_service.crypto.keyring import Keyring
from otp_service.crypto.tokens import TokenSigner
from otp_service.crypto.vault import Vault
from otp_service.domain.errors import FieldMistake, Reason, Refused
from otp_service.domain.limits import Limits
from otp_service.domain.policy import Tenant
from otp_service.domain.ports import Guesses, Idempotency, Lockouts, Outlet, Verifications

__all__ = ["CodeRequest", "Guess", "Parts", "unreadable"]

UNREADABLE_RETRY_MS: Final = 1_000


def unreadable() -> Refused:
    """Make the refusal for what was made under a key that other replicas have: come again, and one of them answers."""
    detail = "This replica does not have the key of this record (yet). Send the request again."
    return Refused(Reason.STORE_UNAVAILABLE, detail, retry_after_ms=UNREADABLE_RETRY_MS)


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """Who wants a code sent where. `client` is the address (IPv6: its /64) that the `client_ip` limit counts."""

    tenant: Tenant
    phone: str
    purpose: str
    country: str | None = None
    locale: str = ""
    channel: str = "sms"
    client: str | None = None
    decoy: bool = False

    def __repr__(self) -> str:
        """Leave the number out."""
        return f"CodeRequest({self.tenant.name}, {self.purpose})"


@dataclass(frozen=True, slots=True)
class Guess:
    """One attempt at a verification's code; `code` is digits only."""

    tenant: Tenant
    verification_id: str
    code: str

    @classmethod
    def typed(cls, tenant: Tenant, verification_id: str, typed: str) -> Self:
        """Read what a person typed; raises `Refused` (`request_malformed`) for what cannot be a code."""
        code = read_code(typed)
        if code is None:
            mistake = FieldMistake("/code", "The code must be 4-10 digits; spaces and dashes may stand between them.")
            raise Refused(Reason.REQUEST_MALFORMED, "Send the code of the text message.", mistakes=(mistake,))
        return cls(tenant, verification_id, code)

    def __repr__(self) -> str:
        """Leave the code out."""
        return f"Guess({self.verification_id})"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the use cases stand on; the composition root puts them together."""

    verifications: Verifications
    guesses: Guesses
    lockouts: Lockouts
    idempotency: Idempotency
    keyring: Keyring
    vault: Vault
    pool: HashPool
    signer: TokenSigner
    outlet: Outlet
    limits: Limits
