"""Routes for operators of the guard against SMS pumping, which all tenants of the service share.

They need an API key with the scope `admin` of a tenant that is listed in `[guard] operator_tenants`: they show the
traffic of all tenants, and a breaker stops the messages of all of them.
"""

from __future__ import annotations

from typing import Final

from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody

from otp_service.api import openapi_examples
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.guard_bodies import (
    BreakerBody,
    GuardOverview,
    GuardScopeDetails,
    SetBreakerBody,
    breaker_response,
    guard_overview_response,
    guard_scope_response,
)
from otp_service.api.json_handlers import JsonHandlers
from otp_service.api.request_context import ApiRequest
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.guard_report import KEPT_HOURS
from otp_service.service.guard_admin import GuardAdmin

__all__ = ["GuardAdminRoutes"]

OVERVIEW_HOURS: Final = 24
DECISIONS: Final = 100


class GuardAdminRoutes(Controller):
    """What an operator may see of the guard, and change."""

    path = "/v1/admin/guard"
    tags = ("admin",)
    middleware = (JsonHandlers,)
    security = openapi_examples.BEARER

    @get(
        "/",
        operation_id="readGuard",
        summary="Read the guard against SMS pumping",
        opt=endpoint_rules(needs_api_key=True, needs_store=True),
        responses=openapi_examples.responses("guard_overview"),
    )
    async def overview(self, request: ApiRequest) -> GuardOverview:
        """Return the breakers and the conversion of each country, and the newest decisions."""
        report = await _admin(request).overview(hours=OVERVIEW_HOURS, decisions=DECISIONS)
        return guard_overview_response(report)

    @get(
        "/{country:str}",
        operation_id="readGuardScope",
        summary="Read the guard of a country",
        opt=endpoint_rules(label="/v1/admin/guard/{country}", needs_api_key=True, needs_store=True),
        responses=openapi_examples.responses("guard_scope"),
    )
    async def scope(self, request: ApiRequest, country: FromPath[str]) -> GuardScopeDetails:
        """Return one country, or `all`: the conversion by hour and by area, its breakers and its decisions."""
        admin = _admin(request)
        name = _parse_scope(country)
        return guard_scope_response(name, await admin.scope(name, hours=KEPT_HOURS, decisions=DECISIONS))

    @put(
        "/{country:str}/breaker",
        status_code=200,
        operation_id="setGuardBreaker",
        summary="Open or close the breaker of a country",
        opt=endpoint_rules(
            label="/v1/admin/guard/{country}/breaker", body=SetBreakerBody, needs_api_key=True, needs_store=True
        ),
        responses=openapi_examples.responses("guard_breaker"),
    )
    async def set_breaker(
        self, request: ApiRequest, country: FromPath[str], data: JSONBody[SetBreakerBody]
    ) -> BreakerBody:
        """Open the breaker of a country, or of `all`, or close it, and return it.

        One that was opened by hand behaves as if it had opened by itself: probes pass, and close it if enough of them
        are verified. Each call writes a line to the audit log.
        """
        admin, caller = _admin(request), request.principal
        name, tenant = _parse_scope(country), caller.tenant.name
        if data.state == "open":
            await admin.open_breaker(name, data.seconds, actor=caller.key_id, tenant=tenant)
        elif data.seconds is None:
            await admin.close_breaker(name, actor=caller.key_id, tenant=tenant)
        else:
            error = FieldError("/seconds", "Leave it out with `closed`.")
            raise Refused(Reason.REQUEST_MALFORMED, "Send `seconds` only with `open`.", field_errors=(error,))
        report = await admin.scope(name, hours=1, decisions=0)
        return breaker_response(report.scopes[name].breaker)


def _admin(request: ApiRequest) -> GuardAdmin:
    """Return the use case, if the caller may use it; raises `Refused`."""
    request.principal.require_scope("admin")
    admin = request.service.guard_admin
    admin.check_operator(request.principal.tenant.name)
    return admin


def _parse_scope(text: str) -> str:
    scope = GuardAdmin.parse_scope(text)
    if scope is None:
        raise Refused(Reason.NOT_FOUND, "Name a country by its ISO 3166 code, such as ID, or `all`.")
    return scope
