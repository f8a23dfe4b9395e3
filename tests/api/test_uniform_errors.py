"""`uniform_errors`: a refusal of verify-code tells whoever does not know the code nothing else."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.api.api_requests import VERIFICATIONS, VERIFY_CODE
from tests.bench.uniform_timing import compared, measure
from tests.config_parts import demo_policy
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_problem
from tests.refused_attempts import RefusedAttempt, refused_attempts, uniform_config, wrong_attempts
from tests.running_service import RunningService, ServiceFactory

VARYING_HEADERS = {"x-request-id"}


async def all_attempts(service: RunningService) -> list[RefusedAttempt]:
    """Return an attempt for each reason, a wrong code among them."""
    return [*await refused_attempts(service), await anext(wrong_attempts(service))]


def shown(response: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any], int]:
    """Return what a response shows, without the id of its request; its length is that with the id."""
    headers = {name: value for name, value in response.headers.items() if name not in VARYING_HEADERS}
    body = {name: value for name, value in response.json().items() if name != "request_id"}
    return response.status_code, headers, body, len(response.content)


async def test_every_refusal_of_a_code_looks_the_same(make_service: ServiceFactory) -> None:
    """Unknown, foreign, wrong, expired, exhausted, superseded, canceled, used and locked: one answer, of one length."""
    service = await make_service(uniform_config())
    found = {
        one.reason: shown(await service.verify(one.verification_id, one.code)) for one in await all_attempts(service)
    }
    assert len(found) == 10
    assert all(answer == found["wrong"] for answer in found.values()), found
    status, headers, body, _ = found["wrong"]
    assert (status, body["code"]) == (422, "code_incorrect")
    assert body.keys() == {"type", "title", "status", "detail", "code"}
    assert headers.keys() == {"content-type", "content-length", "cache-control", "x-content-type-options"}


async def test_without_the_policy_the_reasons_differ(make_service: ServiceFactory) -> None:
    """By default the answers of the contract stay as they are."""
    service = await make_service(uniform_config(uniform=False))
    found = {
        one.reason: (await service.verify(one.verification_id, one.code)).json()["code"]
        for one in await all_attempts(service)
    }
    assert found == {
        "unknown": "verification_unknown",
        "no id": "verification_unknown",
        "another tenant's": "verification_unknown",
        "expired": "verification_expired",
        "exhausted": "attempts_exhausted",
        "superseded": "verification_superseded",
        "canceled": "verification_canceled",
        "used": "verification_used",
        "locked": "recipient_locked",
        "wrong": "code_incorrect",
    }


async def test_the_last_wrong_code_looks_like_the_first(make_service: ServiceFactory) -> None:
    """The wrong code that uses up the attempts has the same response as the ones before and after it."""
    service = await make_service(uniform_config())
    attempts = wrong_attempts(service)
    answers = [shown(await service.verify(*(await anext(attempts))[1:])) for _ in range(5)]
    assert all(answer == answers[0] for answer in answers)


async def test_every_refusal_costs_one_comparison(make_service: ServiceFactory, hashes: Counter[str]) -> None:
    """Each reason costs the work of exactly one comparison, so that its time tells nothing."""
    service = await make_service(uniform_config())
    attempts = await all_attempts(service)
    hashes.clear()
    for one in attempts:
        await service.verify(one.verification_id, one.code)
    assert hashes["matches"] + hashes["matches_none"] == len(attempts)
    assert hashes["matches"] == 1


async def test_a_success_is_as_ever(make_service: ServiceFactory) -> None:
    """The correct code succeeds once, and wrong ones before it are counted as without the policy."""
    service = await make_service(uniform_config())
    verification_id, code = await service.request_code()
    await service.verify(verification_id, service.wrong_code(code))
    assert (await service.client.get(VERIFICATIONS + verification_id)).json()["attempts_left"] == 4
    answers = await asyncio.gather(*(service.verify(verification_id, code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]


async def test_the_log_and_the_metrics_tell_the_reason(make_service: ServiceFactory) -> None:
    """Operators see the true reason of each refusal."""
    service = await make_service(uniform_config())
    attempts = await all_attempts(service)
    with captured_logs() as written:
        for one in attempts:
            await service.verify(one.verification_id, one.code)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    outcomes = [line["outcome"] for line in lines if line["event"] == "request"]
    assert outcomes == [
        "verification_unknown",
        "verification_unknown",
        "verification_unknown",
        "verification_expired",
        "attempts_exhausted",
        "verification_superseded",
        "verification_canceled",
        "verification_used",
        "recipient_locked",
        "code_incorrect",
    ]
    page = (await service.client.get("/metrics")).text
    assert 'outcome="recipient_locked",tenant="demo"' in page


async def test_replays_look_the_same(make_service: ServiceFactory, hashes: Counter[str]) -> None:
    """Under an Idempotency-Key each reason is answered once and then replayed, without another comparison."""
    service = await make_service(uniform_config())
    attempts = [one for one in await all_attempts(service) if one.reason != "no id"]
    for number, one in enumerate(attempts):
        key = {"Idempotency-Key": f"key-{number}"}
        attempt = {"verification_id": one.verification_id, "code": one.code}
        first = await service.client.post(VERIFY_CODE, json=attempt, headers=key)
        hashes.clear()
        again = await service.client.post(VERIFY_CODE, json=attempt, headers=key)
        other = await service.client.post(VERIFY_CODE, json={**attempt, "code": "987654"}, headers=key)
        assert shown(first) == shown(again), one.reason
        assert_problem(other, 422, "idempotency_mismatch")
        assert not hashes, one.reason


async def test_refusals_are_kept_as_long_as_a_verification(make_service: ServiceFactory) -> None:
    """Anyone may send ids without end: what is kept of each under an Idempotency-Key is gone after 20 minutes."""
    service = await make_service(uniform_config())
    attempts = [one for one in await all_attempts(service) if one.reason != "no id"]
    for number, one in enumerate(attempts):
        attempt = {"verification_id": one.verification_id, "code": one.code}
        await service.client.post(VERIFY_CODE, json=attempt, headers={"Idempotency-Key": f"key-{number}"})
    kept = [name for name in await service.store.keys() if b":i:" in name]
    assert len(kept) == 2 * len(attempts)
    for name in kept:
        assert 0 < await service.store.pttl(name) <= 1_200_000


async def test_an_impossible_id_frees_its_key(make_service: ServiceFactory) -> None:
    """An id that the service cannot have made is refused alike each time, and its key is free at once."""
    service = await make_service(uniform_config())
    for _ in range(2):
        attempt = {"verification_id": "nothing", "code": "123456"}
        response = await service.client.post(VERIFY_CODE, json=attempt, headers={"Idempotency-Key": "k"})
        assert_problem(response, 422, "code_incorrect")


async def test_a_flood_of_unknown_ids_is_bounded(make_service: ServiceFactory) -> None:
    """Unknown ids hold slots of the hash pool like other codes: above the caller's share they are 503 `overloaded`."""
    config = uniform_config() | {"hashing": {"time_cost": 3, "memory_kib": 12288, "max_waiting": 8, "prepared": 0}}
    service = await make_service(config)
    answers = await asyncio.gather(*(service.verify("A" * 20 + str(n), "123456") for n in range(60)))
    found = Counter(answer.json()["code"] for answer in answers)
    assert found.keys() == {"code_incorrect", "overloaded"}
    assert found["overloaded"] > 20


