"""The types of members of bodies, with their bounds and descriptions, and what an error says to send for each.

A transaction is a member with members of its own, in the bodies of request-code and verify-code.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

from msgspec import Meta, Struct

from otp_service.domain.captcha import MAX_CAPTCHA_TOKEN_CHARS
from otp_service.domain.code_binding import (
    AMOUNT_PATTERN,
    BINDING_PATTERN,
    CURRENCY_PATTERN,
    MAX_PAYEE_CHARS,
    PAYEE_PATTERN,
)
from otp_service.domain.email_address import MAX_ADDRESS_CHARS
from otp_service.domain.links import LINK_PATTERN, MAX_LINK_CHARS

__all__ = [
    "EXPECTED_VALUES",
    "AppName",
    "Binding",
    "ClientIp",
    "Country",
    "Email",
    "Link",
    "Locale",
    "Phone",
    "Purpose",
    "Time",
    "Token",
    "TransactionBody",
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


class TransactionBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A payment that the code authorizes: the SMS names it, and the code verifies only with the same values."""

    amount: Annotated[
        str, Meta(pattern=AMOUNT_PATTERN, description="A decimal number as a string: 12.5 and 12.50 are different.")
    ]
    currency: Annotated[str, Meta(pattern=CURRENCY_PATTERN, description="ISO 4217.")]
    payee: Annotated[
        str,
        Meta(
            pattern=PAYEE_PATTERN,
            max_length=MAX_PAYEE_CHARS,
            description="Who is paid: one line of at most 70 visible characters in Unicode's normal form C, "
            "without spaces at its ends.",
        ),
    ]


Binding = Annotated[
    str,
    Meta(
        pattern=BINDING_PATTERN,
        description="A text of yours, such as a random value that the app keeps: 1-128 visible ASCII characters. "
        "The code verifies only with the same one, which is not stored.",
    ),
]
CaptchaToken = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CAPTCHA_TOKEN_CHARS,
        pattern=r"\A[!-~]*\Z",
        description="The token of a captcha or an attestation, if one is configured for the tenant; it is valid once.",
    ),
]
Token = Annotated[str, Meta(min_length=1, description="A proof token, or any other text, which is not active.")]
Time = Annotated[str, Meta(description="UTC, RFC 3339 with Z.", extra_json_schema={"format": "date-time"})]

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
        "transaction": "Send an object with the strings amount, currency and payee.",
        "amount": "Send the amount as a decimal number in a string, such as 12500.00.",
        "currency": "Send an ISO 4217 currency code of three capital letters, such as IDR.",
        "payee": "Send a name of 1-70 characters on one line, without invisible characters or spaces at its ends.",
        "binding": "Send a string of 1-128 visible ASCII characters, or leave it out.",
        "captcha_token": "Send the token of the challenge: 1-8,192 visible ASCII characters.",
        "key_id": "Send the key id as iOS returns it: 32 bytes in base64.",
        "challenge": "Send a challenge that this service has returned, as it is.",
        "attestation": "Send the attestation object in base64: 4-16,384 characters.",
        "token": "Send the token as a string.",
        "token_type_hint": "Send a string of at most 64 characters, or leave it out.",
        "consume": "Send true or false.",
        "verification_id": "Send the verification_id that request-code has returned.",
        "phoneNumber": "Send the number in E.164: +, and 5-15 digits that do not start with 0.",
        "message": "Send a text of at most 160 characters, with the word code in double braces where the code is.",
        "authenticationId": "Send the authenticationId that send-code has returned, of at most 36 characters.",
        "state": "Send `open` or `closed`.",
        "seconds": "Send a whole number of seconds from 60 to 86400, or leave it out.",
        "code": "The code must be 4-10 digits, sent as a string.",
    }
)
"""What to send, for each member of a request body. Errors never repeat the value that was sent."""
