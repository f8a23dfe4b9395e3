"""Circuits by destination: failures for one country do not affect the others."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.domain.provider_policy import Availability, DeferReason, Deferred, Permit, ProviderPolicy
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.store.provider_limits import RedisProviderLimiter
from otp_service.store.provider_status import provider_statuses
from otp_service.store.topology import connect
from tests.delivery.gateway_config import route_through
from tests.message_waits import wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory

INDONESIA = "+62812{:07d}"
SINGAPORE = "+658234{:04d}"
UNSUPPORTED = -19
UNDOCUMENTED = -77


def reject_singapore(gateway: EimsSimulator, status: int) -> None:
    """Make a gateway reject every number of Singapore with a status."""
    accept = gateway.answer

    def answer(request: Request) -> SimulatorResponse:
        return refusal(status).response if "numbers=65" in request.query else accept(request)

    gateway.answer = answer  # type: ignore[method-assign]  # one instance answers otherwise


async def request_and_wait(service: RunningService, number: str, expected: tuple[str, str | None]) -> None:
    """Request a code and wait for its delivery status at the only gateway."""
    response = await service.request(number)
    assert response.status_code == 202, response.text
    await wait_for_deliveries(service, response.json()["verification_id"], {"first": expected})


async def test_unsupported_destination_opens_no_circuit(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """After 20 messages to an unsupported country every other message is still sent."""
    reject_singapore(gateway, UNSUPPORTED)
    service = await make_service(route_through(gateway))
    for n in range(20):
        await request_and_wait(service, SINGAPORE.format(n), ("failed", "destination_unsupported"))
        await request_and_wait(service, INDONESIA.format(n), ("sent", None))
    assert len(gateway.messages) == 20


async def test_unsupported_destination_fails_over(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """At once, with one message, and the first gateway is not called for it again."""
    gateway.script(refusal(UNSUPPORTED))
    service = await make_service(route_through(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_message(second)
    expected = {"first": ("failed", "destination_unsupported"), "second": ("sent", None)}
    await wait_for_deliveries(service, verification_id, expected)
    assert (len(gateway.requests), len(second.messages)) == (1, 1)


@pytest.mark.parametrize(
    "answer",
    [refusal(UNDOCUMENTED), Respond(SimulatorResponse(b"Forbidden", 403)), Respond(SimulatorResponse(b"", 404))],
)
async def test_single_undocumented_rejection_opens_no_circuit(
    make_service: ServiceFactory, gateway: EimsSimulator, answer: Respond
) -> None:
    """Two of ten messages fail, and the others are sent."""
    service = await make_service(route_through(gateway))
    for n in range(10):
        if n in (3, 7):
            gateway.script(answer)
        await request_and_wait(
            service, INDONESIA.format(n), ("failed", "config_error") if n in (3, 7) else ("sent", None)
        )


async def test_failing_country_opens_only_its_own_circuit(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Five undocumented rejections for one country: its numbers get `no_route` for seconds, other numbers are sent."""
    reject_singapore(gateway, UNDOCUMENTED)
    service = await make_service(route_through(gateway))
    for n in range(5):
        await request_and_wait(service, SINGAPORE.format(n), ("failed", "config_error"))
    refused = await service.request(SINGAPORE.format(9))
    assert (refused.status_code, refused.json()["code"]) == (503, "no_route")
    assert 1 <= refused.json()["retry_after"] <= 6
    for n in range(5):
        await request_and_wait(service, INDONESIA.format(n), ("sent", None))

    await service.advance(refused.json()["retry_after"])
    await request_and_wait(service, SINGAPORE.format(10), ("failed", "config_error"))
    assert (await service.request(SINGAPORE.format(11))).json()["code"] == "no_route"  # the probe failed


async def test_successful_probe_closes_the_destination_circuit(
    make_service: ServiceFactory, gateway: EimsSimulator
) -> None:
    """One message is the probe; then all are sent."""
    gateway.script(*[refusal(UNDOCUMENTED)] * 5)
    service = await make_service(route_through(gateway))
    for n in range(5):
        await request_and_wait(service, SINGAPORE.format(n), ("failed", "config_error"))
    assert (await service.request(SINGAPORE.format(9))).json()["code"] == "no_route"
    await service.advance(6)
    for n in range(10, 13):
        await request_and_wait(
            service, SINGAPORE.format(n), ("failed", "recipient_invalid")
        )  # the simulator accepts only numbers with 62


async def call_with_result(
    limiter: RedisProviderLimiter, country: str, answer: SendResult, name: str = "m"
) -> Permit | Deferred:
    """Acquire a permit for a country, and release it with a result."""
    permit = await limiter.acquire("first", "demo", name, country=country, segments=1, max_wait_ms=60_000)
    if isinstance(permit, Permit):
        await limiter.release(permit, answer)
    return permit


