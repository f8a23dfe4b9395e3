"""The request and response bodies of the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from otp_service.api.members import (
    AppName,
    Binding,
    CaptchaToken,
    ClientIp,
    Country,
    Email,
    Link,
    Locale,
    Phone,
    Purpose,
    Time,
    TransactionBody,
)
from otp_service.domain.errors import Reason
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.verification import VerificationStatus

__all__ = [
    "EXACTLY_ONE",
    "CheckRecipientBody",
    "DeliveryBody",
    "ForgetBody",
    "ForgottenRecipient",
    "HealthStatus",
    "HookAccepted",
    "HookError",
    "Jwks",
    "KeptData",
    "NormalizePhone",
    "NormalizedPhone",
    "OptOutCount",
    "Problem",
    "ReceiptAccepted",
    "RecipientStatus",
    "RequestCodeBody",
    "RequestedCode",
    "UnlockBody",
    "UnlockedRecipient",
    "VerificationBody",
    "VerifiedCode",
    "VerifyCodeBody",
]


class RequestCodeBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The recipient that gets a code (exactly one of `phone` and `email`), and the purpose of the verification."""

    phone: Phone | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
    purpose: Purpose
    country: Country | None = None
    locale: Locale | None = None
    channel: (
        Annotated[
            Literal["sms", "whatsapp", "voice", "email", "auto"],
            Meta(
                description="One of the tenant's channels, or `auto`: one after the other, until one is delivered. "
                "Default: `sms` with `phone`, `email` with `email`."
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    app: AppName | None = None
    client_ip: ClientIp | None = None
    reference: (
        Annotated[str, Meta(max_length=128, description="Your own reference; written to the log, and part of events.")]
        | None
    ) = None
    decoy: Annotated[bool, Meta(description="Respond as usual, but send no message; scope `server`.")] = False
    link: Link | None = None
    transaction: TransactionBody | None = None
    binding: Binding | None = None
    captcha_token: CaptchaToken | None = None


class VerifyCodeBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An attempt: the code that the user has entered."""

    verification_id: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,36}\Z")]
    code: Annotated[str, Meta(min_length=4, max_length=64, description="4-10 digits; spaces and dashes are dropped.")]
    transaction: TransactionBody | None = None
    binding: Binding | None = None


class NormalizePhone(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A number to parse."""

    phone: Phone
    country: Country | None = None


class UnlockBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The recipient to unlock: exactly one of `phone` and `email`."""

    phone: Phone | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
    country: Country | None = None


class ForgetBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The recipient to forget: exactly one of `phone` and `email`."""

    phone: Phone | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
    country: Country | None = None


EXACTLY_ONE: Final[Mapping[type[Struct], tuple[str, str]]] = MappingProxyType(
    dict.fromkeys((RequestCodeBody, UnlockBody, ForgetBody), ("phone", "email"))
)
"""The members of which a body has exactly one."""


class UnlockedRecipient(Struct, frozen=True, kw_only=True):
    """A number or an address that is no longer locked at this tenant."""

    phone: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType = msgspec.UNSET
    unlocked: Annotated[
        bool, Meta(description="Whether it was locked: in a waiting time, at its limit of wrong codes, or disabled.")
    ]
    failures_cleared: Annotated[int, Meta(description="How many consecutive wrong codes were cleared.", ge=0)]


class KeptData(Struct, frozen=True, kw_only=True):
    """What remains of a recipient, without its number or address, and until when at most."""

    what: Literal["limits", "lock", "opt_out", "guard_numbers"]
    until: Annotated[str, Meta(description="UTC")]


class ForgottenRecipient(Struct, frozen=True, kw_only=True):
    """A number or an address that was forgotten at this tenant."""

    phone: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType = msgspec.UNSET
    verifications_removed: Annotated[int, Meta(description="Verifications, with their messages.", ge=0)]
    kept: list[KeptData]


class CheckRecipientBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The number to check."""

    phone: Phone
    country: Country | None = None


class RecipientStatus(Struct, frozen=True, kw_only=True):
    """Whether request-code refuses a number because its owner opted out."""

    phone: str
    opted_out: bool
    opted_out_until: Annotated[str | None, Meta(description="When the opt-out ends (UTC); null: there is none.")]


class OptOutCount(Struct, frozen=True, kw_only=True):
    """How many numbers are opted out, of all tenants."""

    count: Annotated[int, Meta(ge=0)]


class NormalizedPhone(Struct, frozen=True, kw_only=True):
    """A parsed number; `mobile` says whether request-code accepts it."""

    e164: str
    national: str
    country: str
    type: str
    mobile: bool


class RequestedCode(Struct, frozen=True, kw_only=True):
    """A verification that is pending: with `phone` and `country`, or by the channel `email` with `email`."""

    verification_id: str
    status: VerificationStatus
    purpose: str
    channel: str
    phone: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType = msgspec.UNSET
    country: str | msgspec.UnsetType = msgspec.UNSET
    code_length: int
    expires_at: Time
    expires_in: int
    resend_at: Time
    resend_in: int
    attempts_left: int
    sends_left: int


class DeliveryBody(Struct, frozen=True, kw_only=True):
    """One provider that was given the message; `error` is the outcome if the delivery failed, else null."""

    provider: str
    channel: str
    status: DeliveryStatus
    at: Time
    error: str | None


class VerificationBody(RequestedCode, frozen=True, kw_only=True):
    """A verification with its current values."""

    created_at: Time
    ended_at: Time | None
    deliveries: list[DeliveryBody]


class VerifiedCode(Struct, frozen=True, kw_only=True):
    """The proof that a person holds the number or the address."""

    verification_id: str
    status: Literal["verified"]
    purpose: str
    phone: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType = msgspec.UNSET
    verified_at: Time
    token: str
    token_expires_at: Time


class ReceiptAccepted(Struct, frozen=True):
    """A receipt was accepted; the response has no members."""


class HookError(Struct, frozen=True, kw_only=True):
    """Why the message is not sent, as Supabase reads it: the status and the text that its user gets."""

    http_code: int
    message: str


class HookAccepted(Struct, frozen=True, kw_only=True):
    """The message is queued. Its deliveries can be read under `message_id`, as those of a verification."""

    message_id: str | msgspec.UnsetType = msgspec.UNSET
    error: HookError | msgspec.UnsetType = msgspec.UNSET


class HealthStatus(Struct, frozen=True):
    """The result of a probe."""

    status: Literal["live", "ready"]


class Jwk(Struct, frozen=True, kw_only=True):
    """The public key of a token signing key (RFC 7517, RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class Jwks(Struct, frozen=True):
    """The public keys that verify proof tokens (RFC 7517)."""

    keys: list[Jwk]


class FieldError(Struct, frozen=True):
    """One error in a request."""

    pointer: str
    detail: str


class Problem(Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem. `code` is stable; the members after `request_id` are present where they apply."""

    type: str
    title: str
    status: int
    detail: str
    code: Reason
    request_id: str
    retry_after: int | msgspec.UnsetType = msgspec.UNSET
    attempts_left: int | msgspec.UnsetType = msgspec.UNSET
    limit: str | msgspec.UnsetType = msgspec.UNSET
    violated_policies: Annotated[
        list[str] | msgspec.UnsetType,
        Meta(description="The names of the quota policies that are used up, as in `RateLimit`."),
    ] = msgspec.field(name="violated-policies", default=msgspec.UNSET)
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
