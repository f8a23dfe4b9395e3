"""Keys are switched before every replica has them: what one cannot read costs nothing there, and waits for others."""

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
async def services(make_service: ServiceFactory) -> tuple[RunningService, RunningService]:
    """A replica that makes codes under the new key, and one that does not have it yet."""
    return await make_service(AFTER | REUSE), await make_service(BEFORE | REUSE)


def unreadable(response: httpx.Response) -> None:
    """Hold an answer to be the 503 that says why, and to come again in a second."""
    body = assert_problem(response, 503, "store_unavailable")
    assert body["retry_after"] == 1
    assert "does not have the key" in body["detail"]


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_guess_costs_nothing(services: tuple[RunningService, RunningService], headers: dict[str, str]) -> None:
    """Right and wrong codes are 503, as often as they come; no attempt is spent, no key claimed, nothing is written."""
    ahead, behind = services
    verification_id, code = await ahead.request_code()
    before = await dump_store(ahead.store)
    for attempt in (code, behind.wrong_code(code)) * 4:
        guess = {"verification_id": verification_id, "code": attempt}
        unreadable(await behind.client.post(VERIFY_CODE, json=guess, headers=headers))
    assert await dump_store(ahead.store) == before

    wrong = assert_problem(
        await ahead.verify(verification_id, ahead.wrong_code(code)), 422, "code_incorrect", "attempts_left"
    )
    assert wrong["attempts_left"] == 4
    guess = {"verification_id": verification_id, "code": code}
    assert (await ahead.client.post(VERIFY_CODE, json=guess, headers=headers)).status_code == 200


async def test_what_has_ended_is_told(services: tuple[RunningService, RunningService]) -> None:
    """A refusal that needs no key is the same on every replica."""
    ahead, behind = services
    verification_id, code = await ahead.request_code()
    assert (await ahead.verify(verification_id, code)).status_code == 200
    assert_problem(await behind.verify(verification_id, code), 409, "verification_used")


async def test_a_look_and_a_cancel(services: tuple[RunningService, RunningService]) -> None:
    """GET and DELETE are 503, and the verification stays pending."""
    ahead, behind = services
    verification_id, _ = await ahead.request_code()
    unreadable(await behind.client.get(VERIFICATIONS + verification_id))
    unreadable(await behind.client.delete(VERIFICATIONS + verification_id))
    assert (await ahead.client.get(VERIFICATIONS + verification_id)).json()["status"] == "pending"
    assert (await ahead.client.delete(VERIFICATIONS + verification_id)).json()["status"] == "canceled"


async def test_a_code_to_send_again_is_made_anew(services: tuple[RunningService, RunningService]) -> None:
    """Under `reuse` a living code that cannot be read is superseded by a new one."""
    ahead, behind = services
    older, code = await ahead.request_code()
    await ahead.advance(30)
    newer, fresh = await behind.request_code()
    assert_problem(await ahead.verify(older, code), 409, "verification_superseded")
    assert (await ahead.verify(newer, fresh)).status_code == 200


async def test_answers_that_are_kept(services: tuple[RunningService, RunningService]) -> None:
    """A repetition is 503 where the answer cannot be read, and the same answer where it can, before and after that."""
    ahead, behind = services
    first = await ahead.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=KEY)
    verification_id = first.json()["verification_id"]
    guess = {"verification_id": verification_id, "code": await ahead.code_of(verification_id)}
    proof = await ahead.client.post(VERIFY_CODE, json=guess, headers=KEY)
    for path, body, answer in ((REQUEST_CODE, REQUEST_BODY, first), (VERIFY_CODE, guess, proof)):
        for seconds in (0, 20, 0):
            await ahead.advance(seconds)
            unreadable(await behind.client.post(path, json=body, headers=KEY))
            assert (await ahead.client.post(path, json=body, headers=KEY)).content == answer.content
    assert behind.inbox.messages() == []


async def test_tokens_verify_everywhere_at_every_step(make_service: ServiceFactory) -> None:
    """Add, switch, remove, one replica after the other: each token is good by the keys that each replica publishes."""
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
                told = jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], ["EdDSA"], audience="demo")
                assert told["purpose"] == "login"
                checked += 1
    assert checked == 12


@pytest.mark.parametrize("phone", ["", "x", "AAAA", "A" * 60, "é"])
async def test_a_seal_that_does_not_open_is_no_500(make_service: ServiceFactory, phone: str) -> None:
    """A record whose number was damaged is 503 to look at, and the next request makes a new code."""
    service = await make_service(REUSE)
    verification_id, _ = await service.request_code()
    [name] = await service.store.keys("otp:*:v:*")
    record = msgspec.msgpack.decode(await service.store.get(name))
    record[14] = phone
    await service.store.set(name, msgspec.msgpack.encode(record), keepttl=True)
    [message] = await service.store.keys("otp:*:m:*")
    await service.store.set(message, b"short", keepttl=True)

    unreadable(await service.client.get(VERIFICATIONS + verification_id))

    await service.advance(30)
    newer, code = await service.request_code()
    assert (await service.verify(newer, code)).status_code == 200