@pytest.mark.parametrize(
    ("failing", "open_to"),
    [
        ({"ID": 5}, {"SG": False, "ID": True, "MY": False}),
        ({"ID": 50}, {"SG": False, "ID": True, "MY": False}),
        ({"ID": 4, "SG": 4}, {"SG": False, "ID": False, "MY": False}),
        ({"ID": 4, "SG": 4, "MY": 3}, {"SG": True, "ID": True, "MY": True, "TH": True}),
    ],
)
async def test_provider_circuit_needs_failures_in_several_countries(
    make_service: ServiceFactory, failing: dict[str, int], open_to: dict[str, bool]
) -> None:
    """Failures of the worst country alone do not open the provider's own circuit."""
    topology = connect(make_service.url)
    limiter = RedisProviderLimiter(topology, {"first": ProviderPolicy()}, {}, {"first": 5_000})
    for country, times in failing.items():
        for n in range(times):
            await call_with_result(limiter, country, SendResult(Outcome.TRANSIENT), f"{country}-{n}")
    found = {}
    for country in open_to:
        held = await limiter.acquire("first", "demo", "x", country=country, segments=1, max_wait_ms=60_000)
        found[country] = isinstance(held, Deferred) and held.reason is DeferReason.OPEN
    await topology.close()
    assert found == open_to


async def test_failing_country_beside_a_busy_one_opens_only_its_own_circuit(make_service: ServiceFactory) -> None:
    """A few failures of a busy country do not make a small country's failures the provider's."""
    topology = connect(make_service.url)
    limiter = RedisProviderLimiter(topology, {"first": ProviderPolicy(max_concurrent=100)}, {}, {"first": 5_000})
    for n in range(100):
        answer = SendResult(Outcome.TRANSIENT if n % 10 == 9 else Outcome.ACCEPTED)
        assert isinstance(await call_with_result(limiter, "ID", answer, f"i-{n}"), Permit)
    for n in range(5):
        assert isinstance(await call_with_result(limiter, "SG", SendResult(Outcome.TRANSIENT), f"s-{n}"), Permit)
    held = [await call_with_result(limiter, country, SendResult(Outcome.ACCEPTED)) for country in ("SG", "ID", "MY")]
    await topology.close()
    assert [type(one) for one in held] == [Deferred, Permit, Permit]


async def test_trip_opens_the_provider_circuit(make_service: ServiceFactory) -> None:
    """A rejected password opens the circuit for every country; operators see both kinds of circuits."""
    topology = connect(make_service.url)
    policies = {"first": ProviderPolicy()}
    limiter = RedisProviderLimiter(topology, policies, {}, {"first": 5_000})
    for n in range(5):
        await call_with_result(limiter, "SG", SendResult.undocumented(), f"s-{n}")
    before = (await provider_statuses(topology, policies))["first"]
    await call_with_result(limiter, "ID", SendResult(Outcome.CONFIG_ERROR))
    after = (await provider_statuses(topology, policies))["first"]
    held = await call_with_result(limiter, "TH", SendResult(Outcome.ACCEPTED))
    await topology.close()
    assert (before.state.availability, list(before.destinations)) == (Availability.OK, ["SG"])
    assert 0 < before.destinations["SG"] <= 2_000
    assert (after.state.availability, after.state.open_reason) == (Availability.OPEN, "config_error")
    assert held == Deferred(DeferReason.OPEN, held.retry_in_ms if isinstance(held, Deferred) else 0)


async def test_one_of_many_parallel_calls_is_the_probe(make_service: ServiceFactory) -> None:
    """Of 30 parallel calls to a half-open destination exactly one is made, and another country's are not delayed."""
    topology = connect(make_service.url)
    limiter = RedisProviderLimiter(topology, {"first": ProviderPolicy(max_concurrent=100)}, {}, {"first": 5_000})
    for n in range(5):
        await call_with_result(limiter, "SG", SendResult(Outcome.TRANSIENT), f"s-{n}")
    await make_service.store.incrby("test:clock", 7_000)

    async def acquire(country: str, n: int) -> str:
        found = await limiter.acquire("first", "demo", f"{country}{n}", country=country, segments=1, max_wait_ms=60_000)
        return f"{country} {type(found).__name__}"

    found = Counter(await asyncio.gather(*(acquire(country, n) for n in range(30) for country in ("SG", "ID"))))
    await topology.close()
    assert found == {"SG Permit": 1, "SG Deferred": 29, "ID Permit": 30}


def test_health_signal_of_each_outcome() -> None:
    """Every outcome has a signal, and a result may carry a different one."""
    signals = {outcome: SendResult(outcome).health for outcome in Outcome}
    assert {outcome for outcome, signal in signals.items() if signal is HealthSignal.TRIP} == {
        Outcome.CONFIG_ERROR,
        Outcome.FUNDS,
    }
    assert {outcome for outcome, signal in signals.items() if signal is HealthSignal.FAILURE} == {
        Outcome.TRANSIENT,
        Outcome.AMBIGUOUS,
    }
    assert signals[Outcome.THROTTLED] is HealthSignal.NONE
    assert signals[Outcome.DESTINATION_UNSUPPORTED] is HealthSignal.SUCCESS
    assert SendResult.undocumented().health is HealthSignal.FAILURE
