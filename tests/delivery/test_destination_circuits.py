"""What one destination, or one message, says of a provider: its circuit for that country, and no other."""

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
NOT_SERVED = -19
UNDOCUMENTED = -77


def refuses_singapore(gateway: EimsSimulator, status: int) -> None:
    """Have a gateway refuse every number of Singapore with a status."""
    take = gateway.answer

    def answer(request: Request) -> SimulatorResponse:
        return refusal(status).response if "numbers=65" in request.query else take(request)

    gateway.answer = answer  # type: ignore[method-assign]


async def sent(service: RunningService, number: str, expected: tuple[str, str | None]) -> None:
    """Request a code and wait for what became of it at the one gateway."""
    response = await service.request(number)
    assert response.status_code == 202, response.text
    await wait_for_deliveries(service, response.json()["verification_id"], {"first": expected})


async def test_a_destination_that_is_not_served_shuts_nobody_out(
    make_service: ServiceFactory, gateway: EimsSimulator
) -> None:
    """20 messages to a country that a gateway does not serve: each is told so, and every other one is sent."""
    refuses_singapore(gateway, NOT_SERVED)
    service = await make_service(route_through(gateway))
    for n in range(20):
        await sent(service, SINGAPORE.format(n), ("failed", "destination_unsupported"))
        await sent(service, INDONESIA.format(n), ("sent", None))
    assert len(gateway.messages) == 20


