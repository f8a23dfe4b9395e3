"""What the tests of the HTTP contract share: keys, clients' words, and how a problem is held."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import unicodedata
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from otp_service.observability import configure_logging
from otp_service.service.cleanup import Cleanup
from otp_service.store.idempotency_keys import RedisIdempotency
from otp_service.store.pipelined_connection import unavailable
from otp_service.store.verifications import RedisVerifications
from tests.world import NUMBER, World

REQUEST = "/v1/request-code"
VERIFY = "/v1/verify-code"
NORMALIZE = "/v1/normalize-phone"
UNLOCK = "/v1/admin/recipients/unlock"
BY_ID = "/v1/verifications/"

JSON = {"Content-Type": "application/json"}
BODY: dict[str, Any] = {"phone": NUMBER, "purpose": "login"}
UNKNOWN = "A" * 23
"""An id as the service makes them, of no verification."""

SLOW: dict[str, Any] = {"hashing": {"time_cost": 3, "memory_kib": 65536}}
"""A hash of a tenth of a second and more: time for a second request to meet the first."""

MEMBERS = {
    "verification_id": str,
    "status": str,
    "purpose": str,
    "channel": str,
    "phone": str,
    "country": str,
    "code_length": int,
    "expires_at": str,
    "expires_in": int,
    "resend_at": str,
    "resend_in": int,
    "attempts_left": int,
    "sends_left": int,
}
"""The 202 of request-code, member by member."""

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
PROBLEM = {"type", "title", "status", "detail", "code", "request_id"}


def api_key(name: str, *scopes: str) -> dict[str, Any]:
    """Configure a key that is its own name."""
    return {"id": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": list(scopes)}


def tenant(*keys: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Configure a tenant in Indonesia."""
    return {"country": "ID", "api_keys": list(keys), **members}


def demo(**policy: Any) -> dict[str, Any]:
    """Configure the tenant that `World.client` calls as."""
    return {"tenants": {"demo": {"policy": policy}}}


def bearer(key: str) -> dict[str, str]:
    """Say which key calls."""
    return {"Authorization": f"Bearer {key}"}


def problem(response: httpx.Response, status: int, code: str, *more: str) -> dict[str, Any]:
    """Hold a reply to be this problem, whole: its form, its headers, and exactly the members `more` beside."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), response.text
    common(response)
    assert body["request_id"] == response.headers["x-request-id"]
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    waits = {"retry_after"} if "retry-after" in response.headers else set()
    assert waits or status not in (429, 503)
    assert set(body) == PROBLEM | waits | set(more), body
    if waits:
        assert response.headers["retry-after"] == str(body["retry_after"])
        assert body["retry_after"] >= 1
    return body


def common(response: httpx.Response) -> None:
    """Hold what every reply has, whoever made it."""
    assert response.headers.get_list("cache-control") == ["no-store"]
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]
    assert len(response.headers.get_list("x-request-id")) == 1
    assert response.headers["x-request-id"]


@contextlib.contextmanager
def caught_logs() -> Iterator[io.StringIO]:
    """Catch everything that is logged, by us and by the libraries, as it would be written."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging("DEBUG")
    stream = io.StringIO()
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    try:
        yield stream
    finally:
        root.handlers[:], level = before
        root.setLevel(level)


def digits_in(text: str) -> str:
    """Read all digits of a text as one run, whatever their script and whatever stands between them."""
    found = (unicodedata.digit(character, None) for character in text)
    return "".join(str(digit) for digit in found if digit is not None)


@contextlib.contextmanager
def dying_before_the_answer_is_kept() -> Iterator[None]:
    """Leave idempotency keys as a process leaves them that dies before the store hears of its work: somebody is at it.

    A request for a code dies before it starts, and a wrong guess when it is paid for.
    """

    async def never(*_: object) -> None:
        raise unavailable()

    async def nobody(*_: object) -> None:
        return

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RedisVerifications, "start", never)
        patched.setattr(RedisIdempotency, "keep", never)
        patched.setattr(Cleanup, "after", nobody)
        yield


def outcome(response: httpx.Response) -> str:
    """Name an answer by its problem's code, or by its status when it is none."""
    return str(response.json().get("code", response.status_code))


async def ask(world: World, phone: str, address: str = "198.51.100.7", **members: Any) -> httpx.Response:
    """Ask with a key for mobile apps: without the scope `server`."""
    forwarded = {"X-Forwarded-For": members.pop("forwarded")} if "forwarded" in members else {}
    client = world.caller("app", address)
    return await client.post(REQUEST, json={"phone": phone, "purpose": "login", **members}, headers=forwarded)


def limited(response: httpx.Response, limit: str, most: int = 3600) -> int:
    """Hold an answer to be `rate_limited` by `limit`; give its Retry-After."""
    body = problem(response, 429, "rate_limited", "limit")
    assert body["limit"] == limit
    wait: int = body["retry_after"]
    assert most - 5 <= wait <= most
    return wait


async def dumped(store: Any) -> dict[bytes, bytes]:
    """Read every key and value, of whatever type, as bytes."""
    found: dict[bytes, bytes] = {}
    async for key in store.scan_iter(count=1000):
        match await store.type(key):
            case b"string":
                value = await store.get(key)
            case b"hash":
                value = b"\n".join(part for pair in (await store.hgetall(key)).items() for part in pair)
            case b"list":
                value = b"\n".join(await store.lrange(key, 0, -1))
            case b"zset":
                value = b"\n".join(await store.zrange(key, 0, -1))
            case b"none":
                continue  # it has ended between the two questions
            case kind:
                raise AssertionError(f"a key of type {kind!r}")
        found[key] = value
    return found
