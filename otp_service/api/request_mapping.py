"""Map request bodies to the inputs of the use cases, with the checks of members that depend on each other."""

from __future__ import annotations

from typing import Final

import msgspec

from otp_service.api.auth import Principal, rate_limit_address
from otp_service.api.members import EXPECTED_VALUES
from otp_service.api.schemas import RequestCodeBody, VerifyCodeBody
from otp_service.domain.code_binding import UNBOUND, CodeBinding, Transaction
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.locale_matching import match_locale
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.recipient import is_address
from otp_service.service import CodeRequest

__all__ = ["binding_of", "canonical_body", "check_country", "map_code_request", "recipient_field"]

ADDED_MEMBERS: Final = ("app", "link", "transaction", "binding")
"""The members that the previous version does not know."""


def map_code_request(caller: Principal, data: RequestCodeBody, address: str | None) -> CodeRequest:
    """Check the members, then the scopes, and return the input of the use case.

    Args:
        caller: The API key. With the scope `server`, only `client_ip` counts as the user's address; without it, as
            in a mobile app, the caller's own address does.
        data: The request body.
        address: The address that the request comes from.
    """
    country, channel = check_country(data.country), _channel(data)
    client = rate_limit_address(data.client_ip, "/client_ip") if data.client_ip is not None else None
    if data.link is not None and channel != "sms":
        errors = (FieldError("/link", "Leave this member out: only an SMS (`channel` `sms`) contains an address."),)
        raise Refused(Reason.REQUEST_MALFORMED, "Send `link` only with the channel `sms`.", field_errors=errors)
    if data.transaction is not None and channel != "sms":
        raise _unfit("/transaction", "Leave it out: only an SMS (`channel` `sms`) names a transaction.")
    bound = binding_of(data)
    caller.require_scope("request")
    if data.client_ip is not None or data.decoy or data.link is not None or data.transaction is not None:
        caller.require_scope("server")
    if data.app is not None:
        caller.tenant.check_app(data.app)
    is_server = "server" in caller.scopes
    if client is None and address is not None and not is_server:
        client = rate_limit_address(address)
    return CodeRequest(
        tenant=caller.tenant,
        phone=data.phone or "",
        email=data.email or "",
        purpose=data.purpose,
        country=country,
        locale=_locale(caller, data),
        channel=channel,
        app=data.app or "",
        client_ip=client,
        is_server=is_server,
        decoy=data.decoy,
        key_id=caller.key_id,
        link=data.link or "",
        captcha_token=data.captcha_token or "",
        publishable=caller.publishable,
        reference=data.reference or "",
        bound=bound,
    )


def binding_of(data: RequestCodeBody | VerifyCodeBody) -> CodeBinding:
    """Return what the code of a request, or of an attempt, is bound to. Raises `Refused` for an unfit payee."""
    sent = data.transaction
    if sent is None and not data.binding:
        return UNBOUND
    transaction = None if sent is None else Transaction.of(sent.amount, sent.currency, sent.payee)
    if transaction is not None and not transaction.has_plain_payee:
        raise _unfit("/transaction/payee", EXPECTED_VALUES["payee"])
    return CodeBinding(transaction, data.binding or "")


def _locale(caller: Principal, data: RequestCodeBody) -> str:
    """Return the locale of the message: of the template that matches best, "" for none."""
    if not data.locale:
        return ""
    is_named = data.transaction is not None
    return match_locale(caller.tenant.templates, data.locale, data.purpose, for_transaction=is_named)


def _channel(data: RequestCodeBody) -> str:
    """Return the channel of a request, if it reaches the recipient that the request names. Raises `Refused`."""
    if data.email is not msgspec.UNSET and data.country is not None:
        raise _unfit("/country", "Leave it out with `email`: it is the country of a phone number.")
    default = "sms" if data.email is msgspec.UNSET else "email"
    channel = data.channel or default
    if (channel == "email") != (default == "email"):
        raise _unfit("/channel", "Send the channel `email` with `email` only, and no other one with it.")
    return channel


def _unfit(pointer: str, detail: str) -> Refused:
    errors = (FieldError(pointer, detail),)
    return Refused(Reason.REQUEST_MALFORMED, "Correct the body: `errors` says what to send.", field_errors=errors)


def check_country(country: str | None) -> str | None:
    """Return the country of a request, if numbers of that country can be parsed. Raises `Refused`."""
    if country is not None and country not in SUPPORTED_COUNTRIES:
        errors = (FieldError("/country", EXPECTED_VALUES["country"]),)
        raise Refused(
            Reason.REQUEST_MALFORMED, "Send the code of a country that has phone numbers.", field_errors=errors
        )
    return country


def recipient_field(masked: str) -> dict[str, str]:
    """Return the masked recipient under its name in log lines and bodies: `phone` or `email`."""
    return {"email" if is_address(masked) else "phone": masked}


def canonical_body(data: RequestCodeBody | VerifyCodeBody) -> str:
    """Serialize a body in a form that does not depend on its spacing and the order of its members.

    A member that earlier versions do not know is left out while it is null, and the channel is written even if it was
    left out, so that all versions compute the same fingerprint. The captcha token is not included, because a client may
    get a new one when it repeats a request.
    """
    members = msgspec.to_builtins(data)
    members.pop("captcha_token", None)
    for name in ADDED_MEMBERS:
        if members.get(name) is None:
            members.pop(name, None)
    if isinstance(data, RequestCodeBody):
        members["channel"] = _channel(data)
    return msgspec.json.encode(members, order="sorted").decode()
