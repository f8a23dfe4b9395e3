"""The clock of the store goes back, as after a failover to another server: nothing waits for it to catch up."""

from __future__ import annotations

from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

PACED = {"providers": {"inbox": {"type": "inbox", "max_per_second": 5}}}


async def request_under_a_fast_clock(make_service: ServiceFactory) -> RunningService:
    """Request a code while the clock is an hour ahead; under one that is behind, keys would expire at once."""
    service = await make_service(PACED)
    await service.stop_clock()
    await service.advance(3600)
    await service.request_code()
    return service


async def test_messages_are_sent_at_once(make_service: ServiceFactory) -> None:
    """A provider with a rate would otherwise send nothing for an hour: its last message was an hour ahead."""
    service = await request_under_a_fast_clock(make_service)
    await service.advance(-3600)
    await service.request_code("0812-1010-0066")


async def test_a_code_can_be_requested_again(make_service: ServiceFactory) -> None:
    """The cooldown would otherwise last an hour longer; after the next code it is as ever."""
    service = await request_under_a_fast_clock(make_service)
    await service.advance(-3600)
    await service.request_code()
    assert_problem(await service.request(), 429, "resend_too_soon")


async def test_a_small_step_ends_no_cooldown(make_service: ServiceFactory) -> None:
    """A step of less than the cooldown of 30 seconds makes it longer by as much, and lets no second code through."""
    service = await request_under_a_fast_clock(make_service)
    await service.advance(-29)
    problem = assert_problem(await service.request(), 429, "resend_too_soon")
    assert problem["retry_after"] == 59
