"""Rate limits: what each one counts, its name, a correct Retry-After, and that a refusal uses none of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.api.api_requests import REQUEST_CODE, request_as_app
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_rate_limited, problem_code
from tests.running_service import NUMBER, RunningService, ServiceFactory

PROXY = "10.0.0.1"


@pytest.fixture
def numbers() -> Iterator[str]:
    """Yield numbers of Indonesia, each in another number block."""
    return (f"0812{n:04d}0001" for n in count(1000))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.10", False),
        ("203.0.113.9", "::ffff:203.0.113.9", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:DB8:1:2:0:0:0:1", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::1", "127.0.0.1", False),
    ],
)
async def test_client_ip_counts_an_address_or_a_64(
    make_service: ServiceFactory, numbers: Iterator[str], first: str, second: str, same: bool
) -> None:
    """`client_ip` counts an IPv4 address or the /64 of an IPv6 address, in any spelling."""
    service = await make_service({"limits": {"client_ip": ["1/3600"]}})
    assert (await service.request(next(numbers), client_ip=first)).status_code == 202
    second_one = await service.request(next(numbers), client_ip=second)
    if same:
        assert_rate_limited(second_one, "client_ip")
    else:
        assert second_one.status_code == 202
    assert (await service.request(next(numbers))).status_code == 202  # without an address the limit does not apply


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("198.51.100.7", None, "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        (PROXY, "203.0.113.9", "203.0.113.9"),
        (PROXY, "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (PROXY, "1.1.1.1,203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (PROXY, "2001:db8::7", "2001:db8::9"),
        (PROXY, "unknown", PROXY),
        (PROXY, "", PROXY),
        (PROXY, "10.0.0.2", "10.0.0.2"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:198.51.100.7", None, "198.51.100.7"),
    ],
)
async def test_an_app_is_counted_by_its_own_address(
    make_service: ServiceFactory, numbers: Iterator[str], peer: str, forwarded: str | None, counted: str
) -> None:
    """Without the scope `server` the peer counts, or behind a trusted proxy the forwarded address."""
    service = await make_service(
        {
            "server": {"trusted_proxies": ["10.0.0.0/8"]},
            "tenants": {"acme": tenant(api_key("app", "request"))},
            "limits": {"client_ip": ["1/3600"]},
        }
    )
    members = {} if forwarded is None else {"forwarded": forwarded}
    assert (await service.request(next(numbers), client_ip=counted)).status_code == 202
    assert_rate_limited(await request_as_app(service, next(numbers), peer, **members), "client_ip")
    assert (await request_as_app(service, next(numbers), "192.0.2.1", **members)).status_code == 202


async def test_forwarded_for_in_two_lines_is_one_list(make_service: ServiceFactory, numbers: Iterator[str]) -> None:
    """Two X-Forwarded-For lines are one list, so a proxy that adds a line hides no client."""
    service = await make_service(
        {
            "server": {"trusted_proxies": ["10.0.0.0/8"]},
            "tenants": {"acme": tenant(api_key("app", "request"))},
            "limits": {"client_ip": ["1/3600"]},
        }
    )
    client = service.caller("app", PROXY)
    answers = []
    for address in ("203.0.113.9", "203.0.113.10", "203.0.113.9"):
        headers = [("X-Forwarded-For", address), ("X-Forwarded-For", "10.0.0.2")]
        body = {"phone": next(numbers), "purpose": "login"}
        answers.append(await client.post(REQUEST_CODE, json=body, headers=headers))
    assert [problem_code(answer) for answer in answers] == ["202", "202", "rate_limited"]


@pytest.mark.parametrize(
    ("limit", "inside", "outside"),
    [
        ("prefix", "0812-1010-0056", "0812-1011-0055"),
        ("country", "0813-1010-0055", "+6591234567"),
        ("tenant", "+6591234567", None),
        ("global", "+6591234567", None),
        ("recipient", NUMBER, "0812-1010-0056"),
    ],
)
async def test_what_a_limit_counts(make_service: ServiceFactory, limit: str, inside: str, outside: str | None) -> None:
    """A reached limit refuses by its name and only what it counts; after Retry-After it allows one request."""
    config: dict[str, Any] = {
        "tenants": {
            "demo": {"policy": {"resend_cooldown_seconds": 1}},
            "acme": tenant(api_key("app", "request"), countries=["*"]),
        },
        "limits": {limit: ["2/3600"], "client_ip": []},
    }
    service = await make_service(config)
    for purpose in ("login", "registration"):
        assert (await service.request(purpose=purpose)).status_code == 202
    wait = assert_rate_limited(await service.request(inside, "password_reset"), limit)
    if outside is not None:
        assert (await service.request(outside, "password_reset")).status_code == 202
    if limit == "tenant":
        assert (await request_as_app(service, inside)).status_code == 202
    else:
        assert_rate_limited(await request_as_app(service, inside), limit)
    await service.advance(wait - 2)
    assert_rate_limited(await service.request(inside, "password_reset"), limit, 2 + 4)
    await service.advance(2)
    assert (await service.request(inside, "password_reset")).status_code == 202


async def test_every_window_of_a_limit_holds(make_service: ServiceFactory, numbers: Iterator[str]) -> None:
    """If two windows of a limit are full, Retry-After is that of the longer wait."""
    service = await make_service({"limits": {"tenant": ["1/10", "2/3600"]}})
    assert (await service.request(next(numbers))).status_code == 202
    await service.advance(assert_rate_limited(await service.request(next(numbers)), "tenant", 10))
    assert (await service.request(next(numbers))).status_code == 202
    assert_rate_limited(await service.request(next(numbers)), "tenant", 3590)


LIMITS = {
    "recipient": ["3/3600"],
    "client_ip": ["3/3600"],
    "prefix": ["3/3600"],
    "country": ["3/3600"],
    "tenant": ["3/3600"],
    "global": ["3/3600"],
}


@pytest.mark.parametrize("limit", [*LIMITS, "cooldown", "no_route"])
async def test_a_refusal_uses_no_limit(make_service: ServiceFactory, hashes: Counter[str], limit: str) -> None:
    """After 25 parallel refusals by one limit, all other limits are unchanged and no hash was made."""
    refused = {limit: ["1/3600"]} if limit in LIMITS else {}
    service = await make_service(
        {
            "limits": LIMITS | refused,
            "routes": [{"country": "SG", "providers": ["inbox"]}]
            if limit == "no_route"
            else [{"providers": ["inbox"]}],
        }
    )
    if limit != "no_route":
        assert (await service.request(client_ip="203.0.113.9")).status_code == 202
    purpose = "login" if limit in ("cooldown", "no_route") else "registration"
    before = await stored_limits(service)
    answers = await asyncio.gather(*(service.request(purpose=purpose, client_ip="203.0.113.9") for _ in range(25)))
    expected = {"cooldown": "resend_too_soon", "no_route": "no_route"}.get(limit, "rate_limited")
    found = {problem_code(answer) for answer in answers}
    assert expected in found
    assert found <= {expected, "rate_limited", "resend_too_soon"}  # another request may hold the limit for a moment
    assert await stored_limits(service) == before
    assert len(await service.store.keys("otp:*v:*")) == hashes["hash"] == (0 if limit == "no_route" else 1)


async def stored_limits(service: RunningService) -> dict[bytes, Any]:
    """Read the state of every limit and of every recipient from the store."""
    limits: dict[bytes, Any] = {}
    for key in await service.store.keys("otp:w:*"):
        limits[key] = await service.store.lrange(key, 0, -1)
    for key in await service.store.keys("otp:*r:*"):
        fields = await service.store.hgetall(key)
        limits[key] = {name: value for name, value in fields.items() if value}
    return {key: value for key, value in limits.items() if value}
