"""The limits of a provider that all replicas share: circuit, rate, concurrency and daily caps."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from tests.config_parts import shared_keys
from tests.delivery.gateway_config import route_through
from tests.running_service import RunningService, ServiceFactory

AUTHENTICATION_ERROR = -1
ABNORMAL_NUMBER = -9


def number(n: int) -> str:
    """Return the `n`th number."""
    return f"+62812{n:07d}"


def with_settings(config: dict[str, Any], provider: str = "first", **keys: Any) -> dict[str, Any]:
    """Return the config with additional settings of a provider."""
    return merged(config, {"providers": {provider: keys}})


async def wait_for_messages(gateway: EimsSimulator, count: int, seconds: float = 20) -> None:
    """Wait until the gateway has this many messages."""
    async with asyncio.timeout(seconds):
        while len(gateway.messages) < count:
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("patient_store")
async def test_message_cap_is_exact(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Of 200 parallel requests at a cap of 100, exactly 100 messages are sent; then requests get 429 until tomorrow."""
    service = await make_service(
        with_settings(route_through(gateway, timeout=30), daily_message_cap=100, max_concurrent=64)
    )
    responses = await asyncio.gather(*(service.request(number(n)) for n in range(200)))
    codes = Counter(response.json().get("code", "202") for response in responses)
    assert set(codes) <= {"202", "spend_cap_reached"}
    await wait_for_messages(gateway, 100)
    await asyncio.sleep(0.5)
    assert len(gateway.messages) == 100
    refused = await service.request(number(300))
    assert (refused.status_code, refused.json()["code"]) == (429, "spend_cap_reached")
    assert 1 <= refused.json()["retry_after"] <= 86400


async def test_spend_cap_counts_segments_by_country(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """At 0.3 per segment a cap of 1 allows three messages; a rejected number costs nothing."""
    config = with_settings(route_through(gateway, timeout=5), daily_spend_cap="1", price={"ID": "0.3", "default": "9"})
    service = await make_service(config)
    gateway.script(refusal(ABNORMAL_NUMBER))
    responses = []
    for n in range(6):
        responses.append((await service.request(number(n))).status_code)
        await asyncio.sleep(0.1)
    assert responses[:4] == [202] * 4
    await asyncio.sleep(0.3)
    assert len(gateway.messages) == 3


async def test_tenant_cap_applies_to_all_providers(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """A tenant at its cap gets 429, whatever its providers still allow."""
    config = merged(route_through(gateway, timeout=5), {"tenants": {"demo": {"policy": {"daily_message_cap": 2}}}})
    service = await make_service(config)
    for n in range(2):
        assert (await service.request(number(n))).status_code == 202
    await wait_for_messages(gateway, 2)
    refused = await service.request(number(2))
    assert (refused.status_code, refused.json()["code"]) == (429, "spend_cap_reached")


async def test_nonblocking_cap_only_alerts(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """With `block_on_limit = false` every message is sent."""
    service = await make_service(
        with_settings(route_through(gateway, timeout=5), daily_message_cap=1, block_on_limit=False)
    )
    for n in range(3):
        assert (await service.request(number(n))).status_code == 202
    await wait_for_messages(gateway, 3)


async def test_two_replicas_keep_the_pace(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """At one message per second two replicas never send two messages within 0.8 s, and all arrive."""
    config = with_settings(route_through(gateway, timeout=5) | shared_keys(), max_per_second=1)
    services = [await make_service(config), await make_service(config)]
    await asyncio.gather(*(services[n % 2].request(number(n)) for n in range(5)))
    await wait_for_messages(gateway, 5)
    gaps = [
        (later.at - earlier.at).total_seconds()
        for earlier, later in pairwise(sorted(gateway.messages, key=lambda m: m.at))
    ]
    assert min(gaps) >= 0.8


async def test_config_error_opens_the_circuit_for_all_replicas(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """One rejected password: failover at once, and the next message goes directly to the other provider."""
    config = route_through(gateway, second, timeout=5) | shared_keys()
    service, replica = await make_service(config), await make_service(config)
    gateway.script(*[refusal(AUTHENTICATION_ERROR)] * 10)
    assert (await service.request(number(1))).status_code == 202
    await wait_for_messages(second, 1)
    assert len(gateway.requests) == 1
    assert (await replica.request(number(2))).status_code == 202
    await wait_for_messages(second, 2)
    assert len(gateway.requests) == 1


async def test_no_route_while_every_circuit_is_open(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """The caller gets 503 with a correct `Retry-After`, after which the gateway is called again."""
    service = await make_service(route_through(gateway, timeout=5))
    gateway.script(refusal(AUTHENTICATION_ERROR))
    first = (await service.request(number(1))).json()["verification_id"]
    await _wait_until_failed(service, first)
    refused = await service.request(number(2))
    assert (refused.status_code, refused.json()["code"]) == (503, "no_route")
    await service.advance(refused.json()["retry_after"] - 1)
    early = await service.request(number(2))
    assert (early.status_code, early.json().get("retry_after")) == (503, 1)
    await service.advance(1)
    assert (await service.request(number(2))).status_code == 202
    await wait_for_messages(gateway, 1)


async def _wait_until_failed(service: RunningService, verification_id: str) -> None:
    async with asyncio.timeout(5):
        while True:
            body = (await service.client.get(f"/v1/verifications/{verification_id}")).json()
            if body["deliveries"][0]["status"] == "failed":
                return
            await asyncio.sleep(0.01)
