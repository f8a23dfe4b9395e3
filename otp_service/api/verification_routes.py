"""Routes to request and verify codes, to read and cancel verifications, and to normalize phone numbers."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import FromPath, HeaderParameter, JSONBody

from otp_service.api import mapping, openapi_examples
from otp_service.api.auth import rate_limit_address
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.headers import MAX_IDEMPOTENCY_KEY_CHARACTERS
from otp_service.api.json_handlers import JsonHandlers
from otp_service.api.outcome_recording import recorded
from otp_service.api.quota_headers import quota_headers
from otp_service.api.request_context import ApiRequest
from otp_service.api.request_mapping import binding_of, canonical_body, check_country, map_code_request
from otp_service.api.schemas import (
    NormalizedPhone,
    NormalizePhone,
    RequestCodeBody,
    RequestedCode,
    VerificationBody,
    VerifiedCode,
    VerifyCodeBody,
)
from otp_service.domain.results import IdempotencyClaim
from otp_service.domain.views import VerificationProof, VerificationView
from otp_service.service import Attempt

__all__ = ["CodeRoutes", "VerificationRoutes"]

Result = TypeVar("Result", VerificationView, VerificationProof)

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        min_length=1,
        max_length=MAX_IDEMPOTENCY_KEY_CHARACTERS,
        description="The same key with the same body gets the same response, and one message. Kept for 24 hours.",
    ),
]


class CodeRoutes(Controller):
    """Request a code, verify a code, normalize a phone number."""

    path = "/v1"
    tags = ("codes",)
    middleware = (JsonHandlers,)
    security = openapi_examples.BEARER

    @post(
        "/request-code",
        status_code=202,
        operation_id="requestCode",
        summary="Send a code",
        opt=endpoint_rules(
            body=RequestCodeBody, idempotent=True, needs_api_key=True, needs_store=True, hashed_statuses=[202]
        ),
        responses=openapi_examples.responses("request_code"),
    )
    async def request_code(
        self, request: ApiRequest, data: JSONBody[RequestCodeBody], idempotency_key: IdempotencyKey = None
    ) -> RequestedCode:
        """Create a verification and send its code by SMS. The delivery continues after the response."""
        caller = request.principal
        code_request = map_code_request(caller, data, request.context.client_address)
        claim = None if idempotency_key is None else _claim(request, "request-code", idempotency_key, data)
        call = request.service.request_code(code_request, claim)
        view = await recorded("request_code", request, call, purpose=data.purpose, reference=data.reference)
        request.context.headers_to_send += quota_headers(view.quotas)
        return mapping.request_code_response(view)

    @post(
        "/verify-code",
        status_code=200,
        operation_id="verifyCode",
        summary="Verify a code",
        opt=endpoint_rules(
            body=VerifyCodeBody, idempotent=True, needs_api_key=True, needs_store=True, hashed_statuses=[200, 422]
        ),
        responses=openapi_examples.responses("verify_code"),
    )
    async def verify_code(
        self, request: ApiRequest, data: JSONBody[VerifyCodeBody], idempotency_key: IdempotencyKey = None
    ) -> VerifiedCode:
        """Compare the code with the one that was sent. The correct code succeeds once and gets a signed proof."""
        caller = request.principal
        client = None if "server" in caller.scopes else _caller_address(request)
        attempt = Attempt.from_input(
            caller.tenant,
            data.verification_id,
            data.code,
            key_id=caller.key_id,
            client_ip=client,
            publishable=caller.publishable,
            bound=binding_of(data),
        )
        caller.require_scope("verify")
        claim = None if idempotency_key is None else _claim(request, "verify-code", idempotency_key, data)
        call = request.service.verify_code(attempt, claim)
        proof = await recorded("verify_code", request, call, verification_id=data.verification_id)
        return mapping.verify_code_response(proof)

    @post(
        "/normalize-phone",
        status_code=200,
        operation_id="normalizePhone",
        summary="Normalize a phone number",
        opt=endpoint_rules(body=NormalizePhone, needs_api_key=True),
        responses=openapi_examples.responses("normalize_phone"),
    )
    async def normalize_phone(self, request: ApiRequest, data: JSONBody[NormalizePhone]) -> NormalizedPhone:
        """Parse a number in any spelling. Nothing is sent, and no limit is charged."""
        number = request.service.normalize(request.principal.tenant, data.phone, check_country(data.country))
        return NormalizedPhone(
            e164=number.e164,
            national=number.national,
            country=number.country,
            type=number.type,
            mobile=number.mobile,
        )


class VerificationRoutes(Controller):
    """Read and cancel a verification."""

    path = "/v1/verifications"
    tags = ("verifications",)
    middleware = (JsonHandlers,)
    security = openapi_examples.BEARER
    opt = endpoint_rules(label="/v1/verifications/{id}", needs_api_key=True, needs_store=True)

    @get(
        "/{verification_id:str}",
        operation_id="readVerification",
        summary="Read a verification",
        responses=openapi_examples.responses("read"),
    )
    async def read(self, request: ApiRequest, verification_id: FromPath[str]) -> VerificationBody:
        """Return the status of a verification and its deliveries, until 10 minutes after its end."""
        caller = request.principal
        caller.require_scope("read")
        return mapping.verification_response(await request.service.read(caller.tenant, verification_id))

    @delete(
        "/{verification_id:str}",
        status_code=200,
        operation_id="cancelVerification",
        summary="Cancel a verification",
        responses=openapi_examples.responses("cancel"),
    )
    async def cancel(self, request: ApiRequest, verification_id: FromPath[str]) -> VerificationBody:
        """Cancel a pending verification, and return its status. A repeated call changes nothing."""
        caller = request.principal
        caller.require_scope("request")
        call = request.service.cancel(caller.tenant, verification_id)
        view = await recorded("cancel", request, call, verification_id=verification_id)
        body = mapping.verification_response(view)
        # Anybody may have the tenant's app, and must not see the tenant's providers and their errors.
        return msgspec.structs.replace(body, deliveries=[]) if caller.publishable else body


def _claim(request: ApiRequest, endpoint: str, key: str, data: RequestCodeBody | VerifyCodeBody) -> IdempotencyClaim:
    """Return the claim of an `Idempotency-Key`.

    All API keys of a tenant share one namespace of idempotency keys, but each publishable one has its own: a user of
    the app must not be able to read or block the requests of the tenant's servers under keys that can be predicted.
    """
    caller = request.principal
    scope = f"{endpoint}/{caller.key_id}" if caller.publishable else endpoint
    return request.service.idempotency_claim(caller.tenant, scope, key, canonical_body(data))


def _caller_address(request: ApiRequest) -> str | None:
    """Return the caller's address as the `client_ip` limit counts it; None on a Unix socket."""
    address = request.context.client_address
    return None if address is None else rate_limit_address(address)
