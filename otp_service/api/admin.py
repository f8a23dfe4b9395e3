"""The routes for operators, by keys with the scope `admin`: each acts on the key's own tenant only."""

from __future__ import annotations

from litestar import Controller, post
from litestar.params import JSONBody

from otp_service.api import openapi_examples
from otp_service.api.request_bodies import StrictRequest, reads
from otp_service.api.schemas import UnlockBody, UnlockedRecipient
from otp_service.api.verification_routes import known_country
from otp_service.observability import METRICS

__all__ = ["Recipients"]


class Recipients(Controller):
    """Numbers, as an operator deals with them."""

    path = "/v1/admin/recipients"
    tags = ("admin",)
    request_class = StrictRequest
    security = openapi_examples.BEARER

    @post(
        "/unlock",
        status_code=200,
        operation_id="unlockRecipient",
        summary="Unlock a number",
        opt=reads(UnlockBody),
        responses=openapi_examples.responses("unlock"),
    )
    async def unlock(self, request: StrictRequest, data: JSONBody[UnlockBody]) -> UnlockedRecipient:
        """Forget the wrong codes of a number at this tenant, and every wait and lock that follows from them.

        Sends still count. The answer has the same form whether or not the number was locked; a repeated call changes
        nothing. Each call leaves an audit line in the log.
        """
        caller = request.principal
        country = known_country(data.country)
        caller.need("admin")
        done = await request.service.unlock(caller.tenant, data.phone, country, actor=caller.key_id)
        request.facts["phone"] = done.number.masked
        METRICS.unlocks.labels(caller.tenant.name, str(done.was_locked).lower()).inc()
        return UnlockedRecipient(phone=done.number.masked, unlocked=done.was_locked, failures_cleared=done.failures)
