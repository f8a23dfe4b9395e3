"""Idempotency-Key on both endpoints: the same response, one message, one attempt; and what is not kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otp_service.store.attempts import RedisAttempts
from otp_service.store.replies import unavailable
from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE
from tests.api.idempotent_requests import KEY, kept_keys, request_with_key, verify_with_key
from tests.config_parts import SLOW_HASHING, api_key, tenant
from tests.problem_assertions import assert_problem, problem_code
from tests.running_service import E164, NUMBER, RunningService, ServiceFactory
from tests.store_contents import crash_before_the_response_is_stored, dump_store


async def test_request_code_repeats_its_response(service: RunningService) -> None:
    """The same key and body get the same bytes, also later and after the end, for one message."""
    first = await request_with_key(service)
    assert first.status_code == 202
    verification_id, code = first.json()["verification_id"], await service.code_of(first.json()["verification_id"])
    for seconds in (0, 31, 300, 3600):
        await service.advance(seconds)
        again = await request_with_key(service)
        assert (again.status_code, again.content) == (202, first.content)
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(service.inbox.messages()) == 1
    assert_problem(await service.verify(verification_id, code), 404, "verification_unknown")
    assert (await request_with_key(service, "another")).status_code == 202


async def test_equivalent_bodies_match(service: RunningService) -> None:
    """Order, spacing and explicit defaults do not make another body."""
    first = await request_with_key(service)
    spelled = b'{ "decoy":false,\n"purpose":"login", "channel": "sms","phone":"0812-1010-0055" ,"locale":null}'
    headers = {**KEY, "Content-Type": "application/json"}
    again = await service.client.post(REQUEST_CODE, content=spelled, headers=headers)
    assert again.content == first.content


OTHERS: list[dict[str, Any]] = [
    {"phone": "0812-1010-0066"},
    {"phone": "081210100055"},
    {"purpose": "registration"},
    {"locale": "en"},
    {"decoy": True},
    {"reference": "17"},
    {"client_ip": "203.0.113.9"},
    {"country": "ID"},
]


async def test_another_body_is_a_mismatch(service: RunningService) -> None:
    """A body with any other value gets 422, sends nothing and uses no limit."""
    await request_with_key(service)
    for members in OTHERS:
        assert_problem(await request_with_key(service, **members), 422, "idempotency_mismatch")
    assert len(await service.store.keys("otp:*v:*")) == 1
    assert (await service.request("0812-1010-0066")).status_code == 202


async def test_verify_code_repeats_its_response(service: RunningService) -> None:
    """The same key gets the same token, byte for byte; no key or another one gets `verification_used`."""
    verification_id, code = await service.request_code()
    first = await verify_with_key(service, verification_id, code)
    assert first.status_code == 200
    await service.advance(10)
    again = await verify_with_key(service, verification_id, code)
    assert (again.status_code, again.content) == (200, first.content)
    for key in ("another", None):
        answer = await (
            verify_with_key(service, verification_id, code, key) if key else service.verify(verification_id, code)
        )
        assert_problem(answer, 409, "verification_used")
    assert_problem(
        await verify_with_key(service, verification_id, service.wrong_code(code)), 422, "idempotency_mismatch"
    )


async def test_a_wrong_code_is_kept(service: RunningService) -> None:
    """A repeated `code_incorrect` is the same response, and costs one attempt in total."""
    verification_id, code = await service.request_code()
    for _ in range(3):
        body = assert_problem(
            await verify_with_key(service, verification_id, service.wrong_code(code)),
            422,
            "code_incorrect",
            "attempts_left",
        )
        assert body["attempts_left"] == 4
    assert_problem(await verify_with_key(service, verification_id, code), 422, "idempotency_mismatch")
    body = assert_problem(
        await service.verify(verification_id, service.wrong_code(code)), 422, "code_incorrect", "attempts_left"
    )
    assert body["attempts_left"] == 3


async def test_keys_are_scoped_to_tenant_and_endpoint(make_service: ServiceFactory) -> None:
    """Another tenant or the other endpoint may use the same key for its own requests."""
    service = await make_service({"tenants": {"acme": tenant(api_key("acme", "request"))}})
    first = await request_with_key(service)
    other = await service.caller("acme").post(
        REQUEST_CODE, json={**REQUEST_BODY, "phone": "0812-1010-0066"}, headers=KEY
    )
    assert other.status_code == 202
    verification_id = first.json()["verification_id"]
    assert other.json()["verification_id"] != verification_id
    assert (await verify_with_key(service, verification_id, await service.code_of(verification_id))).status_code == 200


async def test_api_keys_of_one_tenant_share_idempotency_keys(make_service: ServiceFactory) -> None:
    """A retry may use another API key of the same tenant."""
    service = await make_service({"tenants": {"acme": tenant(api_key("one", "request"), api_key("two", "request"))}})
    answers = [await service.caller(name).post(REQUEST_CODE, json=REQUEST_BODY, headers=KEY) for name in ("one", "two")]
    assert answers[0].content == answers[1].content


async def test_what_is_kept_is_sealed(service: RunningService) -> None:
    """Neither the idempotency key nor the number, the token or the body is stored in the clear."""
    verification_id, code = await service.request_code()
    token = (await verify_with_key(service, verification_id, code)).json()["token"]
    await request_with_key(service, "0812-1010-0055", phone="0812-1010-0066")
    store = await dump_store(service.store)
    answers = b"".join(name + value for name, value in store.items() if b":i:" in name)
    assert answers
    for clear in (E164, E164[1:], NUMBER, "10066", "order-17", token, token.split(".")[1], code, "verified", "login"):
        assert clear.encode() not in answers


async def test_it_is_kept_for_24_hours(service: RunningService) -> None:
    """Shortly before 24 hours the response is the same; after 24 hours the key is free."""
    first = await request_with_key(service)
    names = await kept_keys(service)
    assert len(names) == 2
    for name in names:
        assert 86_390_000 < await service.store.pttl(name) <= 86_400_000
        await service.store.pexpire(name, 1)
    await asyncio.sleep(0.005)
    await service.advance(86_400)
    second = await request_with_key(service)
    assert second.status_code == 202
    assert second.json()["verification_id"] != first.json()["verification_id"]


@pytest.mark.parametrize("endpoint", ["request", "verify"])
async def test_in_flight(make_service: ServiceFactory, endpoint: str) -> None:
    """While the first request runs the second gets 409; after that it gets the same response."""
    service = await make_service(SLOW_HASHING)
    if endpoint == "request":
        calls = [request_with_key(service) for _ in range(3)]
    else:
        verification_id, code = await service.request_code()
        calls = [verify_with_key(service, verification_id, code) for _ in range(3)]
    answers = await asyncio.gather(*calls)
    assert sorted(map(problem_code, answers)) == [
        "202" if endpoint == "request" else "200",
        "idempotency_in_flight",
        "idempotency_in_flight",
    ]
    for answer in answers:
        if answer.status_code == 409:
            assert assert_problem(answer, 409, "idempotency_in_flight")["retry_after"] <= 15
    again = (
        await request_with_key(service)
        if endpoint == "request"
        else await verify_with_key(service, verification_id, code)
    )
    assert again.content in {answer.content for answer in answers if answer.is_success}


async def test_a_crash_before_the_start(service: RunningService) -> None:
    """After a crash the request is made again once the claim expires; its reservation still counts for the cooldown."""
    with crash_before_the_response_is_stored():
        assert_problem(await request_with_key(service), 503, "store_unavailable")
    assert assert_problem(await request_with_key(service), 409, "idempotency_in_flight")["retry_after"] <= 15
    await service.advance(16)
    await service.advance(assert_problem(await request_with_key(service), 429, "resend_too_soon")["retry_after"])
    again = await request_with_key(service)
    assert again.status_code == 202
    assert (await request_with_key(service)).content == again.content
    await service.message_of(again.json()["verification_id"])
    assert len(service.inbox.messages()) == 1


async def test_a_crash_in_verify_code(service: RunningService) -> None:
    """The attempt of the crashed request stays used, and the retry uses another one."""
    verification_id, code = await service.request_code()
    with crash_before_the_response_is_stored():
        await verify_with_key(service, verification_id, service.wrong_code(code))
    assert_problem(
        await verify_with_key(service, verification_id, service.wrong_code(code)), 409, "idempotency_in_flight"
    )
    await service.advance(16)
    body = assert_problem(
        await verify_with_key(service, verification_id, service.wrong_code(code)),
        422,
        "code_incorrect",
        "attempts_left",
    )
    assert body["attempts_left"] == 3


async def test_a_success_whose_response_was_lost_is_repeated(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store's reply to a success is lost the caller gets 503, and the same proof with its key."""
    verification_id, code = await service.request_code()
    consume = RedisAttempts.consume

    async def unheard(*args: Any) -> Any:
        await consume(*args)
        raise unavailable()

    with monkeypatch.context() as lossy:
        lossy.setattr(RedisAttempts, "consume", unheard)
        assert_problem(await verify_with_key(service, verification_id, code), 503, "store_unavailable")
    again = await verify_with_key(service, verification_id, code)
    assert again.status_code == 200
    assert (await verify_with_key(service, verification_id, code)).content == again.content
    assert_problem(await service.verify(verification_id, code), 409, "verification_used")


async def test_a_key_belongs_to_one_verification(service: RunningService) -> None:
    """The same key with another verification is a mismatch, and the key keeps its first response."""
    verification_id, code = await service.request_code()
    other, other_code = await service.request_code("0812-1010-0056")
    first = await verify_with_key(service, verification_id, code)
    assert first.status_code == 200

    assert_problem(await verify_with_key(service, other, other_code), 422, "idempotency_mismatch")

    assert (await verify_with_key(service, verification_id, code)).content == first.content
    assert (await service.verify(other, other_code)).status_code == 200
