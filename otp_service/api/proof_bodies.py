"""The bodies of the introspection of proofs; the request may be a form, as in RFC 7662, or JSON."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from otp_service.api.members import EXPECTED_VALUES, Token, TransactionBody
from otp_service.domain.errors import FieldError, Reason, Refused

__all__ = ["Introspection", "IntrospectionBody", "decode_form"]

Body = TypeVar("Body", bound=Struct)

MAX_FORM_FIELDS: Final = 16
"""A form with more fields is refused before they are decoded."""


class IntrospectionBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The token to introspect (RFC 7662, 2.1), as JSON or as a form, whose other parameters are ignored."""

    token: Token
    token_type_hint: Annotated[str, Meta(max_length=64, description="Ignored: there is one type.")] | None = None
    consume: Annotated[
        bool, Meta(description="Accept the proof once: the first such call finds it active, and all later ones do not.")
    ] = False


class Introspection(Struct, frozen=True, kw_only=True):
    """Whether a token is a proof that is valid for the tenant; the other members are there only if it is."""

    active: bool
    iss: str | msgspec.UnsetType = msgspec.UNSET
    aud: str | msgspec.UnsetType = msgspec.UNSET
    sub: str | msgspec.UnsetType = msgspec.UNSET
    jti: Annotated[str | msgspec.UnsetType, Meta(description="The verification_id.")] = msgspec.UNSET
    iat: int | msgspec.UnsetType = msgspec.UNSET
    exp: int | msgspec.UnsetType = msgspec.UNSET
    phone: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType = msgspec.UNSET
    purpose: str | msgspec.UnsetType = msgspec.UNSET
    transaction: TransactionBody | msgspec.UnsetType = msgspec.UNSET
    binding_sha256: Annotated[
        str | msgspec.UnsetType, Meta(description="The SHA-256 of `binding`, in base64url without padding.")
    ] = msgspec.UNSET
    consumed: Annotated[
        bool | msgspec.UnsetType, Meta(description="Whether an earlier call with `consume` found it active.")
    ] = msgspec.UNSET


def decode_form(kind: type[Body], raw: bytes) -> Body:
    """Decode a form (`application/x-www-form-urlencoded`) to a struct of type `kind`.

    Unknown parameters are ignored, and a parameter is not repeated (RFC 6749, 3.2).

    Raises:
        Refused: `request_malformed`, with the pointer of the first wrong parameter and what to send there.
    """
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError:  # UnicodeDecodeError is one, too
        raise _malformed(
            "", f"Send a form in UTF-8 of at most {MAX_FORM_FIELDS} parameters, percent-encoded."
        ) from None
    values: dict[str, str] = {}
    names = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, value in pairs:
        if name in values:
            raise _malformed(f"/{name}" if name in names else "", "Send each parameter once.")
        if name in names:
            _check(value, names[name])
        values[name] = value
    for name, field in names.items():
        if field.required and name not in values:
            raise _malformed(f"/{name}", "Send this member; it is required.")
    return msgspec.convert({name: values[name] for name in names.keys() & values.keys()}, kind, strict=False)


def _check(value: str, field: msgspec.structs.FieldInfo) -> None:
    """Raise `Refused` unless the parameter has the type of its field, as text: `true` or `false` for a boolean."""
    try:
        converted = msgspec.convert(value, field.type, strict=False)
        is_valid = not isinstance(converted, bool) or value in ("true", "false")
    except msgspec.ValidationError:
        is_valid = False
    if not is_valid:
        raise _malformed(f"/{field.encode_name}", EXPECTED_VALUES[field.encode_name])


def _malformed(pointer: str, detail: str) -> Refused:
    errors = (FieldError(pointer, detail),)
    return Refused(Reason.REQUEST_MALFORMED, "Correct the body: `errors` says what to send.", field_errors=errors)
