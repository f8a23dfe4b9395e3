"""SMS Hub's subscribers: a number that answered STOP is blocked until the hub is asked to end that."""

from __future__ import annotations

import json

import pytest

from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulators.http_server import Behavior, Cut
from otp_service.sandbox.simulators.smshub import SmshubSimulator, refusal
from tests.providers.smshub_provider import MESSAGE, hub

TO, DIGITS = "+19706904544", "19706904544"


async def test_opt_out_at_the_hub_ends_on_request() -> None:
    """The request of the only known client, with the token of the login; then the hub sends again."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        simulator.stopped = {DIGITS}
        assert (await provider.send(MESSAGE)).outcome is Outcome.RECIPIENT_BLOCKED
        assert await provider.resubscribe(TO) is Outcome.ACCEPTED
        assert (await provider.send(MESSAGE)).outcome is Outcome.ACCEPTED

    assert simulator.logins == 1
    request = simulator.requests[2]
    assert (request.method, request.path) == ("POST", "/Subscribers")
    assert json.loads(request.body) == {"PhoneNumber": DIGITS, "DoNotText": False}


async def test_expired_token_is_renewed() -> None:
    """A 401 leads to one login, as for a message."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        await provider.send(MESSAGE)
        simulator.expire_tokens()
        assert await provider.resubscribe(TO) is Outcome.ACCEPTED
    assert simulator.logins == 2


@pytest.mark.parametrize("behavior", [refusal(403, "Forbidden"), refusal(500), Cut()])
async def test_failure_is_an_outcome(behavior: Behavior) -> None:
    """A failed request is not accepted, and is made once."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        await provider.send(MESSAGE)
        simulator.script(behavior)
        assert await provider.resubscribe(TO) is not Outcome.ACCEPTED
    assert len(simulator.requests) == 3
