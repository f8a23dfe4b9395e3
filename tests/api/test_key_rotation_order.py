"""Keys that one replica does not have yet: what it cannot read costs nothing and stays for other replicas."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import httpx
import jwt
import msgspec
import pytest

from otp_service.sandbox.dev_config import dev_config
from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE, VERIFICATIONS, VERIFY_CODE
from tests.api.test_key_rotation import AFTER, BEFORE, KEY
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import dump_store

REUSE: dict[str, Any] = {"tenants": {"demo": {"policy": {"resend": "reuse"}}}}


@pytest.fixture
async def replicas(make_service: ServiceFactory) -> tuple[RunningService, RunningService]:
    """Start a replica that makes codes under the new key, and one that does not have the key yet."""
    return await make_service(AFTER | REUSE), await make_service(BEFORE | REUSE)


def assert_unreadable(response: httpx.Response) -> None:
    """Assert a 503 that names the cause, with a Retry-After of one second."""
    body = assert_problem(response, 503, "store_unavailable")
    assert body["retry_after"] == 1
    assert "does not have the key" in body["detail"]


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_an_unreadable_code_costs_no_attempt(
    replicas: tuple[RunningService, RunningService], headers: dict[str, str]
) -> None:
    """Right and wrong codes get 503, use no attempt, claim no key and write nothing."""
    ahead, behind = replicas
    verification_id, code = await ahead.request_code()
    before = await dump_store(ahead.store)
    for attempt in (code, behind.wrong_code(code)) * 4:
        attempt_body = {"verification_id": verification_id, "code": attempt}
        assert_unreadable(await behind.client.post(VERIFY_CODE, json=attempt_body, headers=headers))
    assert await dump_store(ahead.store) == before

    wrong = assert_problem(
        await ahead.verify(verification_id, ahead.wrong_code(code)), 422, "code_incorrect", "attempts_left"
    )
    assert wrong["attempts_left"] == 4
    attempt_body = {"verification_id": verification_id, "code": code}
    assert (await ahead.client.post(VERIFY_CODE, json=attempt_body, headers=headers)).status_code == 200


async def test_ended_verifications_need_no_key(replicas: tuple[RunningService, RunningService]) -> None:
    """A refusal that needs no key is the same on every replica."""
    ahead, behind = replicas
    verification_id, code = await ahead.request_code()
    assert (await ahead.verify(verification_id, code)).status_code == 200
    assert_problem(await behind.verify(verification_id, code), 409, "verification_used")


async def test_unreadable_verifications_are_neither_read_nor_canceled(
    replicas: tuple[RunningService, RunningService],
) -> None:
    """GET and DELETE get 503, and the verification stays pending."""
    ahead, behind = replicas
    verification_id, _ = await ahead.request_code()
    assert_unreadable(await behind.client.get(VERIFICATIONS + verification_id))
    assert_unreadable(await behind.client.delete(VERIFICATIONS + verification_id))
    assert (await ahead.client.get(VERIFICATIONS + verification_id)).json()["status"] == "pending"
    assert (await ahead.client.delete(VERIFICATIONS + verification_id)).json()["status"] == "canceled"


async def test_an_unreadable_code_is_replaced(replicas: tuple[RunningService, RunningService]) -> None:
    """With `reuse` a pending code that cannot be read is superseded by a new one."""
    ahead, behind = replicas
    older, code = await ahead.request_code()
    await ahead.advance(30)
    newer, fresh = await behind.request_code()
    assert_problem(await ahead.verify(older, code), 409, "verification_superseded")
    assert (await ahead.verify(newer, fresh)).status_code == 200


async def test_unreadable_kept_responses(replicas: tuple[RunningService, RunningService]) -> None:
    """A retry gets 503 where the response cannot be read, and the response where it can."""
    ahead, behind = replicas
    first = await ahead.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=KEY)
    verification_id = first.json()["verification_id"]
    attempt_body = {"verification_id": verification_id, "code": await ahead.code_of(verification_id)}
    proof = await ahead.client.post(VERIFY_CODE, json=attempt_body, headers=KEY)
    for path, body, answer in ((REQUEST_CODE, REQUEST_BODY, first), (VERIFY_CODE, attempt_body, proof)):
        for seconds in (0, 20, 0):
            await ahead.advance(seconds)
            assert_unreadable(await behind.client.post(path, json=body, headers=KEY))
            assert (await ahead.client.post(path, json=body, headers=KEY)).content == answer.content
    assert behind.inbox.messages() == []


async def test_tokens_verify_everywhere_at_every_step(make_service: ServiceFactory) -> None:
    """While a token key is added, used and removed, the JWKS of every replica verifies every token."""
    one, two = (dev_config("")["tokens"]["dev"] for _ in range(2))
    steps = [
        {"t1": one, "current": "t1"},
        {"t1": one, "t2": two, "current": "t1"},
        {"t1": one, "t2": two, "current": "t2"},
        {"t2": two, "current": "t2"},
    ]
    phone, checked = 10_000, 0
    for old, new in pairwise(steps):
        replicas = [await make_service({"tokens": tokens, "limits": {"prefix": []}} | BEFORE) for tokens in (old, new)]
        published = [
            jwt.PyJWKSet.from_dict((await service.client.get("/.well-known/jwks.json")).json()) for service in replicas
        ]
        for service in replicas:
            phone += 1
            token = (await service.verify(*await service.request_code(f"0812-101{phone}"))).json()["token"]
            for keys in published:
                payload = jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], ["EdDSA"], audience="demo")
                assert payload["purpose"] == "login"
                checked += 1
    assert checked == 12


@pytest.mark.parametrize("phone", ["", "x", "AAAA", "A" * 60, "é"])
async def test_a_damaged_seal_is_not_a_500(make_service: ServiceFactory, phone: str) -> None:
    """Reading a record with a damaged number gets 503, and the next request makes a new code."""
    service = await make_service(REUSE)
    verification_id, _ = await service.request_code()
    [name] = await service.store.keys("otp:*:v:*")
    record = msgspec.msgpack.decode(await service.store.get(name))
    record[14] = phone
    await service.store.set(name, msgspec.msgpack.encode(record), keepttl=True)
    [message] = await service.store.keys("otp:*:m:*")
    await service.store.set(message, b"short", keepttl=True)

    assert_unreadable(await service.client.get(VERIFICATIONS + verification_id))

    await service.advance(30)
    newer, code = await service.request_code()
    assert (await service.verify(newer, code)).status_code == 200
