"""Every refusal of every endpoint, with the state of the store that leads to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.api.api_requests import (
    CHECK_RECIPIENT,
    NORMALIZE_PHONE,
    OPT_OUTS,
    REQUEST_BODY,
    REQUEST_CODE,
    UNKNOWN_ID,
    UNLOCK_RECIPIENT,
    VERIFICATIONS,
    VERIFY_CODE,
)
from tests.api.prepared_call import ApiCall
from tests.api.test_key_rotation import AFTER, BEFORE
from tests.config_parts import api_key, demo_policy, shared_keys, tenant
from tests.opt_out_changes import opt_out_in_store
from tests.running_service import NUMBER, RunningService

OTHER: Final = "0812-1010-0077"
APP: Final[dict[str, Any]] = {
    "tenants": {
        "acme": tenant(api_key("app", "request", "verify"), api_key("web", "verify", "server")),
        "idle": tenant(api_key("nothing", "admin")),
    }
}


Prepare = Callable[[RunningService], Awaitable[ApiCall]]


@dataclass(frozen=True, slots=True)
class Case:
    """One refusal: its endpoint, its code and how it is provoked; `other` is the config that prepares it."""

    endpoint: str
    code: str
    prepare: Prepare
    config: dict[str, Any]
    other: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """Return the label of the case."""
        return f"{self.endpoint} {self.code}"


def plain(*args: Any, **kwargs: Any) -> Prepare:
    """Return a preparation that only returns the call."""

    async def prepare(_: RunningService) -> ApiCall:
        return ApiCall(*args, **kwargs)

    return prepare


def request_code_call(**members: Any) -> ApiCall:
    """Return a call of request-code."""
    return ApiCall("POST", REQUEST_CODE, {**REQUEST_BODY, **members})


def verify_code_call(verification_id: str, code: str, required_key: str = "") -> ApiCall:
    """Return a call of verify-code."""
    return ApiCall("POST", VERIFY_CODE, {"verification_id": verification_id, "code": code}, required_key=required_key)


def after_one_request(call: ApiCall, **members: Any) -> Prepare:
    """Return a preparation that requests a code first."""

    async def prepare(service: RunningService) -> ApiCall:
        await service.request_code(**members)
        return call

    return prepare


async def _mismatch(service: RunningService) -> ApiCall:
    await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers={"Idempotency-Key": "held"})
    return ApiCall("POST", REQUEST_CODE, {**REQUEST_BODY, "purpose": "registration"}, required_key="held")


async def _attempt_mismatch(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    other, other_code = await service.request_code(OTHER)
    await verify_code_call(verification_id, code, "held").send(service, "")
    return verify_code_call(other, other_code, "held")


async def _used(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    await service.verify(verification_id, code)
    return verify_code_call(verification_id, code)


async def _superseded(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    await service.advance(30)
    await service.request_code()
    return verify_code_call(verification_id, code)


async def _canceled(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    await service.client.delete(VERIFICATIONS + verification_id)
    return verify_code_call(verification_id, code)


async def _expired(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    await service.advance(300)
    return verify_code_call(verification_id, code)


async def _forgotten(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    await service.advance(900)
    return verify_code_call(verification_id, code)


async def _others(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    return ApiCall("POST", VERIFY_CODE, {"verification_id": verification_id, "code": code}, key="web")


async def _limited_attempt(service: RunningService) -> ApiCall:
    call = ApiCall("POST", VERIFY_CODE, dict(_CODE), key="app")
    await call.send(service, "")
    return call


async def _exhausted(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    await service.verify(verification_id, service.wrong_code(code))
    return verify_code_call(verification_id, code)


async def _locked(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    await service.verify(verification_id, service.wrong_code(code))
    await service.advance(30)
    return verify_code_call(verification_id, code)


async def _locked_to_ask(service: RunningService) -> ApiCall:
    await _locked(service)
    return request_code_call()


async def _opted_out(service: RunningService) -> ApiCall:
    await opt_out_in_store(service)
    return request_code_call()


async def _chain(service: RunningService) -> ApiCall:
    await service.request_code()
    await service.advance(30)
    return request_code_call()


async def _unreadable(service: RunningService) -> ApiCall:
    verification_id, code = await service.request_code()
    return verify_code_call(verification_id, code)


def _by_id(method: str) -> Prepare:
    async def prepare(service: RunningService) -> ApiCall:
        verification_id, _ = await service.request_code()
        return ApiCall(method, VERIFICATIONS + verification_id)

    return prepare


def refused(code: str, config: dict[str, Any] | None = None, **members: Any) -> Case:
    """Return a case of request-code that needs no preparation."""
    return Case("request-code", code, plain("POST", REQUEST_CODE, {**REQUEST_BODY, **members}), config or {})


def limited(limit: str, call: ApiCall, **members: Any) -> Case:
    """Return a case whose limit is used up by another request."""
    return Case(
        "request-code", f"rate_limited {limit}", after_one_request(call, **members), {"limits": {limit: ["1/3600"]}}
    )


_JSON_CALLS: Final = {
    "request-code": REQUEST_CODE,
    "verify-code": VERIFY_CODE,
    "normalize-phone": NORMALIZE_PHONE,
    "unlock": UNLOCK_RECIPIENT,
    "check": CHECK_RECIPIENT,
}
_BAD_KEYS: Final = (("key_missing", None), ("key_invalid", "unconfigured"), ("scope_missing", "nothing"))
_DISABLING: Final = demo_policy(max_consecutive_failures=1)
_CODE: Final = {"verification_id": UNKNOWN_ID, "code": "123456"}
_VALID: Final = {
    "request-code": REQUEST_BODY,
    "verify-code": _CODE,
    "normalize-phone": {"phone": NUMBER},
    "unlock": {"phone": NUMBER},
    "check": {"phone": NUMBER},
}

CASES: Final = [
    *(
        Case(name, code, plain("POST", path, body, content=content, media_type=media_type), {})
        for name, path in _JSON_CALLS.items()
        for code, body, content, media_type in (
            ("request_malformed", {"no": "member"}, None, "application/json"),
            ("body_too_large", None, b" " * 65_537, "application/json"),
            ("media_type_unsupported", None, b"{}", "text/plain"),
        )
    ),
    *(
        Case(name, code, plain("POST", path, _VALID[name], key=key), APP)
        for name, path in _JSON_CALLS.items()
        for code, key in _BAD_KEYS
        if (name, code)
        not in (
            ("normalize-phone", "scope_missing"),
            ("unlock", "scope_missing"),
            ("check", "scope_missing"),
        )
    ),
    *(
        Case(f"{method} /verifications", code, plain(method, VERIFICATIONS + UNKNOWN_ID, key=key), APP)
        for method in ("GET", "DELETE")
        for code, key in (*_BAD_KEYS, ("verification_unknown", "dev-key"))
    ),
    *(
        Case(f"{method} /verifications", "store_unavailable", _by_id(method), BEFORE, AFTER)
        for method in ("GET", "DELETE")
    ),
    Case("normalize-phone", "phone_invalid", plain("POST", NORMALIZE_PHONE, {"phone": "08123456"}), {}),
    Case("unlock", "scope_missing", plain("POST", UNLOCK_RECIPIENT, {"phone": NUMBER}, key="app"), APP),
    Case("check", "scope_missing", plain("POST", CHECK_RECIPIENT, {"phone": NUMBER}, key="app"), APP),
    Case("check", "phone_invalid", plain("POST", CHECK_RECIPIENT, {"phone": "08123456"}), {}),
    Case("opt-outs", "scope_missing", plain("GET", OPT_OUTS, key="app"), APP),
    Case("unlock", "phone_invalid", plain("POST", UNLOCK_RECIPIENT, {"phone": "08123456"}), {}),
    Case("receipts", "key_invalid", plain("POST", f"/v1/receipts/inbox/{UNKNOWN_ID}.forged", content=b"{}"), {}),
    refused("purpose_not_allowed", purpose="payment"),
    refused("channel_not_allowed", demo_policy(channels=["sms"]), channel="voice"),
    refused("country_not_allowed", {"tenants": {"demo": {"countries": ["ID"]}}}, phone="+447912345678"),
    refused("phone_invalid", phone="08123456"),
    refused("phone_not_mobile", phone="0215551234"),
    Case("request-code", "email_invalid", plain("POST", REQUEST_CODE, {"email": "ann@b", "purpose": "login"}), {}),
    limited(
        "email_domain",
        ApiCall("POST", REQUEST_CODE, {"email": "ben@example.com", "purpose": "login"}),
        email="ann@example.com",
    ),
    Case("request-code", "idempotency_mismatch", _mismatch, {}),
    Case("request-code", "resend_too_soon", after_one_request(request_code_call()), {}),
    Case("request-code", "rate_limited max_sends", _chain, demo_policy(max_sends=1)),
    limited("recipient", request_code_call(purpose="registration")),
    limited("client_ip", request_code_call(phone=OTHER, client_ip="203.0.113.9"), client_ip="203.0.113.9"),
    limited("prefix", request_code_call(phone=OTHER)),
    limited("country", request_code_call(phone=OTHER)),
    limited("tenant", request_code_call(phone=OTHER)),
    limited("global", request_code_call(phone=OTHER)),
    Case(
        "request-code",
        "link_not_allowed",
        plain("POST", REQUEST_CODE, {**REQUEST_BODY, "link": "https://evil.example/"}),
        {},
    ),
    Case("request-code", "recipient_opted_out", _opted_out, shared_keys()),
    Case("request-code", "recipient_locked", _locked_to_ask, {"limits": {"recipient_failures": ["1/900"]}}),
    Case("request-code", "recipient_locked waits", _locked_to_ask, demo_policy(max_attempts=1, lockout_seconds=900)),
    Case("request-code", "recipient_locked disabled", _locked_to_ask, _DISABLING),
    Case(
        "request-code",
        "spend_cap_reached",
        after_one_request(request_code_call(phone=OTHER)),
        demo_policy(daily_message_cap=1),
    ),
    refused("no_route", {"routes": [{"country": "ID", "providers": ["inbox"]}]}, phone="+6591234567"),
    Case("verify-code", "verification_unknown", plain("POST", VERIFY_CODE, _CODE), {}),
    Case(
        "verify-code", "verification_unknown no id", plain("POST", VERIFY_CODE, {**_CODE, "verification_id": "x"}), {}
    ),
    Case("verify-code", "verification_unknown another tenant's", _others, APP),
    Case("verify-code", "rate_limited verify_ip", _limited_attempt, {**APP, "limits": {"verify_ip": ["1/3600"]}}),
    Case("verify-code", "verification_unknown forgotten", _forgotten, {}),
    Case("verify-code", "verification_used", _used, {}),
    Case("verify-code", "verification_superseded", _superseded, {}),
    Case("verify-code", "verification_canceled", _canceled, {}),
    Case("verify-code", "verification_expired", _expired, {}),
    Case("verify-code", "idempotency_mismatch", _attempt_mismatch, {}),
    Case("verify-code", "attempts_exhausted", _exhausted, demo_policy(max_attempts=1)),
    Case("verify-code", "recipient_locked", _locked, {"limits": {"recipient_failures": ["1/900"]}}),
    Case("verify-code", "recipient_locked disabled", _locked, _DISABLING),
    Case("verify-code", "store_unavailable", _unreadable, BEFORE, AFTER),
]
