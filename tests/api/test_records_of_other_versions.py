"""Records of verifications that another version has written, as during a rolling upgrade: shorter or longer ones."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.problem_assertions import assert_problem
from tests.running_service import RunningService

OLDEST = 24
"""The elements of the last version before events and the guard; what came later was added behind them."""

ADDED = ["of a later version", 5, [["nested"], ""], True]
Elements = pytest.mark.parametrize("elements", [OLDEST, OLDEST + 1, OLDEST + 2, OLDEST + 2 + len(ADDED)])


async def rewrite(service: RunningService, verification_id: str, elements: int) -> str:
    """Shorten or lengthen the record of a verification; return its key in the store."""
    [name] = await service.store.keys(f"otp:*{verification_id}")
    record: list[Any] = msgspec.msgpack.decode(await service.store.get(name))
    assert len(record) == OLDEST + 2
    await service.store.set(name, msgspec.msgpack.encode([*record, *ADDED][:elements]), keepttl=True)
    return str(name.decode() if isinstance(name, bytes) else name)


@Elements
async def test_it_verifies(service: RunningService, elements: int) -> None:
    """Wrong and right codes count as always, and a script that writes the record keeps what it does not know."""
    verification_id, code = await service.request_code()
    name = await rewrite(service, verification_id, elements)

    wrong = await service.verify(verification_id, service.wrong_code(code))
    assert assert_problem(wrong, 422, "code_incorrect", "attempts_left")["attempts_left"] == 4
    assert (await service.verify(verification_id, code)).status_code == 200
    assert_problem(await service.verify(verification_id, code), 409, "verification_used")

    kept = msgspec.msgpack.decode(await service.store.get(name))
    assert len(kept) == elements
    assert kept[OLDEST + 2 :] == ADDED[: max(0, elements - OLDEST - 2)]


@Elements
async def test_it_is_read_superseded_and_canceled(service: RunningService, elements: int) -> None:
    """Its status is read, a new request takes its place, and it can be canceled."""
    first, _ = await service.request_code()
    await rewrite(service, first, elements)
    assert (await service.client.get(f"/v1/verifications/{first}")).json()["status"] == "pending"
    await service.advance(31)

    second, _ = await service.request_code()
    await rewrite(service, second, elements)
    assert (await service.client.get(f"/v1/verifications/{first}")).json()["status"] == "superseded"
    assert (await service.client.delete(f"/v1/verifications/{second}")).json()["status"] == "canceled"
