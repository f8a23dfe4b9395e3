"""An idempotency key that is in use, or was used for something else: whoever comes with it costs nobody anything."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.api.api_requests import BY_ID
from tests.api.test_idempotency_keys import guess
from tests.config_parts import SLOW, shared_keys
from tests.problem_assertions import outcome, problem
from tests.running_service import World, WorldMaker
from tests.store_contents import dumped, dying_before_the_answer_is_kept


async def test_a_key_that_is_used_again_costs_nothing(world: World, hashes: Counter[str]) -> None:
    """Ten guesses at another verification under a key that is taken: no attempt, no hash; also while in flight."""
    verification_id, code = await world.requested()
    other, other_code = await world.requested("0812-1010-0056")
    problem(await guess(world, verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
    with dying_before_the_answer_is_kept():
        await guess(world, verification_id, world.wrong(code), "under-way")
    before, compared = await dumped(world.store), hashes["matches"]

    for key in ("order-17", "under-way"):
        for attempt in (other_code, world.wrong(other_code)):
            for _ in range(5):
                problem(await guess(world, other, attempt, key), 422, "idempotency_mismatch")

    assert await dumped(world.store) == before
    assert hashes["matches"] == compared
    assert (await world.client.get(BY_ID + other)).json()["attempts_left"] == 5
    assert (await world.verify(other, other_code)).status_code == 200


async def test_in_flight_at_another_replica(make_world: WorldMaker) -> None:
    """A wrong guess sent to two replicas at once under one key: one is judged, the other waits."""
    worlds = [await make_world(SLOW | shared_keys()) for _ in range(2)]
    verification_id, code = await worlds[0].requested()
    wrong = worlds[0].wrong(code)

    answers = await asyncio.gather(*(guess(one, verification_id, wrong) for one in worlds))

    assert sorted(map(outcome, answers)) == ["code_incorrect", "idempotency_in_flight"]
    assert (await worlds[0].client.get(BY_ID + verification_id)).json()["attempts_left"] == 4
    again = [await guess(one, verification_id, wrong) for one in worlds]
    assert {answer.json()["attempts_left"] for answer in again} == {4}
