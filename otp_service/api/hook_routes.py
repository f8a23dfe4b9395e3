"""Code hooks: endpoints to which another product hands a code that it has made, so that this service delivers it.

The other product verifies the code. Here it has no hash, and a verification id of it is unknown to verify-code. All
else is as for a code of this service: limits, routes, the sealed outbox and receipts. The guard checks what needs no
verification: the different numbers of a block, and breakers. A repeated call with the same body is one message:
products repeat a call whose answer they have lost.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable
from typing import Final, cast

import msgspec
from litestar import Controller, post
from litestar.params import FromPath

from otp_service.api import openapi_examples
from otp_service.api.auth import Principal, rate_limit_address
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.headers import AUTHORIZATION, single_header
from otp_service.api.hook_bodies import MAX_TEXT_CHARACTERS, body_members, keycloak_code, kratos_code, supabase_code
from otp_service.api.hook_errors import supabase_error
from otp_service.api.json_handlers import JsonHandlers
from otp_service.api.outcome_recording import recorded
from otp_service.api.request_context import ApiRequest
from otp_service.api.schemas import HookAccepted
from otp_service.crypto.standard_webhooks import SignatureInvalid, parse_webhook_secret, verify_webhook
from otp_service.domain.caller_text import names_other_host
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.integrations import CodeHook, HookType, RelayedCode
from otp_service.domain.views import VerificationView
from otp_service.service import CodeRequest

__all__ = ["CodeHooks", "HookRoutes"]

HOOKS_PATH: Final = "/v1/hooks/"

REPEAT_SECONDS: Final = 600
"""Within a span of this length, the same number and code from a product without timestamps is the same message.

Later it may be another message whose code happens to be the same: no code is valid for longer.
"""


class CodeHooks:
    """The configured code hooks, by type and name."""

    def __init__(self, hooks: Iterable[CodeHook] = ()) -> None:
        self._hooks = {(hook.type, hook.name): hook for hook in hooks}

    def find(self, hook_type: HookType, name: str) -> CodeHook:
        """Return a hook; raises `Refused` (`not_found`)."""
        hook = self._hooks.get((hook_type, name))
        if hook is None:
            raise Refused(Reason.NOT_FOUND, "Call the URL of a hook that is configured for a tenant.")
        return hook


class HookRoutes(Controller):
    """Deliver a code of another product."""

    path = HOOKS_PATH
    tags = ("hooks",)
    middleware = (JsonHandlers,)

    @post(
        "/supabase/{name:str}",
        status_code=200,
        operation_id="supabaseHook",
        summary="Deliver a code of Supabase Auth (Send-SMS hook)",
        opt=endpoint_rules(
            label="/v1/hooks/supabase/{name}", needs_store=True, hashed_statuses=[200], error_format=supabase_error
        ),
        responses=openapi_examples.responses("supabase_hook"),
    )
    async def supabase(self, request: ApiRequest, name: FromPath[str]) -> HookAccepted:
        """Send the code of `sms.otp` to the user. The call is signed by Standard Webhooks with the hook's secret.

        A refusal that the user should see is answered as Supabase reads it: 200 with `error`.
        """
        hook = _hooks(request).find(HookType.SUPABASE, name)
        context = request.context
        webhook_id, sent_at, signatures = (
            single_header(request.scope, context.headers, header).decode("latin-1")
            for header in (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
        )
        if not signatures:
            raise Refused(Reason.KEY_MISSING, "Sign the call by Standard Webhooks with the secret of the hook.")
        keys = [parse_webhook_secret(secret.reveal()) for secret in hook.secrets]
        try:
            verify_webhook(keys, webhook_id, sent_at, signatures, context.body, now=time.time())
        except SignatureInvalid as error:
            raise Refused(Reason.KEY_INVALID, f"Sign the call with the secret of the hook: {error}.") from None
        _accept_caller(request, hook)
        await _relay(request, hook, supabase_code(hook, context.body), repeat_key=_digest(context.body))
        return HookAccepted()

    @post(
        "/kratos/{name:str}",
        status_code=200,
        operation_id="kratosHook",
        summary="Deliver a code of Ory Kratos (courier channel of type http)",
        opt=endpoint_rules(label="/v1/hooks/kratos/{name}", needs_store=True, hashed_statuses=[200]),
        responses=openapi_examples.responses("kratos_hook"),
    )
    async def kratos(self, request: ApiRequest, name: FromPath[str]) -> HookAccepted:
        """Send the code of `template_data` to `recipient`. `Authorization` has the secret of the hook."""
        hook = _hooks(request).find(HookType.KRATOS, name)
        _check_tokens(hook, _header_tokens(request))
        _accept_caller(request, hook)
        code = kratos_code(hook, request.context.body)
        return HookAccepted(message_id=(await _relay(request, hook, code)).verification_id)

    @post(
        "/keycloak/{name:str}",
        status_code=200,
        operation_id="keycloakHook",
        summary="Deliver a code of Keycloak (an SMS API of the sms-authenticator plugin)",
        opt=endpoint_rules(label="/v1/hooks/keycloak/{name}", needs_store=True, hashed_statuses=[200]),
        responses=openapi_examples.responses("keycloak_hook"),
    )
    async def keycloak(self, request: ApiRequest, name: FromPath[str]) -> HookAccepted:
        """Send the code in a text, posted as JSON or as a form. The secret is in `Authorization` or in the body."""
        hook = _hooks(request).find(HookType.KEYCLOAK, name)
        members = body_members(request.headers.get("content-type", ""), request.context.body)
        in_body = members.get(hook.token_attribute, "")
        _check_tokens(hook, _header_tokens(request) or ([in_body] if in_body else []))
        _accept_caller(request, hook)
        return HookAccepted(message_id=(await _relay(request, hook, keycloak_code(hook, members))).verification_id)


def _hooks(request: ApiRequest) -> CodeHooks:
    return cast("CodeHooks", request.context.state.hooks)


def _accept_caller(request: ApiRequest, hook: CodeHook) -> None:
    """Log and pace an authentic call under the name of its hook."""
    context = request.context
    request.principal = context.principal = Principal(f"hook:{hook.name}", frozenset(), hook.tenant)
    context.log_fields.update(tenant=hook.tenant.name, hook=hook.name)


async def _relay(
    request: ApiRequest, hook: CodeHook, code: RelayedCode, *, repeat_key: str | None = None
) -> VerificationView:
    """Queue the message of a code, or return the one that an earlier call with the same `repeat_key` has queued.

    None: the number and the code are the key, within a span of time.
    """
    if repeat_key is None:
        repeat_key = _digest(msgspec.json.encode([code.phone, code.code, int(time.time()) // REPEAT_SECONDS]))
    purpose = hook.purposes.get(code.template, hook.purpose)
    code_request = CodeRequest(
        tenant=hook.tenant,
        phone=code.phone,
        purpose=purpose,
        channel=hook.channel,
        client_ip=_client(code) if hook.counts_client_ip else None,
        key_id=f"hook:{hook.name}",
        text=_own_text(hook, code) if hook.own_text else "",
        relayed_code=code.code,
        ttl_seconds=hook.ttl_seconds,
    )
    claim = request.service.idempotency_claim(hook.tenant, f"hook:{hook.name}", repeat_key)
    return await recorded("relay_code", request, request.service.request_code(code_request, claim), purpose=purpose)


def _client(code: RelayedCode) -> str | None:
    """Return the user's address as the `client_ip` limit counts it; None if the product sent none."""
    try:
        return rate_limit_address(code.client_ip)
    except Refused:
        return None


