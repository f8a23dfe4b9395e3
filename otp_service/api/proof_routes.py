"""The introspection of proof tokens (RFC 7662): for backends that accept each proof once, or check no signatures."""

from __future__ import annotations

from litestar import Controller, post
from litestar.params import JSONBody

from otp_service.api import openapi_examples
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.json_handlers import JsonHandlers
from otp_service.api.outcome_recording import count_outcome
from otp_service.api.proof_bodies import Introspection, IntrospectionBody
from otp_service.api.request_context import ApiRequest
from otp_service.domain.errors import Refused

__all__ = ["ProofRoutes"]


class ProofRoutes(Controller):
    """Introspect a proof."""

    path = "/v1"
    tags = ("codes",)
    middleware = (JsonHandlers,)
    security = openapi_examples.BEARER

    @post(
        "/introspect",
        status_code=200,
        operation_id="introspectProof",
        summary="Introspect a proof token",
        opt=endpoint_rules(body=IntrospectionBody, accepts_form=True, needs_api_key=True, needs_store=True),
        responses=openapi_examples.responses("introspect"),
    )
    async def introspect(self, request: ApiRequest, data: JSONBody[IntrospectionBody]) -> Introspection:
        """Return whether a token is a proof that is valid for the key's tenant now. Needs the scope `read`.

        With `consume` the first call finds it active and all later ones do not, whatever the number of calls at a time.
        """
        caller = request.principal
        caller.require_scope("read")
        try:
            proof = await request.service.introspect(caller.tenant, data.token, consume=data.consume)
        except Refused as refused:
            count_outcome(caller.tenant.name, "introspect", refused.reason.value)
            raise
        if proof is None:
            count_outcome(caller.tenant.name, "introspect", "inactive")
            return Introspection(active=False)
        count_outcome(caller.tenant.name, "introspect", "ok")
        request.context.log_fields["verification_id"] = proof.verification_id
        # Not checked again: another version may have signed claims that this one would refuse in a request.
        known = {name: proof.claims[name] for name in Introspection.__struct_fields__ if name in proof.claims}
        return Introspection(**known | {"active": True, "consumed": proof.is_consumed})
