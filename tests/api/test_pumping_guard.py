"""The guard over HTTP: what it denies, what it counts, and what it must not change."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.config_parts import demo_policy, shared_keys
from tests.log_capture import captured_logs
from tests.running_service import RunningService, ServiceFactory
from tests.waits import wait_until

LIMIT = 10
NO_LIMITS: dict[str, Any] = {"limits": {"prefix": [], "client_ip": []}}


def guard(mode: str, **rules: Any) -> dict[str, Any]:
    """Return a config with the guard in a mode, and without the limits that would deny first."""
    return {"guard": {"mode": mode, "unverified_block": 1000, **rules}, **NO_LIMITS}


def in_block(number: int) -> str:
    """Return a number of one block."""
    return f"0812-1010-{number:04d}"


async def test_the_eleventh_number_of_a_block_is_denied(make_service: ServiceFactory) -> None:
    """429 with the limit `guard`; no message, and nothing is taken from any other limit of the number."""
    service = await make_service(guard("deny"))
    for number in range(LIMIT):
        assert (await service.request(in_block(number))).status_code == 202
    denied = await service.request(in_block(LIMIT))
    again = await service.request(in_block(LIMIT))

    assert (denied.status_code, denied.json()["code"], denied.json()["limit"]) == (429, "rate_limited", "guard")
    assert denied.json()["violated-policies"] == ["guard"]
    assert int(denied.headers["Retry-After"]) == denied.json()["retry_after"] >= 1
    assert (again.status_code, again.json()["limit"]) == (429, "guard")  # no cooldown was taken
    await wait_until(lambda: len(service.inbox.messages()) == LIMIT)
    assert (await service.request(in_block(0), purpose="registration")).status_code == 202  # not a new number


async def test_the_block_is_open_again_after_the_window(make_service: ServiceFactory) -> None:
    """Denied requests do not count, so the lock lasts for one window at most."""
    service = await make_service(guard("deny", unverified_block=1000, burst=1000, quiet_burst=1000))
    for number in range(LIMIT):
        await service.request(in_block(number))
    for number in range(LIMIT, 40):
        assert (await service.request(in_block(number))).status_code == 429
    await service.advance(3601)

    assert (await service.request(in_block(40))).status_code == 202


async def test_exactly_as_many_pass_as_the_limit_allows(make_service: ServiceFactory) -> None:
    """Of 60 parallel requests at three replicas, ten are admitted."""
    replicas = [await make_service({**guard("deny"), **shared_keys()}) for _ in range(3)]
    responses = await asyncio.gather(*(replicas[number % 3].request(in_block(number)) for number in range(60)))
    statuses = [response.status_code for response in responses]

    assert (statuses.count(202), statuses.count(429)) == (LIMIT, 50)
    assert {response.json()["limit"] for response in responses if response.status_code == 429} == {"guard"}


async def test_a_verified_number_is_known_and_not_denied(make_service: ServiceFactory) -> None:
    """An attack on its block does not lock out a person who has verified a code before."""
    service = await make_service(guard("deny"))
    verification_id, code = await service.request_code(in_block(999))
    assert (await service.verify(verification_id, code)).status_code == 200
    await wait_until_known(service)
    for number in range(LIMIT + 1):
        last = await service.request(in_block(number))
    assert last.status_code == 429

    assert (await service.request(in_block(999), purpose="registration")).status_code == 202


async def wait_until_known(service: RunningService) -> None:
    """Wait until a verification is counted."""
    async with asyncio.timeout(5):
        while not [key async for key in service.store.scan_iter("otp:{gd:*}:k*")]:
            await asyncio.sleep(0.01)


async def test_many_numbers_of_one_address_are_denied(make_service: ServiceFactory) -> None:
    """Eleven numbers without a verified code from one IPv4 address, or from one /64, wherever the numbers are."""
    service = await make_service(guard("deny", burst=1000, unverified_area=1000, quiet_burst=1000))
    for family, addresses in enumerate((["203.0.113.9"], [f"2001:db8::{number:x}" for number in range(1, 60)])):
        for number in range(LIMIT + 1):
            phone = f"0812-{family}{number:03d}-0001"
            response = await service.request(phone, client_ip=addresses[number % len(addresses)])
            assert response.status_code == (202 if number < LIMIT else 429)
    other = await service.request("0812-2000-0001", client_ip="2001:db8:0:1::1")

    assert other.status_code == 202


async def test_verified_codes_free_an_address(make_service: ServiceFactory) -> None:
    """People behind one address who enter their codes are not denied, however many they are."""
    service = await make_service(guard("deny"))
    for number in range(LIMIT + 3):
        verification_id, code = await service.request_code(f"0812-{number:04d}-0001", client_ip="203.0.113.9")
        assert (await service.verify(verification_id, code)).status_code == 200
        if number >= LIMIT - 1:
            await wait_until_address_is_free(service)


async def wait_until_address_is_free(service: RunningService) -> None:
    """Wait until no address has a number without a verified code."""
    async with asyncio.timeout(5):
        while [key async for key in service.store.scan_iter("otp:ga:*")]:
            await asyncio.sleep(0.01)


async def test_a_spread_attack_on_a_new_country_is_denied(make_service: ServiceFactory) -> None:
    """Numbers of different blocks without verifications: at a usual conversion of 0.6, fifty pass within minutes."""
    service = await make_service(guard("deny", unverified_area=1000, quiet_burst=1000))
    statuses = [(await service.request(f"0812-{number:04d}-0001")).status_code for number in range(52)]

    assert statuses == [202] * 50 + [429] * 2


async def test_observing_changes_no_answer(make_service: ServiceFactory) -> None:
    """The same requests get equal answers with the guard off and observing; the decisions are recorded and logged."""
    answers = []
    for mode in ("off", "observe"):
        service = await make_service(guard(mode))
        await service.store.flushall()
        with captured_logs() as log:
            responses = [await service.request(in_block(number)) for number in range(LIMIT + 2)]
        members = ("status", "code_length", "expires_in", "resend_in", "attempts_left", "sends_left", "phone")
        answers.append([(one.status_code, [one.json()[name] for name in members]) for one in responses])
        keys = [key async for key in service.store.scan_iter("otp:{gd:*")]
        assert bool(keys) == (mode == "observe")
    lines = map(json.loads, log.getvalue().splitlines())
    found = [line for line in lines if line["event"] == "guard_triggered"]

    assert answers[0] == answers[1]
    assert [(line["mode"], line["denied"], line["area"]) for line in found[:1]] == [("observe", False, "+62812")]
    assert found[-1]["sequence_block_numbers"] == LIMIT + 1
    await wait_until_recorded(service)


async def wait_until_recorded(service: RunningService) -> None:
    """Wait until decisions are in the list that operators read."""
    async with asyncio.timeout(5):
        while not await service.store.llen("otp:gl"):
            await asyncio.sleep(0.01)


async def test_a_decoy_is_answered_like_any_other_request(make_service: ServiceFactory) -> None:
    """The eleventh number is denied also if all are decoys, or some; but no decoy counts as a message."""
    for decoys in ((True,) * 11, (True, False) * 5 + (True,), (False,) * 10 + (True,)):
        service = await make_service(guard("deny"))
        await service.store.flushall()
        statuses = [
            (await service.request(in_block(number), decoy=decoy)).status_code for number, decoy in enumerate(decoys)
        ]
        assert statuses == [202] * 10 + [429]
        sent = sum([int(value) async for value in field_values(service, "snc")])
        assert sent == decoys[:10].count(False) * 3  # minute, hour and day


async def field_values(service: RunningService, field: str) -> Any:
    """Yield the values of a field in all buckets of Indonesia."""
    for span in "mhd":
        async for key in service.store.scan_iter(f"otp:{{gd:ID}}:{span}*"):
            if (value := await service.store.hget(key, field)) is not None:
                yield value


async def test_a_request_that_ends_otherwise_leaves_no_count(make_service: ServiceFactory) -> None:
    """A cooldown, another limit and a missing route release what the guard has counted."""
    service = await make_service({**guard("deny"), "routes": [{"country": "SG", "providers": ["inbox"]}]})
    assert (await service.request("+65 8123 4567")).status_code == 202
    assert (await service.request("+65 8123 4567")).json()["code"] == "resend_too_soon"
    assert (await service.request()).json()["code"] == "no_route"

    assert [value async for value in field_values(service, "snc")] == []
    assert [int(await service.store.hget(key, "snc")) async for key in service.store.scan_iter("otp:{gd:SG}:d*")] == [1]


async def test_a_tenant_has_a_mode_of_its_own(make_service: ServiceFactory) -> None:
    """`[tenants.x.policy] guard` overrides `[guard] mode`, in both directions."""
    off = await make_service({**guard("deny"), **demo_policy(guard="off")})
    statuses = {(await off.request(in_block(number))).status_code for number in range(LIMIT + 1)}
    assert statuses == {202}
    assert [key async for key in off.store.scan_iter("otp:{gd:*")] == []

    on = await make_service({**guard("off"), **demo_policy(guard="deny")})
    denied = [(await on.request(in_block(100 + number))).status_code for number in range(LIMIT + 1)]
    assert denied[-1] == 429


async def test_a_breaker_opens_lets_probes_through_and_closes_again(make_service: ServiceFactory) -> None:
    """Without verifications the country stops; a verified probe opens it again."""
    breaker = {"sends": 20, "conversion": 0.2, "open_seconds": 600, "probe_seconds": 60, "probes": 1}
    rules = {"burst": 1000, "quiet_burst": 1000, "unverified_area": 1000}
    service = await make_service(guard("deny", breaker=breaker, **rules))
    for number in range(21):
        assert (await service.request(f"0812-{number:04d}-0001")).status_code == 202
    await service.advance(200)  # nothing is pending any more
    stopped = await service.request("0812-3000-0001")
    assert (stopped.status_code, stopped.json()["limit"]) == (429, "guard")
    await service.advance(61)
    verification_id, code = await service.request_code("0812-3000-0002")
    assert (await service.request("0812-3000-0003")).status_code == 429
    assert (await service.verify(verification_id, code)).status_code == 200
    await wait_until_known(service)
    await asyncio.sleep(0.1)

    assert (await service.request("0812-3000-0004")).status_code == 202
    assert (await service.request("0812-3000-0005")).status_code == 202


async def test_every_key_expires(make_service: ServiceFactory) -> None:
    """After counts, verifications and decisions, no key of the guard is without a TTL, and none holds a number."""
    service = await make_service(guard("deny"))
    verification_id, code = await service.request_code(in_block(1), client_ip="203.0.113.9")
    await service.verify(verification_id, code)
    for number in range(LIMIT + 2):
        await service.request(in_block(number), client_ip="203.0.113.9")
    await wait_until_known(service)
    await wait_until_recorded(service)
    keys = [key async for key in service.store.scan_iter("otp:g*")]
    keys += [key async for key in service.store.scan_iter("otp:{gd*")]

    kinds = {key.decode().split("}:")[-1][:1] for key in keys if b"{gd:ID}" in key}
    assert kinds == {"m", "h", "d", "q", "b", "k"}
    assert all([await service.store.ttl(key) > 0 for key in keys])
    content = b"".join([await service.store.dump(key) for key in keys]) + b"".join(keys)
    assert b"1010" not in content
    assert b"203.0.113" not in content


@pytest.mark.parametrize("phone", ["+870 773111632", "+882 16 10123456", "+1 900 555 0100", "0809 123 4567"])
async def test_expensive_numbers_are_refused_before_the_guard(make_service: ServiceFactory, phone: str) -> None:
    """Satellite, international network and premium numbers reach neither a provider nor the guard's counts."""
    service = await make_service(guard("deny"))
    response = await service.request(phone)

    assert response.json()["code"] in ("phone_invalid", "phone_not_mobile", "country_not_allowed")
    assert [key async for key in service.store.scan_iter("otp:{gd:*")] == []
    assert service.inbox.messages() == []
