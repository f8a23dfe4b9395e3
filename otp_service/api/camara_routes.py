"""CAMARA OneTimePasswordSMS 1.1 over the use cases of the API: `send-code` and `validate-code`.

The paths, bodies and errors are those of CAMARA's published document, so they are not part of ours. CAMARA has no
purpose, locale or user address: a tenant's config names the purpose, and the caller is a backend, so its key has the
scope `server`.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody
from msgspec import Meta

from otp_service.api.camara_errors import X_CORRELATOR, camara_error, correlator_header, is_correlator
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.headers import header_error, single_header
from otp_service.api.json_handlers import JsonHandlers
from otp_service.api.outcome_recording import recorded
from otp_service.api.quota_headers import quota_headers
from otp_service.api.request_context import ApiRequest
from otp_service.crypto.codes import parse_code
from otp_service.domain.caller_text import CODE_PLACEHOLDER, clean_text, names_other_host
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.integrations import CamaraRules
from otp_service.service import Attempt, CodeRequest

__all__ = ["CamaraRoutes"]

MAX_MESSAGE_CHARACTERS: Final = 160


class SendCodeBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A number, and the text of its SMS."""

    phoneNumber: Annotated[str, Meta(pattern=r"\A\+[1-9][0-9]{4,14}\Z")]  # noqa: N815  # CAMARA's name
    message: Annotated[str, Meta(max_length=MAX_MESSAGE_CHARACTERS, pattern=r"\{\{code\}\}")]


class SendCodeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The id of the verification."""

    authenticationId: str  # noqa: N815  # CAMARA's name


class ValidateCodeBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An attempt."""

    authenticationId: Annotated[str, Meta(max_length=36)]  # noqa: N815  # CAMARA's name
    code: Annotated[str, Meta(max_length=10)]


class CamaraRoutes(Controller):
    """Send a code, and validate it."""

    path = "/one-time-password-sms/v1"
    middleware = (JsonHandlers,)
    include_in_schema = False

    @post(
        "/send-code",
        status_code=200,
        opt=endpoint_rules(
            body=SendCodeBody, needs_api_key=True, needs_store=True, hashed_statuses=[200], error_format=camara_error
        ),
    )
    async def send_code(self, request: ApiRequest, data: JSONBody[SendCodeBody]) -> SendCodeResponse:
        """Create a verification, and send its code in the text of the request."""
        rules = _check_caller(request, "request")
        caller = request.principal
        code_request = CodeRequest(
            tenant=caller.tenant,
            phone=data.phoneNumber,
            purpose=rules.purpose,
            key_id=caller.key_id,
            text=_own_text(request, data.message) if rules.own_text else "",
        )
        view = await recorded(
            "request_code", request, request.service.request_code(code_request), purpose=rules.purpose
        )
        request.context.headers_to_send += [*quota_headers(view.quotas), correlator_header(request.context.headers)]
        return SendCodeResponse(authenticationId=view.verification_id)

    @post(
        "/validate-code",
        status_code=204,
        opt=endpoint_rules(
            body=ValidateCodeBody,
            needs_api_key=True,
            needs_store=True,
            hashed_statuses=[204],
            error_format=camara_error,
        ),
    )
    async def validate_code(self, request: ApiRequest, data: JSONBody[ValidateCodeBody]) -> None:
        """Compare the code; the correct one succeeds once. Any other text is a wrong code, as CAMARA specifies."""
        _check_caller(request, "verify")
        caller = request.principal
        code = parse_code(data.code) or data.code
        attempt = Attempt(caller.tenant, data.authenticationId, code, key_id=caller.key_id)
        call = request.service.verify_code(attempt)
        await recorded("verify_code", request, call, verification_id=data.authenticationId)
        request.context.headers_to_send.append(correlator_header(request.context.headers))


def _check_caller(request: ApiRequest, scope: str) -> CamaraRules:
    """Check the `x-correlator`, that the tenant uses CAMARA, and the scopes of the key. Raises `Refused`."""
    if not is_correlator(single_header(request.scope, request.context.headers, X_CORRELATOR)):
        detail = "Send at most 256 of A-Z a-z 0-9 - _ : ; . / < > { }, or leave this header out."
        raise Refused(Reason.REQUEST_MALFORMED, field_errors=(header_error(X_CORRELATOR.decode(), detail),))
    caller = request.principal
    if caller.tenant.camara is None:
        detail = "Enable CAMARA in the configuration of the tenant: [tenants.<name>.camara] enabled = true."
        raise Refused(Reason.SCOPE_MISSING, detail)
    caller.require_scope(scope)
    caller.require_scope("server")
    return caller.tenant.camara


def _own_text(request: ApiRequest, message: str) -> str:
    """Return the text of the request. Raises `Refused` for one that may lead to another web site."""
    text = clean_text(message)
    if len(text) > MAX_MESSAGE_CHARACTERS:  # a character may be three in this form
        detail = f"Send at most {MAX_MESSAGE_CHARACTERS} characters in Unicode's normal form C."
        raise Refused(Reason.REQUEST_MALFORMED, field_errors=(FieldError("/message", detail),))
    if CODE_PLACEHOLDER not in text or names_other_host(text, request.principal.tenant.text_hosts):
        detail = "Leave web addresses out of the message; only those of the tenant's link_hosts and apps are allowed."
        raise Refused(Reason.LINK_NOT_ALLOWED, detail)
    return text