def _own_text(hook: CodeHook, code: RelayedCode) -> str:
    """Return the text that the product wrote. Raises `Refused`."""
    if not 0 < len(code.text) <= MAX_TEXT_CHARACTERS:
        detail = f"Send a text of at most {MAX_TEXT_CHARACTERS} characters that contains the code."
        raise Refused(Reason.REQUEST_MALFORMED, detail, field_errors=(FieldError("", detail),))
    if names_other_host(code.text, hook.tenant.text_hosts):
        raise Refused(Reason.LINK_NOT_ALLOWED, "The text may name only the hosts of the tenant's link_hosts and apps.")
    return code.text


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _header_tokens(request: ApiRequest) -> list[str]:
    """Return what may be the secret in `Authorization`: its value, the token of Bearer, or the password of Basic."""
    sent = single_header(request.scope, request.context.headers, AUTHORIZATION).decode("latin-1").strip()
    if not sent:
        return []
    scheme, _, rest = sent.partition(" ")
    if scheme.lower() == "bearer":
        return [rest.strip()]
    if scheme.lower() != "basic":
        return [sent]
    try:
        return [base64.b64decode(rest.strip(), validate=True).decode("latin-1").partition(":")[2]]
    except ValueError:
        return [""]


def _check_tokens(hook: CodeHook, tokens: list[str]) -> None:
    if not tokens:
        raise Refused(Reason.KEY_MISSING, "Send the secret of the hook: `Authorization: Bearer <secret>`.")
    if not any([hook.accepts(token) for token in tokens]):  # noqa: C419  # each token takes the same time
        raise Refused(Reason.KEY_INVALID, "Send the secret of the hook: `Authorization: Bearer <secret>`.")
