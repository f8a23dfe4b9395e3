"""The refusals of every endpoint, and what has to be in the store for each: `refusals.py` measures what they leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.api.api_requests import BODY, BY_ID, NORMALIZE, REQUEST, UNKNOWN, UNLOCK, VERIFY
from tests.api.test_key_rotation import AFTER, BEFORE
from tests.config_parts import api_key, demo, tenant
from tests.running_service import NUMBER, World

OTHER: Final = "0812-1010-0077"
APP: Final[dict[str, Any]] = {
    "tenants": {
        "acme": tenant(api_key("app", "request", "verify"), api_key("web", "verify", "server")),
        "idle": tenant(api_key("nothing", "admin")),
    }
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `key` is what it is called with, `held` an idempotency key that it must use."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    key: str | None = "dev-key"
    held: str = ""
    content: bytes | None = None
    media_type: str = "application/json"

    async def send(self, world: World, idempotency_key: str) -> httpx.Response:
        """Send it, under an idempotency key if there is one."""
        headers = {"Content-Type": self.media_type} if self.body or self.content else {}
        if key := self.held or idempotency_key:
            headers["Idempotency-Key"] = key
        send = world.caller(self.key).request
        if self.content is not None:
            return await send(self.method, self.path, content=self.content, headers=headers)
        return await send(self.method, self.path, json=self.body, headers=headers)


Prepare = Callable[[World], Awaitable[Call]]


@dataclass(frozen=True, slots=True)
class Case:
    """A refusal: which endpoint gives it, its code, and how it comes about. `other` configures who prepares it."""

    endpoint: str
    code: str
    prepare: Prepare
    config: dict[str, Any]
    other: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """Name the row."""
        return f"{self.endpoint} {self.code}"


def plain(*args: Any, **kwargs: Any) -> Prepare:
    """Prepare nothing."""

    async def prepare(_: World) -> Call:
        return Call(*args, **kwargs)

    return prepare


def ask(**members: Any) -> Call:
    """Ask for a code."""
    return Call("POST", REQUEST, {**BODY, **members})


def guess(verification_id: str, code: str, held: str = "") -> Call:
    """Guess at a code."""
    return Call("POST", VERIFY, {"verification_id": verification_id, "code": code}, held=held)


def after_one(call: Call, **members: Any) -> Prepare:
    """Have one code sent before."""

    async def prepare(world: World) -> Call:
        await world.requested(**members)
        return call

    return prepare


async def _mismatch(world: World) -> Call:
    await world.client.post(REQUEST, json=BODY, headers={"Idempotency-Key": "held"})
    return Call("POST", REQUEST, {**BODY, "purpose": "registration"}, held="held")


async def _guess_mismatch(world: World) -> Call:
    verification_id, code = await world.requested()
    other, other_code = await world.requested(OTHER)
    await guess(verification_id, code, "held").send(world, "")
    return guess(other, other_code, "held")


async def _used(world: World) -> Call:
    verification_id, code = await world.requested()
    await world.verify(verification_id, code)
    return guess(verification_id, code)


async def _superseded(world: World) -> Call:
    verification_id, code = await world.requested()
    await world.advance(30)
    await world.requested()
    return guess(verification_id, code)


async def _canceled(world: World) -> Call:
    verification_id, code = await world.requested()
    await world.client.delete(BY_ID + verification_id)
    return guess(verification_id, code)


async def _expired(world: World) -> Call:
    verification_id, code = await world.requested()
    await world.advance(300)
    return guess(verification_id, code)


async def _forgotten(world: World) -> Call:
    verification_id, code = await world.requested()
    await world.advance(900)
    return guess(verification_id, code)


async def _others(world: World) -> Call:
    verification_id, code = await world.requested()
    return Call("POST", VERIFY, {"verification_id": verification_id, "code": code}, key="web")


async def _limited_guess(world: World) -> Call:
    call = Call("POST", VERIFY, dict(_GUESS), key="app")
    await call.send(world, "")
    return call


async def _exhausted(world: World) -> Call:
    verification_id, code = await world.requested()
    await world.verify(verification_id, world.wrong(code))
    return guess(verification_id, code)


async def _locked(world: World) -> Call:
    verification_id, code = await world.requested()
    await world.verify(verification_id, world.wrong(code))
    await world.advance(30)
    return guess(verification_id, code)


async def _locked_to_ask(world: World) -> Call:
    await _locked(world)
    return ask()


async def _chain(world: World) -> Call:
    await world.requested()
    await world.advance(30)
    return ask()


async def _unreadable(world: World) -> Call:
    verification_id, code = await world.requested()
    return guess(verification_id, code)


def _by_id(method: str) -> Prepare:
    async def prepare(world: World) -> Call:
        verification_id, _ = await world.requested()
        return Call(method, BY_ID + verification_id)

    return prepare


def limited(limit: str, call: Call, **members: Any) -> Case:
    """Have a limit of one used up by another request."""
    return Case("request-code", f"rate_limited {limit}", after_one(call, **members), {"limits": {limit: ["1/3600"]}})


_JSON_CALLS: Final = {"request-code": REQUEST, "verify-code": VERIFY, "normalize-phone": NORMALIZE, "unlock": UNLOCK}
_BAD_KEYS: Final = (("key_missing", None), ("key_invalid", "nobody"), ("scope_missing", "nothing"))
_LAST: Final = demo(max_attempts=1)
_DISABLING: Final = demo(max_consecutive_failures=1)
_GUESS: Final = {"verification_id": UNKNOWN, "code": "123456"}
_VALID: Final = {
    "request-code": BODY,
    "verify-code": _GUESS,
    "normalize-phone": {"phone": NUMBER},
    "unlock": {"phone": NUMBER},
}
_FORGED: Final = "/v1/receipts/inbox/" + UNKNOWN + ".forged"

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
        if (name, code) not in (("normalize-phone", "scope_missing"), ("unlock", "scope_missing"))
    ),
    *(
        Case(f"{method} /verifications", code, plain(method, BY_ID + UNKNOWN, key=key), APP)
        for method in ("GET", "DELETE")
        for code, key in (*_BAD_KEYS, ("verification_unknown", "dev-key"))
    ),
    *(
        Case(f"{method} /verifications", "store_unavailable", _by_id(method), BEFORE, AFTER)
        for method in ("GET", "DELETE")
    ),
    Case("normalize-phone", "phone_invalid", plain("POST", NORMALIZE, {"phone": "08123456"}), {}),
    Case("unlock", "scope_missing", plain("POST", UNLOCK, {"phone": NUMBER}, key="app"), APP),
    Case("unlock", "phone_invalid", plain("POST", UNLOCK, {"phone": "08123456"}), {}),
    Case("receipts", "key_invalid", plain("POST", _FORGED, content=b"{}"), {}),
    Case("request-code", "purpose_not_allowed", plain("POST", REQUEST, {**BODY, "purpose": "payment"}), {}),
    Case(
        "request-code",
        "country_not_allowed",
        plain("POST", REQUEST, {**BODY, "phone": "+447912345678"}),
        {"tenants": {"demo": {"countries": ["ID"]}}},
    ),
    Case("request-code", "phone_invalid", plain("POST", REQUEST, {**BODY, "phone": "08123456"}), {}),
    Case("request-code", "phone_not_mobile", plain("POST", REQUEST, {**BODY, "phone": "0215551234"}), {}),
    Case("request-code", "idempotency_mismatch", _mismatch, {}),
    Case("request-code", "resend_too_soon", after_one(ask()), {}),
    Case("request-code", "rate_limited max_sends", _chain, demo(max_sends=1)),
    limited("recipient", ask(purpose="registration")),
    limited("client_ip", ask(phone=OTHER, client_ip="203.0.113.9"), client_ip="203.0.113.9"),
    limited("prefix", ask(phone=OTHER)),
    limited("country", ask(phone=OTHER)),
    limited("tenant", ask(phone=OTHER)),
    limited("global", ask(phone=OTHER)),
    Case("request-code", "recipient_locked", _locked_to_ask, {"limits": {"recipient_failures": ["1/900"]}}),
    Case("request-code", "recipient_locked waits", _locked_to_ask, demo(max_attempts=1, lockout_seconds=900)),
    Case("request-code", "recipient_locked disabled", _locked_to_ask, _DISABLING),
    Case("request-code", "spend_cap_reached", after_one(ask(phone=OTHER)), demo(daily_message_cap=1)),
    Case(
        "request-code",
        "no_route",
        plain("POST", REQUEST, {**BODY, "phone": "+6591234567"}),
        {"routes": [{"country": "ID", "providers": ["inbox"]}]},
    ),
    Case("verify-code", "verification_unknown", plain("POST", VERIFY, _GUESS), {}),
    Case("verify-code", "verification_unknown no id", plain("POST", VERIFY, {**_GUESS, "verification_id": "x"}), {}),
    Case("verify-code", "verification_unknown another tenant's", _others, APP),
    Case("verify-code", "rate_limited verify_ip", _limited_guess, {**APP, "limits": {"verify_ip": ["1/3600"]}}),
    Case("verify-code", "verification_unknown forgotten", _forgotten, {}),
    Case("verify-code", "verification_used", _used, {}),
    Case("verify-code", "verification_superseded", _superseded, {}),
    Case("verify-code", "verification_canceled", _canceled, {}),
    Case("verify-code", "verification_expired", _expired, {}),
    Case("verify-code", "idempotency_mismatch", _guess_mismatch, {}),
    Case("verify-code", "attempts_exhausted", _exhausted, _LAST),
    Case("verify-code", "recipient_locked", _locked, {"limits": {"recipient_failures": ["1/900"]}}),
    Case("verify-code", "recipient_locked disabled", _locked, _DISABLING),
    Case("verify-code", "store_unavailable", _unreadable, BEFORE, AFTER),
]
