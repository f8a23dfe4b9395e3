"""Attempts that verify-code refuses, each for another reason: for tests and measurements of uniform errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any, NamedTuple

from tests.config_parts import api_key, demo_policy, tenant
from tests.running_service import RunningService

__all__ = ["NO_LIMITS", "RefusedAttempt", "refused_attempts", "uniform_config", "wrong_attempts"]

NO_LIMITS: dict[str, Any] = {"limits": {"recipient": [], "prefix": [], "recipient_failures": ["6/86400"]}}
MAX_ATTEMPTS = 5


class RefusedAttempt(NamedTuple):
    """An id and a code, which verify-code refuses for `reason`."""

    reason: str
    verification_id: str
    code: str


def uniform_config(*, uniform: bool = True, **policy: Any) -> dict[str, Any]:
    """Return a config whose tenant refuses all codes alike, and another tenant with the key `other`."""
    others = {"tenants": {"acme": tenant(api_key("other", "request", "verify"))}}
    demo = demo_policy(uniform_errors=uniform, resend_cooldown_seconds=1, max_sends=20, **policy)
    return NO_LIMITS | {"tenants": demo["tenants"] | others["tenants"]}


async def refused_attempts(service: RunningService) -> list[RefusedAttempt]:
    """Return one attempt for each reason but a wrong code; each can be repeated."""
    numbers = (f"0812-2020-{n:04d}" for n in count())
    expired, expired_code = await service.request_code(next(numbers))
    await service.advance(301)
    body = {"phone": next(numbers), "purpose": "login"}
    foreign = (await service.caller("other").post("/v1/request-code", json=body)).json()["verification_id"]
    found = [
        RefusedAttempt("unknown", expired[:2] + "A" * (len(expired) - 2), "123456"),
        RefusedAttempt("no id", "nothing", "123456"),
        RefusedAttempt("another tenant's", foreign, await service.code_of(foreign)),
        RefusedAttempt("expired", expired, expired_code),
    ]
    for reason, end in _ENDS.items():
        verification_id, code = await service.request_code(phone := next(numbers))
        await end(service, phone, verification_id, code)
        found.append(RefusedAttempt(reason, verification_id, code))
    return found


async def wrong_attempts(service: RunningService) -> AsyncIterator[RefusedAttempt]:
    """Yield wrong codes without end, five for each number, so that each is compared."""
    for n in count():
        verification_id, code = await service.request_code(f"0813-3{n // 10000:03d}-{n % 10000:04d}")
        for _ in range(MAX_ATTEMPTS):
            yield RefusedAttempt("wrong", verification_id, service.wrong_code(code))


async def _exhaust(service: RunningService, _phone: str, verification_id: str, code: str) -> None:
    for _ in range(MAX_ATTEMPTS):
        assert (await service.verify(verification_id, service.wrong_code(code))).status_code == 422


async def _supersede(service: RunningService, phone: str, _verification_id: str, _code: str) -> None:
    await service.advance(1)
    await service.request_code(phone)


async def _cancel(service: RunningService, _phone: str, verification_id: str, _code: str) -> None:
    assert (await service.client.delete(f"/v1/verifications/{verification_id}")).status_code == 200


async def _use(service: RunningService, _phone: str, verification_id: str, code: str) -> None:
    assert (await service.verify(verification_id, code)).status_code == 200


async def _lock(service: RunningService, phone: str, verification_id: str, code: str) -> None:
    """Use up the wrong codes of the number, with one of them at a verification for another purpose."""
    other, other_code = await service.request_code(phone, "registration")
    await service.verify(other, service.wrong_code(other_code))
    await _exhaust(service, phone, verification_id, code)


_ENDS: dict[str, Callable[[RunningService, str, str, str], Awaitable[None]]] = {
    "exhausted": _exhaust,
    "superseded": _supersede,
    "canceled": _cancel,
    "used": _use,
    "locked": _lock,
}
