"""Routes by which an app with App Attest gets challenges and registers its key.

`service/app_attest_verifier.py` says what both are for.
"""

from __future__ import annotations

from litestar import Controller, post
from litestar.params import JSONBody

from otp_service.api import openapi_examples
from otp_service.api.app_attest_bodies import AppAttestChallenge, RegisteredKey, RegisterKeyBody
from otp_service.api.auth import rate_limit_address
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.json_handlers import JsonHandlers
from otp_service.api.outcome_recording import count_outcome
from otp_service.api.request_context import ApiRequest
from otp_service.domain.errors import Refused
from otp_service.service import Registration

__all__ = ["AppAttestRoutes"]


class AppAttestRoutes(Controller):
    """Get a challenge, register a key."""

    path = "/v1/app-attest"
    tags = ("app attest",)
    middleware = (JsonHandlers,)
    security = openapi_examples.BEARER

    @post(
        "/challenges",
        status_code=200,
        operation_id="createAppAttestChallenge",
        summary="Get a challenge for App Attest",
        opt=endpoint_rules(needs_api_key=True),
        responses=openapi_examples.responses("app_attest_challenge"),
    )
    async def create_challenge(self, request: ApiRequest) -> AppAttestChallenge:
        """Return a challenge for one attestation, or for the assertion of one request for a code. It has no body."""
        caller = request.principal
        caller.require_scope("request")
        return AppAttestChallenge(challenge=request.service.app_attestations.new_challenge(caller.tenant))

    @post(
        "/keys",
        status_code=200,
        operation_id="registerAppAttestKey",
        summary="Register the key of an app",
        opt=endpoint_rules(body=RegisterKeyBody, needs_api_key=True, needs_store=True),
        responses=openapi_examples.responses("app_attest_key"),
    )
    async def register_key(self, request: ApiRequest, data: JSONBody[RegisterKeyBody]) -> RegisteredKey:
        """Verify Apple's attestation of a key, and register the key. The same call, repeated, changes nothing."""
        caller, address = request.principal, request.context.client_address
        caller.require_scope("request")
        registration = Registration(
            tenant=caller.tenant,
            key_id=data.key_id,
            challenge=data.challenge,
            attestation=data.attestation,
            client_ip=None if address is None or "server" in caller.scopes else rate_limit_address(address),
            publishable=caller.publishable,
        )
        outcome = "internal_error"
        try:
            seconds = await request.service.app_attestations.register(registration)
            outcome = "ok"
        except Refused as refused:
            outcome = refused.reason.value
            raise
        finally:
            count_outcome(caller.tenant.name, "register_app_key", outcome)
        return RegisteredKey(key_id=data.key_id, expires_in=seconds)
