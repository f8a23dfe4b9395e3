"""From the 202 to the gateway: messages are sent at once, and rejections fail over."""

from __future__ import annotations

import asyncio
import time

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Slow
from tests.delivery.gateway_config import route_through
from tests.message_waits import (
    POLL_ROUNDS_SECONDS,
    code_in,
    read_deliveries,
    text_of_request,
    wait_for_deliveries,
    wait_for_message,
)
from tests.running_service import E164, NUMBER, ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until


async def test_code_arrives_within_a_second_and_verifies(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """The 202 does not wait for the gateway, and the message waits for nothing else."""
    service = await make_service(route_through(gateway))
    started = time.monotonic()
    response = await service.request()
    message = await wait_for_message(gateway, seconds=1.0)

    assert time.monotonic() - started < 1.0
    verification_id = response.json()["verification_id"]
    assert "+" + message.to == E164
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert (await service.verify(verification_id, code_in(message.text))).status_code == 200
    assert len(gateway.requests) == 1


async def test_statuses_during_delivery(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """GET shows `queued` or `sending` until the gateway responds, then `sent`."""
    gateway.script(Slow(0.3))
    service = await make_service(route_through(gateway))
    response = await service.request()
    verification_id = response.json()["verification_id"]

    assert [d["status"] for d in await read_deliveries(service, verification_id)] in (["queued"], ["sending"])
    await wait_until(lambda: len(gateway.requests) == 1)
    assert [d["status"] for d in await read_deliveries(service, verification_id)] == ["sending"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})


async def test_decoy_is_not_sent(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """A decoy has no deliveries, and the gateway receives nothing."""
    service = await make_service(route_through(gateway))
    response = await service.request(decoy=True)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert await read_deliveries(service, response.json()["verification_id"]) == []
    assert gateway.requests == []


@pytest.mark.parametrize("status", [-1, -3, -10, -12, -27])
async def test_rejection_fails_over_with_same_code_at_once(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, status: int
) -> None:
    """The second gateway has the message within a second, with the code that the first one rejected."""
    gateway.always = refusal(status)
    service = await make_service(route_through(gateway, second))
    started = time.monotonic()
    response = await service.request()
    message = await wait_for_message(second, seconds=1.0)

    assert time.monotonic() - started < 1.0
    assert code_in(message.text) == code_in(text_of_request(gateway.requests[0]))
    verification_id = response.json()["verification_id"]
    assert (await service.verify(verification_id, code_in(message.text))).status_code == 200
    assert (len(gateway.requests), len(second.requests)) == (1, 1)


async def test_failover_from_unreachable_gateway(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """GET shows both deliveries, the oldest first, the failed one with its error."""
    await gateway.close()
    service = await make_service(route_through(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_message(second, seconds=1.0)

    await wait_for_deliveries(service, verification_id, {"first": ("failed", "transient"), "second": ("sent", None)})
    assert [d["provider"] for d in await read_deliveries(service, verification_id)] == ["first", "second"]


@pytest.mark.parametrize(("status", "error"), [(-9, "recipient_invalid"), (-28, "throttled")])
async def test_rejected_recipient_does_not_fail_over(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, status: int, error: str
) -> None:
    """The error is shown, no other provider is called, and the sealed code is deleted."""
    gateway.always = refusal(status)
    service = await make_service(route_through(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]

    await wait_for_deliveries(service, verification_id, {"first": ("failed", error)})
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert (len(gateway.requests), second.requests) == (1, [])
    assert not await has_sealed_message(service, verification_id)


async def test_fails_when_all_providers_reject(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Each delivery has its own error, and no provider is called twice."""
    gateway.always, second.always = refusal(-1), refusal(-10)
    service = await make_service(route_through(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]

    await wait_for_deliveries(
        service, verification_id, {"first": ("failed", "config_error"), "second": ("failed", "funds")}
    )
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert (len(gateway.requests), len(second.requests)) == (1, 1)


@pytest.mark.parametrize(("resend", "kept"), [("rotate", False), ("reuse", True)])
async def test_sealed_code_after_acceptance(
    make_service: ServiceFactory, gateway: EimsSimulator, resend: str, kept: bool
) -> None:
    """`rotate` deletes the code and makes a new one; `reuse` keeps it sealed and sends it again."""
    policy = {"resend": resend, "resend_cooldown_seconds": 30}
    service = await make_service(route_through(gateway) | {"tenants": {"demo": {"policy": policy}}})
    older = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, older, {"first": ("sent", None)})
    assert await has_sealed_message(service, older) is kept

    await service.advance(31)
    newer = (await service.request()).json()["verification_id"]
    codes = [code_in((await wait_for_message(gateway, number)).text) for number in (1, 2)]
    assert (codes[0] == codes[1]) is kept
    assert (await service.verify(older, codes[0])).json()["code"] == "verification_superseded"
    assert (await service.verify(newer, codes[1])).status_code == 200
    assert not await has_sealed_message(service, newer)


async def test_each_number_gets_its_own_code(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Also with many parallel requests."""
    service = await make_service(route_through(gateway))
    numbers = [f"{NUMBER[:-2]}{suffix}" for suffix in range(10, 40)]
    responses = await asyncio.gather(*(service.request(number) for number in numbers))
    await wait_for_message(gateway, len(numbers))

    codes = {message.to: code_in(message.text) for message in gateway.messages}
    for number, response in zip(numbers, responses, strict=True):
        to = "62" + number.replace("-", "")[1:]
        assert (await service.verify(response.json()["verification_id"], codes[to])).status_code == 200