@pytest.mark.parametrize("uniform", [True, False], ids=["uniform", "by default"])
async def test_the_time_tells_nothing(make_service: ServiceFactory, *, uniform: bool) -> None:
    """A refusal for any reason is as often slower as faster than a wrong code; by default most are faster: no hash."""
    hashing: dict[str, Any] = {"time_cost": 1, "memory_kib": 6144, "allow_weak": True, "prepared": 0}
    service = await make_service(uniform_config(uniform=uniform) | {"hashing": hashing})
    found = compared(await measure(service, 41))
    assert len(found) == 10
    for reason, one in found.items():
        if reason == "no id":  # it needs no call of the store; which texts are no ids is public
            continue
        if uniform or reason == "wrong":
            assert 0.15 < one.slower < 0.85, (reason, one)
        else:
            assert one.median_ratio < 0.5, (reason, one)  # on a busy machine any of them may be slow


async def test_other_refusals_do_not_change(make_service: ServiceFactory) -> None:
    """What does not depend on the verification is told as ever: malformed codes, and reads of unknown ids."""
    service = await make_service(demo_policy(uniform_errors=True))
    assert_problem(await service.verify("nothing", "12"), 400, "request_malformed", "errors")
    assert_problem(await service.client.get(VERIFICATIONS + "nothing"), 404, "verification_unknown")
