"""Routes for operators. They need an API key with the scope `admin`, and change the tenant of that key only."""

from __future__ import annotations

from litestar import Controller, delete, get, post
from litestar.params import JSONBody

from otp_service.api import openapi_examples
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.json_handlers import JsonHandlers
from otp_service.api.mapping import forgotten_response, recipient_status_response
from otp_service.api.request_context import ApiRequest
from otp_service.api.request_mapping import check_country, recipient_field
from otp_service.api.schemas import (
    CheckRecipientBody,
    ForgetBody,
    ForgottenRecipient,
    OptOutCount,
    RecipientStatus,
    UnlockBody,
    UnlockedRecipient,
)
from otp_service.domain.recipient import Recipient
from otp_service.observability import METRICS

__all__ = ["OptOutAdminRoutes", "RecipientAdminRoutes"]


class RecipientAdminRoutes(Controller):
    """What an operator may do with a phone number or an e-mail address."""

    path = "/v1/admin/recipients"
    tags = ("admin",)
    middleware = (JsonHandlers,)
    security = openapi_examples.BEARER

    @delete(
        "/",
        status_code=200,
        operation_id="forgetRecipient",
        summary="Forget a recipient",
        opt=endpoint_rules(body=ForgetBody, needs_api_key=True, needs_store=True),
        responses=openapi_examples.responses("forget"),
    )
    async def forget(self, request: ApiRequest, data: JSONBody[ForgetBody]) -> ForgottenRecipient:
        """Remove what is stored of a recipient at this tenant.

        Verifications in any state, their messages, and responses under idempotency keys are removed; events of webhooks
        that wait or are kept lose the number and the reference. What protects the person stays until its own end, under
        a keyed hash: counts for limits, locks, an opt-out, and what the guard remembers. `kept` says until when at
        most. Each call writes a line to the audit log; a repeated call changes nothing.
        """
        caller = request.principal
        recipient = _admin_recipient(request, data)
        forgotten = await request.service.forget.at_tenant(caller.tenant, recipient, actor=caller.key_id)
        request.context.log_fields.update(recipient_field(recipient.masked))
        return forgotten_response(forgotten)

    @post(
        "/unlock",
        status_code=200,
        operation_id="unlockRecipient",
        summary="Unlock a recipient",
        opt=endpoint_rules(body=UnlockBody, needs_api_key=True, needs_store=True),
        responses=openapi_examples.responses("unlock"),
    )
    async def unlock(self, request: ApiRequest, data: JSONBody[UnlockBody]) -> UnlockedRecipient:
        """Clear the wrong codes of a recipient at this tenant, and the waits and locks that follow from them.

        The limits on sends are not cleared. The response has the same form whether or not it was locked; a
        repeated call changes nothing. Each call writes an audit line to the log.
        """
        caller = request.principal
        recipient = _admin_recipient(request, data)
        unlocked = await request.service.unlock(caller.tenant, recipient, actor=caller.key_id)
        masked = recipient_field(unlocked.recipient.masked)
        request.context.log_fields.update(masked)
        METRICS.unlocks.labels(caller.tenant.name, str(unlocked.was_locked).lower()).inc()
        return UnlockedRecipient(**masked, unlocked=unlocked.was_locked, failures_cleared=unlocked.failures)

    @post(
        "/check",
        status_code=200,
        operation_id="checkRecipient",
        summary="Check whether a number has opted out",
        opt=endpoint_rules(body=CheckRecipientBody, needs_api_key=True, needs_store=True),
        responses=openapi_examples.responses("check_recipient"),
    )
    async def check(self, request: ApiRequest, data: JSONBody[CheckRecipientBody]) -> RecipientStatus:
        """Return whether the owner of a number asked to get no messages. Opt-outs hold for all tenants."""
        caller = request.principal
        country = check_country(data.country)
        caller.require_scope("admin")
        state = await request.service.opt_outs.check(caller.tenant.parse_phone(data.phone, country))
        request.context.log_fields["phone"] = state.number.masked
        return recipient_status_response(state)


def _admin_recipient(request: ApiRequest, data: UnlockBody | ForgetBody) -> Recipient:
    """Return the recipient of a call with the scope `admin`; raises `Refused`."""
    caller = request.principal
    country = check_country(data.country)
    caller.require_scope("admin")
    return caller.tenant.parse_phone(data.phone, country) if data.phone else caller.tenant.parse_email(data.email or "")


class OptOutAdminRoutes(Controller):
    """What an operator may see of all opt-outs."""

    path = "/v1/admin/opt-outs"
    tags = ("admin",)
    middleware = (JsonHandlers,)
    security = openapi_examples.BEARER

    @get(
        "/",
        operation_id="countOptOuts",
        summary="Count the opted-out numbers",
        opt=endpoint_rules(needs_api_key=True, needs_store=True),
        responses=openapi_examples.responses("count_opt_outs"),
    )
    async def count(self, request: ApiRequest) -> OptOutCount:
        """Return how many numbers are opted out at this service, by all tenants' recipients."""
        request.principal.require_scope("admin")
        return OptOutCount(count=await request.service.opt_outs.count())
