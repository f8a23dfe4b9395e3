"""The request and response bodies of the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from otp_service.domain.email_address import MAX_ADDRESS_CHARS
from otp_service.domain.errors import Reason
from otp_service.domain.links import LINK_PATTERN, MAX_LINK_CHARS
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.verification import VerificationStatus

__all__ = [
    "EXACTLY_ONE",
    "EXPECTED_VALUES",
    "CheckRecipientBody",
    "DeliveryBody",
    "HealthStatus",
    "Jwks",
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

# A pattern ends with \Z, because Python's `$` also matches before a final newline; the OpenAPI document shows `^...$`.
Phone = Annotated[str, Meta(min_length=1, max_length=64, description="A phone number in any spelling.")]
Email = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=MAX_ADDRESS_CHARS,
        description="An e-mail address such as name@example.com, of at most 254 characters; instead of `phone`.",
    ),
]
Country = Annotated[
    str, Meta(pattern=r"\A[A-Z]{2}\Z", description="ISO 3166-1 alpha-2; the country of numbers in national format.")
]
Purpose = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z")]
Locale = Annotated[
    str,
    Meta(
        max_length=256,
        description="A hint: a BCP 47 tag or an Accept-Language value; ignored if no template matches.",
    ),
]
AppName = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9][a-z0-9_-]{0,31}\Z",
        description="The tenant's app that is to read the code: its line ends the SMS.",
    ),
]
ClientIp = Annotated[
    str, Meta(max_length=128, description="The end user's address, with or without a port; scope `server`.")
]
Link = Annotated[
    str,
    Meta(
        max_length=MAX_LINK_CHARS,
        pattern=LINK_PATTERN,
        description="The https address that the SMS contains (`{link}` of the tenant's template); scope `server`.",
    ),
]
Time = Annotated[str, Meta(description="UTC, RFC 3339 with Z.", extra_json_schema={"format": "date-time"})]


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
    reference: Annotated[str, Meta(max_length=128, description="Your own reference; written to the log.")] | None = None
    decoy: Annotated[bool, Meta(description="Answer as usual, but send no message; scope `server`.")] = False
    link: Link | None = None


class VerifyCodeBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An attempt: the code that the user has entered."""

    verification_id: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,36}\Z")]
    code: Annotated[str, Meta(min_length=4, max_length=64, description="4-10 digits; spaces and dashes are dropped.")]


class NormalizePhone(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A number to parse."""

    phone: Phone
    country: Country | None = None


EXPECTED_VALUES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "phone": "Send the phone number as a string of 1-64 characters.",
        "email": "Send the e-mail address as a string of 3-254 characters, such as name@example.com.",
        "purpose": "Send a purpose of 1-32 characters a-z, 0-9 and _ that starts with a letter.",
        "country": "Send an ISO 3166 country code of two capital letters, such as ID.",
        "locale": "Send a language tag as a string of at most 256 characters, such as id or en-GB.",
        "channel": "Send `sms`, `whatsapp`, `voice`, `email` or `auto`, or leave it out.",
        "app": "Send the name of an app that is configured for the tenant, or leave it out.",
        "client_ip": "Send the end user's IP address as a string, such as 203.0.113.9 or 2001:db8::1.",
        "reference": "Send a string of at most 128 characters.",
        "decoy": "Send true or false.",
        "link": "Send an https address of at most 2,048 characters, with a host name and without a user.",
        "verification_id": "Send the verification_id that request-code has returned.",
        "code": "The code must be 4-10 digits, sent as a string.",
    }
)
"""What to send, for each member of a request body. Errors never repeat the value that was sent."""


class UnlockBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The recipient to unlock: exactly one of `phone` and `email`."""

    phone: Phone | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
    country: Country | None = None


EXACTLY_ONE: Final[Mapping[type[Struct], tuple[str, str]]] = MappingProxyType(
    {RequestCodeBody: ("phone", "email"), UnlockBody: ("phone", "email")}
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
    """A parsed number; `mobile` tells whether request-code accepts it."""

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
    """A verification as it stands now."""

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
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
