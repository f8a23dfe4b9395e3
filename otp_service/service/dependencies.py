"""The inputs of the use cases, and the objects that they are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from otp_service.crypto.codes import parse_code
from otp_service.crypto.fair_queue import Caller
from otp_service.crypto.hashing import HashPool
from otp_service.crypto.keyring import Keyring
from otp_service.crypto.tokens import TokenSigner
from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.domain.captcha import CaptchaUses
from otp_service.domain.code_binding import UNBOUND, CodeBinding
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.forgetting import RecipientData
from otp_service.domain.limits import Limits
from otp_service.domain.message import Channel
from otp_service.domain.ports import Attempts, Idempotency, Lockouts, MessageQueue, OptOuts, Verifications
from otp_service.domain.proofs import PresentedProofs
from otp_service.domain.secret import MaskedStruct
from otp_service.domain.tenant import Tenant, TextContext
from otp_service.service.app_attest_verifier import AppAttest
from otp_service.service.captcha_verifiers import BoundedVerifier
from otp_service.service.guard_admin import GuardAdmin
from otp_service.service.guard_recorder import GuardRecorder

__all__ = ["Attempt", "CodeRequest", "Dependencies"]


class CodeRequest(MaskedStruct, frozen=True):
    """A request for a code.

    Attributes:
        tenant: The tenant that requests the code.
        phone: The number as the caller sent it; "" with `email`.
        purpose: What the code is for, such as `login`.
        country: How a national form of `phone` is read; None: the tenant's country.
        locale: The locale of the message; "": chosen by the country of the number.
        email: The address as the caller sent it; its channel is `email`.
        channel: The channel of the message, or `auto`: the tenant's channels one after the other.
        app: The tenant's app that reads the code from the SMS; "" for none.
        client_ip: The address that the `client_ip` limit counts (IPv6: its /64); None: none is counted.
        is_server: A server of the tenant requests the code, and not an app, which anybody may hold.
        decoy: Respond as usual, at the same cost, but send nothing.
        key_id: The id of the API key, for fair sharing of the hash pool.
        link: The address that the message contains; "" for none.
        captcha_token: The token of a captcha or an attestation; "" for none.
        text: The text of the SMS with `{{code}}`, chosen by the caller; "" for the tenant's template.
        relayed_code: A code that another service has made and will verify; "": this service does both.
        ttl_seconds: How long the relayed code is valid; 0: as long as the tenant's codes.
        publishable: Anybody may know the API key, so its own limits apply as well.
        reference: The caller's own reference, for events; "" for none.
        bound: The transaction that the message names, and what else the code is bound to.
    """

    tenant: Tenant
    phone: str
    purpose: str
    country: str | None = None
    locale: str = ""
    channel: str = Channel.SMS.value
    email: str = ""
    app: str = ""
    client_ip: str | None = None
    is_server: bool = False
    decoy: bool = False
    key_id: str = ""
    link: str = ""
    captcha_token: str = ""
    text: str = ""
    relayed_code: str = ""
    ttl_seconds: int = 0
    publishable: bool = False
    reference: str = ""
    bound: CodeBinding = UNBOUND

    @property
    def caller(self) -> Caller:
        """The caller that the hash pool shares its slots by."""
        return (self.tenant.name, self.key_id)

    def text_context(self, country: str, channel: Channel = Channel.SMS) -> TextContext:
        """Return what selects and fills in the text of the message on a channel."""
        transaction = self.bound.transaction
        return TextContext(country, self.locale, self.purpose, channel, self.app, self.link, transaction)

    def __repr__(self) -> str:
        """Hide the recipient, the link and the reference."""
        return f"CodeRequest({self.tenant.name}, {self.purpose})"


class Attempt(MaskedStruct, frozen=True):
    """One submitted code.

    Attributes:
        tenant: The tenant that submits the code.
        verification_id: The verification that the code is for.
        code: ASCII digits only.
        key_id: The id of the API key, for fair sharing of the hash pool.
        client_ip: The address that the `verify_ip` limit counts (IPv6: its /64); None: none is counted.
        publishable: Anybody may know the API key, so `publishable_verify_ip` counts its addresses instead.
        bound: What the caller says that the code is bound to.
    """

    tenant: Tenant
    verification_id: str
    code: str
    key_id: str = ""
    client_ip: str | None = None
    publishable: bool = False
    bound: CodeBinding = UNBOUND

    @property
    def caller(self) -> Caller:
        """The caller that the hash pool shares its slots by."""
        return (self.tenant.name, self.key_id)

    @classmethod
    def from_input(
        cls,
        tenant: Tenant,
        verification_id: str,
        typed: str,
        *,
        key_id: str = "",
        client_ip: str | None = None,
        publishable: bool = False,
        bound: CodeBinding = UNBOUND,
    ) -> Self:
        """Make an attempt from a code as a person typed it; raises `Refused` (`request_malformed`) if it is not one."""
        code = parse_code(typed)
        if code is None:
            error = FieldError("/code", "The code must be 4-10 digits; spaces and dashes between them are allowed.")
            raise Refused(Reason.REQUEST_MALFORMED, "Send the code from the message.", field_errors=(error,))
        return cls(tenant, verification_id, code, key_id, client_ip, publishable, bound)

    def __repr__(self) -> str:
        """Hide the code."""
        return f"Attempt({self.verification_id})"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the use cases are built from; `bootstrap` provides it."""

    verifications: Verifications
    attempts: Attempts
    lockouts: Lockouts
    recipient_data: RecipientData
    proofs: PresentedProofs
    opt_outs: OptOuts
    idempotency: Idempotency
    keyring: Keyring
    cipher: VerificationCipher
    pool: HashPool
    signer: TokenSigner
    message_queue: MessageQueue
    limits: Limits
    captcha_verifiers: Mapping[str, BoundedVerifier]
    captcha_uses: CaptchaUses
    app_attest: Mapping[str, AppAttest]
    guard: GuardRecorder
    guard_admin: GuardAdmin
