"""The routes about codes. A handler reads, asks the use case and writes; one log line tells the outcome."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Final, TypeVar

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import FromPath, HeaderParameter, JSONBody

from otp_service.api import mapping, openapi_examples
from otp_service.api.auth import Principal, counted_address
from otp_service.api.request_bodies import StrictRequest, reads
from otp_service.api.schemas import (
    WANTED,
    NormalizedPhone,
    NormalizePhone,
    RequestCodeBody,
    RequestedCode,
    VerificationBody,
    VerifiedCode,
    VerifyCodeBody,
)
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.templates import best_locale
from otp_service.domain.views import VerificationProof, VerificationView
from otp_service.observability import METRICS
from otp_service.service import Attempt, CodeRequest

__all__ = ["Codes", "VerificationsById", "known_country"]

Result = TypeVar("Result", VerificationView, VerificationProof)

_FOUND: Final = frozenset(
    {
        Reason.VERIFICATION_USED,
        Reason.VERIFICATION_SUPERSEDED,
        Reason.VERIFICATION_CANCELED,
        Reason.VERIFICATION_EXPIRED,
        Reason.CODE_INCORRECT,
        Reason.ATTEMPTS_EXHAUSTED,
        Reason.RECIPIENT_LOCKED,
    }
)
"""What is only said of a verification that there is."""

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        min_length=1,
        max_length=255,
        description="The same key and body: the same answer, and one message. Kept for 24 hours.",
    ),
]


class Codes(Controller):
    """Request a code, check a code, read a number."""

    path = "/v1"
    tags = ("codes",)
    request_class = StrictRequest
    security = openapi_examples.BEARER

    @post(
        "/request-code",
        status_code=202,
        operation_id="requestCode",
        summary="Have a code sent",
        opt=reads(RequestCodeBody),
        responses=openapi_examples.responses("request_code"),
    )
    async def request_code(
        self, request: StrictRequest, data: JSONBody[RequestCodeBody], idempotency_key: IdempotencyKey = None
    ) -> RequestedCode:
        """Make a one-time code and have it delivered by SMS; the delivery goes on after the answer."""
        caller = request.principal
        wanted = _wanted(caller, data, request.client_address)
        key = idempotency_key and request.service.idempotency_claim(
            caller.tenant, "request-code", idempotency_key, _canonical(data)
        )
        work = request.service.request_code(wanted, key or None)
        view = await _told("request_code", request, work, purpose=data.purpose, reference=data.reference)
        return mapping.requested(view)

    @post(
        "/verify-code",
        status_code=200,
        operation_id="verifyCode",
        summary="Check a code",
        opt=reads(VerifyCodeBody),
        responses=openapi_examples.responses("verify_code"),
    )
    async def verify_code(
        self, request: StrictRequest, data: JSONBody[VerifyCodeBody], idempotency_key: IdempotencyKey = None
    ) -> VerifiedCode:
        """Say yes exactly once, no at most a few times, and hand back a signed proof."""
        caller = request.principal
        client = None if "server" in caller.scopes else _own_address(request)
        attempt = Attempt.typed(caller.tenant, data.verification_id, data.code, key_id=caller.key_id, client=client)
        caller.need("verify")
        key = idempotency_key and request.service.idempotency_claim(
            caller.tenant, "verify-code", idempotency_key, _canonical(data)
        )
        work = request.service.verify_code(attempt, key or None)
        return mapping.verified(await _told("verify_code", request, work, verification_id=data.verification_id))

    @post(
        "/normalize-phone",
        status_code=200,
        operation_id="normalizePhone",
        summary="Read a phone number",
        opt=reads(NormalizePhone),
        responses=openapi_examples.responses("normalize_phone"),
    )
    async def normalize_phone(self, request: StrictRequest, data: JSONBody[NormalizePhone]) -> NormalizedPhone:
        """Read a number in any spelling; nothing is sent and nothing is counted."""
        number = request.service.normalize(request.principal.tenant, data.phone, known_country(data.country))
        return NormalizedPhone(
            e164=number.e164,
            national=number.national,
            country=number.country,
            type=number.type,
            mobile=number.mobile,
        )


class VerificationsById(Controller):
    """A verification as it stands."""

    path = "/v1/verifications"
    tags = ("verifications",)
    request_class = StrictRequest
    security = openapi_examples.BEARER

    @get(
        "/{verification_id:str}",
        operation_id="readVerification",
        summary="Look at a verification",
        responses=openapi_examples.responses("read"),
    )
    async def read(self, request: StrictRequest, verification_id: FromPath[str]) -> VerificationBody:
        """Say how a verification and its deliveries stand, until 10 minutes after its end."""
        request.principal.need("read")
        return mapping.verification(await request.service.read(request.principal.tenant, verification_id))

    @delete(
        "/{verification_id:str}",
        status_code=200,
        operation_id="cancelVerification",
        summary="Cancel a verification",
        responses=openapi_examples.responses("cancel"),
    )
    async def cancel(self, request: StrictRequest, verification_id: FromPath[str]) -> VerificationBody:
        """End a pending verification; also when it is repeated, say how it stands."""
        caller = request.principal
        caller.need("request")
        work = request.service.cancel(caller.tenant, verification_id)
        return mapping.verification(await _told("cancel", request, work, verification_id=verification_id))


def _wanted(caller: Principal, data: RequestCodeBody, address: str | None) -> CodeRequest:
    """Judge the members, then the scopes; say whose address counts: the one that was said, or a mobile app's own."""
    country = known_country(data.country)
    client = counted_address(data.client_ip, "/client_ip") if data.client_ip is not None else None
    caller.need("request")
    if data.client_ip is not None or data.decoy:
        caller.need("server")
    if client is None and address is not None and "server" not in caller.scopes:
        client = counted_address(address)
    return CodeRequest(
        tenant=caller.tenant,
        phone=data.phone,
        purpose=data.purpose,
        country=country,
        locale=best_locale(caller.tenant.templates, data.locale, data.purpose) if data.locale else "",
        channel=data.channel,
        client=client,
        decoy=data.decoy,
        key_id=caller.key_id,
    )


def _own_address(request: StrictRequest) -> str | None:
    """Say whose address counts when a mobile app calls by itself; None where there is none (a Unix socket)."""
    address = request.client_address
    return None if address is None else counted_address(address)


def known_country(country: str | None) -> str | None:
    """Judge the country that national forms are read by."""
    if country is not None and country not in SUPPORTED_COUNTRIES:
        mistakes = (FieldError("/country", WANTED["country"]),)
        raise Refused(Reason.REQUEST_MALFORMED, "Send a country whose numbers can be read.", mistakes=mistakes)
    return country


def _canonical(data: RequestCodeBody | VerifyCodeBody) -> str:
    """Write a body down the same way whatever its spacing and order were."""
    return msgspec.json.encode(data, order="sorted").decode()


async def _told(action: str, request: StrictRequest, work: Awaitable[Result], **known: str | None) -> Result:
    """Do `work` and note what is known of it, whatever its outcome, for the request's log line and the metrics."""
    outcome = Reason.INTERNAL_ERROR.value
    said_id = known.pop("verification_id", None)
    request.facts.update({name: value for name, value in known.items() if value is not None})
    try:
        result = await work
        outcome = "ok"
        request.facts.update(verification_id=result.verification_id, phone=result.masked)
        return result
    except Refused as refused:
        outcome = refused.reason.value
        if said_id is not None and refused.reason in _FOUND:  # else it may be anything: a number, too
            request.facts["verification_id"] = said_id
        raise
    finally:
        METRICS.outcomes.labels(request.principal.tenant.name, action, outcome).inc()
