"""An idempotency key that is in use, or was used for another request, costs nothing."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.api.api_requests import VERIFICATIONS
from tests.api.idempotent_requests import verify_with_key
from tests.config_parts import SLOW_HASHING, shared_keys
from tests.problem_assertions import assert_problem, problem_code
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import crash_before_the_response_is_stored, dump_store


async def test_a_conflicting_key_costs_nothing(service: RunningService, hashes: Counter[str]) -> None:
    """Ten attempts with the key of another request use no attempt and no hash, also while that is in flight."""
    verification_id, code = await service.request_code()
    other, other_code = await service.request_code("0812-1010-0056")
    assert_problem(
        await verify_with_key(service, verification_id, service.wrong_code(code)),
        422,
        "code_incorrect",
        "attempts_left",
    )
    with crash_before_the_response_is_stored():
        await verify_with_key(service, verification_id, service.wrong_code(code), "under-way")
    before, compared = await dump_store(service.store), hashes["matches"]

    for key in ("order-17", "under-way"):
        for attempt in (other_code, service.wrong_code(other_code)):
            for _ in range(5):
                assert_problem(await verify_with_key(service, other, attempt, key), 422, "idempotency_mismatch")

    assert await dump_store(service.store) == before
    assert hashes["matches"] == compared
    assert (await service.client.get(VERIFICATIONS + other)).json()["attempts_left"] == 5
    assert (await service.verify(other, other_code)).status_code == 200


async def test_in_flight_at_another_replica(make_service: ServiceFactory) -> None:
    """Of two attempts sent to two replicas with one key at once, one is compared and the other waits."""
    services = [await make_service(SLOW_HASHING | shared_keys()) for _ in range(2)]
    verification_id, code = await services[0].request_code()
    wrong = services[0].wrong_code(code)

    answers = await asyncio.gather(*(verify_with_key(one, verification_id, wrong) for one in services))

    assert sorted(map(problem_code, answers)) == ["code_incorrect", "idempotency_in_flight"]
    assert (await services[0].client.get(VERIFICATIONS + verification_id)).json()["attempts_left"] == 4
    again = [await verify_with_key(one, verification_id, wrong) for one in services]
    assert {answer.json()["attempts_left"] for answer in again} == {4}
