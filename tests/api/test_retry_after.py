"""`Retry-After` is right to the second: a second earlier the request is denied, at that time it is accepted.

The clock of the store stands still and is moved by the tests. The waits that follow from load or from a store that does
not answer (`overloaded`, `store_unavailable`) are estimates, so they are not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from otp_service.store.scripts import override_clock
from tests.api.api_requests import VERIFICATIONS, VERIFY_CODE, request_as_app
from tests.config_parts import api_key, demo_policy, tenant
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory
from tests.store.replica_store import NOW_KEY, STILL_CLOCK

Ask = Callable[[], Awaitable[httpx.Response]]
Prepare = Callable[[RunningService], Awaitable[Ask]]

DAY_MS = 86_400_000
EVENING_MS = 40_000 * DAY_MS + DAY_MS - 7_200_000 + 123
"""Two hours and some milliseconds before a midnight of UTC, in the future: no key expires by the real time."""

DENIED = {429, 503}


@pytest.fixture(autouse=True)
def _still_clock() -> Iterator[None]:
    with override_clock(STILL_CLOCK):
        yield


@pytest.fixture
async def make_still_service(make_service: ServiceFactory) -> ServiceFactory:
    """Start services whose clock is at `EVENING_MS`, whatever the real time is."""
    await make_service.store.set(NOW_KEY, EVENING_MS)
    return make_service


async def move(service: RunningService, seconds: float) -> None:
    """Move the clock."""
    await service.store.incrby(NOW_KEY, round(seconds * 1000))


async def assert_right_to_the_second(service: RunningService, ask: Ask, wait: int) -> None:
    """Assert that `ask` is denied a second before `wait` seconds have passed, and not denied after them."""
    assert wait >= 2
    await move(service, wait - 1)
    early = await ask()
    assert early.status_code in DENIED, early.text
    assert early.json()["retry_after"] == 1
    await move(service, 1)
    assert (await ask()).status_code not in DENIED


async def same_number(service: RunningService) -> Ask:
    """A second code for a number, 0.6 seconds after the first one."""
    await service.request_code()
    await move(service, 0.6)
    return service.request


async def other_purpose(service: RunningService) -> Ask:
    """A second code for a number, for another purpose."""
    await service.request_code()
    await move(service, 0.6)
    return lambda: service.request(purpose="registration")


async def same_block(service: RunningService) -> Ask:
    """A code for another number of the block and the country, from the same address."""
    await service.request_code(client_ip="203.0.113.9")
    await move(service, 0.6)
    return lambda: service.request("0812-1010-0066", client_ip="203.0.113.9")


async def same_domain(service: RunningService) -> Ask:
    """A code for another address of the domain."""
    await service.request_code(email="ann@example.com")
    await move(service, 0.6)
    return lambda: service.request(email="bob@example.com")


async def wrong_codes(service: RunningService) -> Ask:
    """A code for a number with two wrong ones."""
    verification_id, code = await service.request_code()
    for _ in range(2):
        await service.verify(verification_id, service.wrong_code(code))
        await move(service, 0.3)
    return service.request


async def verify_after_wrong_codes(service: RunningService) -> Ask:
    """A wrong code of a verification whose number is locked by the codes of another one."""
    pending, other = await service.request_code(purpose="registration")
    await wrong_codes(service)
    return lambda: service.verify(pending, service.wrong_code(other))


async def message_charged(service: RunningService) -> Ask:
    """A code after the one message that the cap of the day allows."""
    verification_id, _ = await service.request_code()
    async with asyncio.timeout(5):
        while (await service.client.get(VERIFICATIONS + verification_id)).json()["deliveries"][0]["status"] != "sent":
            await asyncio.sleep(0.005)
    await move(service, 0.6)
    return lambda: service.request("0812-1010-0066")


TWO_WRONG: dict[str, Any] = {"limits": {"recipient_failures": ["2/3600"]}}
CASES: list[tuple[str, dict[str, Any], Prepare, str]] = [
    ("cooldown", demo_policy(resend_cooldown_seconds=40), same_number, "resend_too_soon"),
    ("max_sends", demo_policy(max_sends=1, resend_cooldown_seconds=1, ttl_seconds=90), same_number, "rate_limited"),
    ("recipient", {"limits": {"recipient": ["1/100"]}}, other_purpose, "rate_limited"),
    ("recipient, 2nd window", {"limits": {"recipient": ["5/60", "1/100"]}}, other_purpose, "rate_limited"),
    ("client_ip", {"limits": {"client_ip": ["1/100"]}}, same_block, "rate_limited"),
    ("prefix", {"limits": {"prefix": ["1/100"]}}, same_block, "rate_limited"),
    ("country", {"limits": {"country": ["1/100"]}}, same_block, "rate_limited"),
    ("tenant", {"limits": {"tenant": ["1/100"]}}, same_block, "rate_limited"),
    ("global", {"limits": {"global": ["1/100"]}}, same_block, "rate_limited"),
    ("email_domain", {"limits": {"email_domain": ["1/100"]}}, same_domain, "rate_limited"),
    ("several limits", {"limits": {"recipient": ["1/90"], "tenant": ["1/200"]}}, other_purpose, "rate_limited"),
    ("lock", demo_policy(max_attempts=5) | TWO_WRONG, wrong_codes, "recipient_locked"),
    (
        "lock and sends",
        {"limits": {"recipient_failures": ["2/3600"], "recipient": ["1/7200"]}},
        wrong_codes,
        "recipient_locked",
    ),
    (
        "lock and another limit",
        {"limits": {"recipient_failures": ["2/3600"], "tenant": ["1/7200"]}},
        wrong_codes,
        "recipient_locked",
    ),
    ("wait after exhausted attempts", demo_policy(max_attempts=2, lockout_seconds=70), wrong_codes, "recipient_locked"),
    (
        "wait and cooldown",
        demo_policy(max_attempts=2, lockout_seconds=70, resend_cooldown_seconds=200),
        wrong_codes,
        "recipient_locked",
    ),
    (
        "lock at verify-code",
        {"limits": {"recipient_failures": ["1/900"]}},
        verify_after_wrong_codes,
        "recipient_locked",
    ),
    ("cap of the tenant", demo_policy(daily_message_cap=1), message_charged, "spend_cap_reached"),
    ("cap of a country", {"countries": {"ID": {"daily_message_cap": 1}}}, message_charged, "spend_cap_reached"),
    (
        "cap of a provider",
        {"providers": {"inbox": {"type": "inbox", "daily_message_cap": 1}}},
        message_charged,
        "spend_cap_reached",
    ),
]


@pytest.mark.parametrize(("config", "prepare", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_a_denial_ends_when_it_says(
    make_still_service: ServiceFactory, config: dict[str, Any], prepare: Prepare, code: str
) -> None:
    """Every wait that follows from a clock is exact, rounded up, and the same in the header and in the body."""
    service = await make_still_service(config)
    ask = await prepare(service)
    response = await ask()
    body = response.json()
    assert (response.status_code, body["code"]) == (429, code)
    assert response.headers["retry-after"] == str(body["retry_after"])
    await assert_right_to_the_second(service, ask, body["retry_after"])


async def test_verify_ip_ends_when_it_says(make_still_service: ServiceFactory) -> None:
    """The limit of codes from one address."""
    service = await make_still_service(
        {"tenants": {"acme": tenant(api_key("app", "verify"))}, "limits": {"verify_ip": ["1/100"]}}
    )
    client = service.caller("app", "198.51.100.7")
    attempt = {"verification_id": "A" * 23, "code": "123456"}
    await client.post(VERIFY_CODE, json=attempt)
    await move(service, 0.6)

    async def ask() -> httpx.Response:
        return await client.post(VERIFY_CODE, json=attempt)

    await assert_right_to_the_second(service, ask, (await ask()).json()["retry_after"])


@pytest.mark.parametrize("cooldown", [30, 300], ids=["the wait is longer", "the cooldown is longer"])
async def test_exhausted_attempts_name_the_next_code(make_still_service: ServiceFactory, cooldown: int) -> None:
    """`attempts_exhausted` names the second at which request-code is accepted for the number."""
    service = await make_still_service(
        demo_policy(max_attempts=2, resend_cooldown_seconds=cooldown, lockout_seconds=70, ttl_seconds=600)
    )
    ask = await wrong_codes(service)
    verification_id = service.inbox.messages()[0].id
    wait = assert_problem(await service.verify(verification_id, "000000"), 429, "attempts_exhausted")["retry_after"]
    await assert_right_to_the_second(service, ask, wait)


async def test_an_app_and_a_number_wait_for_the_longer_one(make_still_service: ServiceFactory) -> None:
    """A number in its cooldown from an address at its limit names the longer wait, whichever limit that is."""
    service = await make_still_service(
        {"tenants": {"acme": tenant(api_key("app", "request"))}, "limits": {"client_ip": ["1/100"]}}
    )

    async def ask() -> httpx.Response:
        return await request_as_app(service, "0812-1010-0011")

    assert (await ask()).status_code == 202
    body = assert_problem(await ask(), 429, "rate_limited", "limit")
    assert (body["limit"], body["retry_after"]) == ("client_ip", 100)
    await assert_right_to_the_second(service, ask, 100)
