"""Which client address the rate limits count; cases from public bug reports, with their ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.api.api_requests import request_as_app
from tests.config_parts import api_key, tenant
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_one_field_error, assert_rate_limited
from tests.running_service import RunningService, ServiceFactory

PROXY = "10.0.0.1"
PROXIED: dict[str, Any] = {
    "server": {"trusted_proxies": ["10.0.0.0/8"]},
    "tenants": {"acme": tenant(api_key("app", "request"))},
    "limits": {"client_ip": ["1/3600"]},
}


@pytest.fixture
def numbers() -> Iterator[str]:
    """Yield Indonesian numbers, each of a different block."""
    return (f"0812{n:04d}0001" for n in count(1000))


SPELLINGS = [
    ("198.51.100.7:4711", "198.51.100.7:4712", "198.51.100.8:4711"),
    ("198.51.100.7", " 198.51.100.7:80 ", "198.51.100.8"),
    ('"198.51.100.7:1"', "::ffff:198.51.100.7", "198.51.100.8"),
    ("[::ffff:198.51.100.7]:443", "::ffff:198.51.100.7:443", "198.51.100.8"),
    ("[2001:db8::1]:443", "2001:db8::2", "[2001:db8:0:1::1]:443"),
    ("[2001:db8::1]", '"[2001:db8::3]"', "2001:db8:0:1::1"),
    ("2001:db8:0:0:0:0:0:1:443", "[2001:DB8::1]:5", "2001:db8:0:1::1"),
    ("fe80::1%eth0", "[fe80::2%25en0]:99", "fe80:0:0:1::1"),
]


@pytest.mark.parametrize("spelled", SPELLINGS, ids=[f"C01-{n}" for n in range(len(SPELLINGS))])
async def test_a_proxy_can_add_ports(
    make_service: ServiceFactory, numbers: Iterator[str], spelled: tuple[str, str, str]
) -> None:
    """Each client behind a proxy has its own rate limit, with ports, brackets, quotes, spaces or zones."""
    service = await make_service(PROXIED)
    first, again, other = spelled
    assert (await request_as_app(service, next(numbers), PROXY, forwarded=first)).status_code == 202
    assert_rate_limited(await request_as_app(service, next(numbers), PROXY, forwarded=again), "client_ip")
    assert (await request_as_app(service, next(numbers), PROXY, forwarded=other)).status_code == 202


@pytest.mark.parametrize("spelled", SPELLINGS, ids=[f"C03-{n}" for n in range(len(SPELLINGS))])
async def test_client_ip_can_have_a_port(
    make_service: ServiceFactory, numbers: Iterator[str], spelled: tuple[str, str, str]
) -> None:
    """`client_ip` is parsed like a proxy's hop: a port, brackets or a leading space are accepted."""
    service = await make_service(PROXIED)
    first, again, other = spelled
    assert (await service.request(next(numbers), client_ip=first)).status_code == 202
    assert_rate_limited(await service.request(next(numbers), client_ip=again), "client_ip")
    assert (await service.request(next(numbers), client_ip=other)).status_code == 202


NO_ADDRESSES = [
    "",
    " ",
    "nowhere",
    "203.0.113.9:",
    "203.0.113.9:x",
    "203.0.113.9:123456",
    "[203.0.113.9]",
    "[::1",
    "::1]",
    "[::1]x",
    "203.0.113.9/32",
    "203.0.113.9, 203.0.113.8",
    ":80",
    "[]:80",
    "2001:db8:0:0:0:0:0:0:1:443",
]


@pytest.mark.parametrize("text", NO_ADDRESSES, ids=[f"C03-no-{n}" for n in range(len(NO_ADDRESSES))])
async def test_an_invalid_address_is_rejected(service: RunningService, text: str) -> None:
    """An invalid `client_ip` gets 400 with a pointer to the member."""
    assert assert_one_field_error(await service.request(client_ip=text))[0] == "/client_ip"


@pytest.mark.parametrize(
    "hop", ["unknown", "_hidden", "", "x" * 3000, "1.2.3.4:x", "1.2.3"], ids=lambda hop: f"C01-{hop[:9]}"
)
async def test_an_unreadable_hop_bypasses_no_limit(
    make_service: ServiceFactory, numbers: Iterator[str], hop: str
) -> None:
    """If a hop cannot be parsed, the proxy that added it is counted."""
    service = await make_service(PROXIED)
    assert (
        await request_as_app(service, next(numbers), PROXY, forwarded=f"203.0.113.1, {hop or 'a b'}")
    ).status_code == 202
    assert_rate_limited(
        await request_as_app(service, next(numbers), PROXY, forwarded=f"203.0.113.2, {hop or 'a b'}"), "client_ip"
    )
    assert_rate_limited(await request_as_app(service, next(numbers), PROXY), "client_ip")


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        pytest.param("1.1.1.1, 203.0.113.9", "203.0.113.9", id="C04-forged"),
        pytest.param("203.0.113.9, 10.0.0.7:443", "203.0.113.9", id="C04-chain"),
        pytest.param("::ffff:203.0.113.9", "203.0.113.9", id="C04-mapped"),
        pytest.param("2001:db8::7", "2001:db8::9", id="C04-64"),
        pytest.param("9.9.9.9, " * 6000 + "203.0.113.9", "203.0.113.9", id="C04-many"),
    ],
)
async def test_the_last_untrusted_hop_counts(
    make_service: ServiceFactory, numbers: Iterator[str], forwarded: str, counted: str
) -> None:
    """Forged hops before it have no effect; IPv4-mapped IPv6 equals IPv4, and an IPv6 /64 is one client."""
    service = await make_service(PROXIED)
    assert (await service.request(next(numbers), client_ip=counted)).status_code == 202
    assert_rate_limited(await request_as_app(service, next(numbers), PROXY, forwarded=forwarded), "client_ip")


@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8"]], ids=["C05-none", "C05-others"])
async def test_an_untrusted_forwarded_address_is_logged_once(
    make_service: ServiceFactory, numbers: Iterator[str], trusted: list[str]
) -> None:
    """The peer counts, and one log line names its network: behind such a proxy, all users share one limit."""
    service = await make_service(PROXIED | {"server": {"trusted_proxies": trusted}})
    with captured_logs() as logged:
        assert (await request_as_app(service, next(numbers), "172.16.5.9", forwarded="203.0.113.9")).status_code == 202
        assert_rate_limited(
            await request_as_app(service, next(numbers), "172.16.5.9", forwarded="203.0.113.8"), "client_ip"
        )
        assert (
            await request_as_app(service, next(numbers), "198.51.100.7", forwarded="203.0.113.9")
        ).status_code == 202
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    [warning] = [line for line in lines if line["event"] == "forwarded_for_ignored"]
    assert (warning["level"], warning["peer_network"]) == ("warning", "172.16.0.0/16")
    assert "172.16.5.9" not in logged.getvalue() and "203.0.113" not in logged.getvalue()


async def test_a_trusted_proxy_causes_no_warning(make_service: ServiceFactory, numbers: Iterator[str]) -> None:
    """Neither a trusted proxy nor a request without the header causes a warning."""
    service = await make_service(PROXIED)
    with captured_logs() as logged:
        await request_as_app(service, next(numbers), PROXY, forwarded="203.0.113.9")
        await request_as_app(service, next(numbers), "198.51.100.7")
    assert "forwarded_for_ignored" not in logged.getvalue()