async def test_a_destination_that_is_not_served_goes_to_the_next(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """At once, with one text, and the first gateway is not asked for it again."""
    gateway.script(refusal(NOT_SERVED))
    service = await make_service(route_through(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_message(second)
    expected = {"first": ("failed", "destination_unsupported"), "second": ("sent", None)}
    await wait_for_deliveries(
        service, verification_id, {name: (status, error) for name, (status, error) in expected.items()}
    )
    assert (len(gateway.requests), len(second.messages)) == (1, 1)


@pytest.mark.parametrize(
    "answer",
    [refusal(UNDOCUMENTED), Respond(SimulatorResponse(b"Forbidden", 403)), Respond(SimulatorResponse(b"", 404))],
)
async def test_a_refusal_of_unknown_meaning_opens_nothing_by_itself(
    make_service: ServiceFactory, gateway: EimsSimulator, answer: Respond
) -> None:
    """Two among ten good messages are two that failed."""
    service = await make_service(route_through(gateway))
    for n in range(10):
        if n in (3, 7):
            gateway.script(answer)
        await sent(service, INDONESIA.format(n), ("failed", "config_error") if n in (3, 7) else ("sent", None))


async def test_a_country_that_fails_is_shut_alone(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Five undocumented refusals for one country: its numbers get no_route for seconds, those of others are sent."""
    refuses_singapore(gateway, UNDOCUMENTED)
    service = await make_service(route_through(gateway))
    for n in range(5):
        await sent(service, SINGAPORE.format(n), ("failed", "config_error"))
    refused = await service.request(SINGAPORE.format(9))
    assert (refused.status_code, refused.json()["code"]) == (503, "no_route")
    assert 1 <= refused.json()["retry_after"] <= 6
    for n in range(5):
        await sent(service, INDONESIA.format(n), ("sent", None))

    await service.advance(refused.json()["retry_after"])
    await sent(service, SINGAPORE.format(10), ("failed", "config_error"))
    assert (await service.request(SINGAPORE.format(11))).json()["code"] == "no_route"  # the probe has failed


async def test_a_country_is_served_again_when_its_probe_passes(
    make_service: ServiceFactory, gateway: EimsSimulator
) -> None:
    """One message tries it; then all are sent."""
    gateway.script(*[refusal(UNDOCUMENTED)] * 5)
    service = await make_service(route_through(gateway))
    for n in range(5):
        await sent(service, SINGAPORE.format(n), ("failed", "config_error"))
    assert (await service.request(SINGAPORE.format(9))).json()["code"] == "no_route"
    await service.advance(6)
    for n in range(10, 13):
        await sent(service, SINGAPORE.format(n), ("failed", "recipient_invalid"))  # the simulator takes 62… alone


async def answered(
    limiter: RedisProviderLimiter, country: str, answer: SendResult, name: str = "m"
) -> Permit | Deferred:
    """Ask for a call to a provider for a country, and end it with an answer."""
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
async def test_only_what_fails_everywhere_shuts_the_provider(
    make_service: ServiceFactory, failing: dict[str, int], open_to: dict[str, bool]
) -> None:
    """The provider's own circuit opens by failures of more than one country, its worst one left aside."""
    topology = connect(make_service.url)
    limiter = RedisProviderLimiter(topology, {"first": ProviderPolicy()}, {}, {"first": 5_000})
    for country, times in failing.items():
        for n in range(times):
            await answered(limiter, country, SendResult(Outcome.TRANSIENT), f"{country}-{n}")
    found = {}
    for country in open_to:
        held = await limiter.acquire("first", "demo", "x", country=country, segments=1, max_wait_ms=60_000)
        found[country] = isinstance(held, Deferred) and held.reason is DeferReason.OPEN
    await topology.close()
    assert found == open_to


async def test_a_country_that_fails_beside_a_busy_one_is_shut_alone(make_service: ServiceFactory) -> None:
    """A few failures of the busiest country, more than the small one ever had, do not make it everybody's trouble."""
    topology = connect(make_service.url)
    limiter = RedisProviderLimiter(topology, {"first": ProviderPolicy(max_concurrent=100)}, {}, {"first": 5_000})
    for n in range(100):
        answer = SendResult(Outcome.TRANSIENT if n % 10 == 9 else Outcome.ACCEPTED)
        assert isinstance(await answered(limiter, "ID", answer, f"i-{n}"), Permit)
    for n in range(5):
        assert isinstance(await answered(limiter, "SG", SendResult(Outcome.TRANSIENT), f"s-{n}"), Permit)
    held = [await answered(limiter, country, SendResult(Outcome.ACCEPTED)) for country in ("SG", "ID", "MY")]
    await topology.close()
    assert [type(one) for one in held] == [Deferred, Permit, Permit]


async def test_a_trip_shuts_the_provider_for_every_country(make_service: ServiceFactory) -> None:
    """A refused password is no matter of a destination; operators see both kinds of circuits."""
    topology = connect(make_service.url)
    policies = {"first": ProviderPolicy()}
    limiter = RedisProviderLimiter(topology, policies, {}, {"first": 5_000})
    for n in range(5):
        await answered(limiter, "SG", SendResult.undocumented(), f"s-{n}")
    before = (await provider_statuses(topology, policies))["first"]
    await answered(limiter, "ID", SendResult(Outcome.CONFIG_ERROR))
    after = (await provider_statuses(topology, policies))["first"]
    held = await answered(limiter, "TH", SendResult(Outcome.ACCEPTED))
    await topology.close()
    assert (before.state.availability, list(before.destinations)) == (Availability.OK, ["SG"])
    assert 0 < before.destinations["SG"] <= 2_000
    assert (after.state.availability, after.state.open_reason) == (Availability.OPEN, "config_error")
    assert held == Deferred(DeferReason.OPEN, held.retry_in_ms if isinstance(held, Deferred) else 0)


async def test_one_of_many_probes_a_country(make_service: ServiceFactory) -> None:
    """Of 30 parallel calls to a country that is tried again exactly one is made; another country's are not held up."""
    topology = connect(make_service.url)
    limiter = RedisProviderLimiter(topology, {"first": ProviderPolicy(max_concurrent=100)}, {}, {"first": 5_000})
    for n in range(5):
        await answered(limiter, "SG", SendResult(Outcome.TRANSIENT), f"s-{n}")
    await make_service.store.incrby("test:clock", 7_000)

    async def take(country: str, n: int) -> str:
        found = await limiter.acquire("first", "demo", f"{country}{n}", country=country, segments=1, max_wait_ms=60_000)
        return f"{country} {type(found).__name__}"

    found = Counter(await asyncio.gather(*(take(country, n) for n in range(30) for country in ("SG", "ID"))))
    await topology.close()
    assert found == {"SG Permit": 1, "SG Deferred": 29, "ID Permit": 30}


def test_what_an_answer_says_of_the_provider() -> None:
    """Every outcome has its signal, and an answer may say otherwise."""
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
