"""Refused requests leave nothing in the store, with and without an idempotency key."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.domain.errors import Reason
from tests.api.external_refusal_cases import EXTERNAL_CASES
from tests.api.prepared_call import ApiCall
from tests.api.refusal_cases import CASES, Case, verify_code_call
from tests.api.refusal_storage_growth import TIMES, Growth, measure, usage
from tests.config_parts import demo_policy
from tests.problem_assertions import assert_problem
from tests.running_service import ServiceFactory

ALL_CASES = [*CASES, *EXTERNAL_CASES]


@pytest.mark.parametrize("case", ALL_CASES, ids=[case.name for case in ALL_CASES])
async def test_a_refusal_leaves_nothing(make_service: ServiceFactory, case: Case) -> None:
    """A refusal leaves no new key and no byte in an existing key."""
    assert await measure(make_service, case) == {"without": Growth(0, 0), "with": Growth(0, 0)}


async def test_every_refusal_of_the_contract_is_in_the_table() -> None:
    """Every code is measured, except an overload, a request in flight and a wrong code."""
    measured = {case.code.split()[0] for case in ALL_CASES}
    not_measured = {"overloaded", "idempotency_in_flight", "code_incorrect", "not_found", "method_not_allowed"}
    not_measured |= {"headers_too_large", "request_timeout"}  # the server reports them, not the application
    assert {reason.value for reason in Reason} - measured == not_measured | {"internal_error"}


async def test_used_attempts_are_kept_for_a_day_at_most(make_service: ServiceFactory) -> None:
    """Five wrong codes with a key each keep five claims and responses; further ones keep nothing.

    The consecutive wrong codes of the number are kept in one small key, for 400 days after the last one.
    """
    service = await make_service(demo_policy(max_attempts=5))
    verification_id, code = await service.request_code()
    before = await usage(service)
    call: ApiCall = verify_code_call(verification_id, service.wrong_code(code))
    for n in range(5):
        assert_problem(await call.send(service, f"k{n}"), 422, "code_incorrect", "attempts_left")
    kept = await usage(service)
    row = {name for name in kept if b":l:demo:" in name}
    assert len(row) == 1
    assert len(kept.keys() - before.keys() - row) == 10
    for name in kept.keys() - before.keys() - row:
        assert 0 < await service.store.pttl(name) <= 86_400_000

    for n in range(TIMES):
        assert_problem(await call.send(service, f"more-{n}"), 429, "attempts_exhausted")
    assert await usage(service) == kept


@pytest.mark.usefixtures("patient_store")
async def test_parallel_refusals_leave_nothing(make_service: ServiceFactory) -> None:
    """A hundred parallel requests with keys of their own leave what the one accepted request needs."""
    service = await make_service()
    call = ApiCall("POST", "/v1/request-code", {"phone": "0812-1010-0055", "purpose": "login"})
    answers = await asyncio.gather(*(call.send(service, f"k{n}") for n in range(100)))
    assert sorted({answer.status_code for answer in answers}) == [202, 429]
    claims = await service.store.keys("otp:i:*")
    assert len(claims) == len(await service.store.keys("otp:{p*}:i:*")) == 1
    for name in await service.store.keys("otp:w:*"):
        assert await service.store.llen(name) == 1
        assert 0 < await service.store.pttl(name) <= 3_600_000
