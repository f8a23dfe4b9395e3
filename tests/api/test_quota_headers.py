"""The RateLimit headers: which quotas a caller is told, that they parse, and what they must not show."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from otp_service.sandbox.dev_config import API_KEY
from tests.api.api_requests import REQUEST_CODE, VERIFY_CODE, request_as_app
from tests.config_parts import api_key, demo_policy, tenant
from tests.problem_assertions import assert_problem, assert_rate_limited
from tests.running_service import E164, NUMBER, RunningService, ServiceFactory
from tests.structured_fields import FieldItem, parse_quota_list

DEFAULTS = {
    "cooldown": {"q": 1, "w": 30},
    "max_sends": {"q": 5},
    "recipient": {"q": 5, "w": 3600},
    "recipient_86400": {"q": 10, "w": 86400},
    "prefix": {"q": 100, "w": 3600},
}
"""The advertised policies of the default config, for a request without an address."""


def policies(response: httpx.Response) -> dict[str, dict[str, int]]:
    """Return the parsed `RateLimit-Policy`, after checks that hold for every one."""
    [line] = response.headers.get_list("ratelimit-policy")
    items = parse_quota_list(line)
    assert len({item.value for item in items}) == len(items)
    for item in items:
        assert item.parameters.keys() <= {"q", "w"}
        assert item.parameters.keys() >= {"q"}
    return {item.value: item.parameters for item in items}


def states(response: httpx.Response) -> dict[str, dict[str, int]]:
    """Return the parsed `RateLimit`; each of its items belongs to no recipient by name."""
    lines = response.headers.get_list("ratelimit")
    items = [item for line in lines for item in parse_quota_list(line)]
    assert len({item.value for item in items}) == len(items)
    return {item.value: item.parameters for item in items}


async def test_a_request_is_told_its_policies_and_its_own_quotas(service: RunningService) -> None:
    """A 202 has the configured policies, and the sends that are left in the caller's own chain."""
    response = await service.request()
    assert policies(response) == DEFAULTS
    assert states(response) == {"max_sends": {"r": 4}}
    assert "ratelimit" not in (await service.client.get("/livez")).headers


async def test_a_server_is_not_told_what_is_left_of_shared_limits(make_service: ServiceFactory) -> None:
    """What another tenant has sent to a number, from an address or in all changes nothing in a 202."""
    limits = {"recipient": ["9/3600"], "client_ip": ["9/3600"], "country": ["99/3600"], "global": ["99/3600"]}
    service = await make_service({"tenants": {"acme": tenant(api_key("other", "request", "server"))}, "limits": limits})
    members = {"client_ip": "203.0.113.9", "phone": NUMBER, "purpose": "login"}
    alone = await service.request("0812-1010-0077", client_ip="203.0.113.77")
    assert (await service.caller("other").post(REQUEST_CODE, json=members)).status_code == 202
    after_another = await service.client.post(REQUEST_CODE, json=members)

    assert after_another.status_code == 202
    for name in ("ratelimit", "ratelimit-policy"):
        assert alone.headers[name] == after_another.headers[name]
    assert policies(alone).keys() == {"cooldown", "max_sends", "recipient", "client_ip", "prefix"}


async def test_the_quota_of_the_tenant_is_told(make_service: ServiceFactory) -> None:
    """The tenant's own limit is told window by window: what is left, and when there is more."""
    service = await make_service({"limits": {"tenant": ["3/60", "100/3600"], "client_ip": []}})
    left = [states(await service.request(f"0812-1010-00{n}")) for n in (11, 12)]
    assert [found["tenant"]["r"] for found in left] == [2, 1]
    assert [found["tenant_3600"]["r"] for found in left] == [99, 98]
    assert all(59 <= found["tenant"]["t"] <= 60 and 3599 <= found["tenant_3600"]["t"] <= 3600 for found in left)
    await service.advance(59)
    assert states(await service.request("0812-1010-0013"))["tenant"] == {"r": 0, "t": 1}
    denied = await service.request("0812-1010-0014")
    assert_rate_limited(denied, "tenant", 1)
    assert states(denied) == {"tenant": {"r": 0, "t": 1}}


async def test_an_app_is_told_the_quota_of_its_own_address(make_service: ServiceFactory) -> None:
    """An app is told what is left of `client_ip`, and nothing of its tenant; a server that names an address is not."""
    limits = {"client_ip": ["3/3600"], "tenant": ["50/3600"]}
    service = await make_service({"tenants": {"acme": tenant(api_key("app", "request"))}, "limits": limits})
    assert "tenant" not in policies(await request_as_app(service, "0812-1010-0010", "198.51.100.8"))
    assert "tenant" not in states(await request_as_app(service, "0812-1010-0019", "198.51.100.8"))
    found = [states(await request_as_app(service, f"0812-1010-00{n}"))["client_ip"] for n in (11, 12, 13)]
    assert [item["r"] for item in found] == [2, 1, 0]
    assert "client_ip" not in states(await service.request("0812-1010-0014", client_ip="203.0.113.9"))


async def test_a_decoy_has_the_same_headers(make_service: ServiceFactory) -> None:
    """Neither header tells a decoy from a real request, admitted or denied."""
    service = await make_service(demo_policy(resend_cooldown_seconds=3600) | {"limits": {"tenant": ["9/3600"]}})
    for status, left in ((202, [8, 7]), (429, [None, None])):
        answers = [await service.request(f"0812-1010-00{n}", decoy=n == 12) for n in (11, 12)]
        assert [answer.status_code for answer in answers] == [status, status]
        told = [states(answer) for answer in answers]
        assert [found.pop("tenant", {}).get("r") for found in told] == left
        for found in told:
            assert found.pop("cooldown", {"r": 0})["r"] == 0  # its seconds may differ
        assert (told[0], policies(answers[0])) == (told[1], policies(answers[1]))


async def test_nothing_of_the_last_send_stops_other_recipients(make_service: ServiceFactory) -> None:
    """A 202 never tells that a quota of one recipient is used up: a client would pace all its requests by it."""
    service = await make_service(demo_policy(max_sends=1))
    response = await service.request()
    assert response.json()["sends_left"] == 0
    assert states(response) == {}
    assert policies(response)["max_sends"] == {"q": 1}


async def test_every_violated_policy_of_a_denial_is_named(make_service: ServiceFactory) -> None:
    """A 429 names all quotas that are used up, with their waits; Retry-After is the longest, and names its limit."""
    config = demo_policy(resend_cooldown_seconds=40, max_sends=1, ttl_seconds=300)
    limits = {"recipient": ["1/60", "1/7200"], "country": ["1/3600"], "tenant": ["1/90"]}
    service = await make_service(config | {"limits": limits})
    await service.request_code()
    response = await service.request()
    assert assert_rate_limited(response, "recipient", 7200) == 7200
    told = states(response)
    assert {name: item["r"] for name, item in told.items()} == dict.fromkeys(
        ("cooldown", "max_sends", "recipient", "recipient_7200", "country", "tenant"), 0
    )
    waits = {name: item["t"] for name, item in told.items()}
    for name, most in {"cooldown": 40, "max_sends": 300, "recipient": 60, "country": 3600, "tenant": 90}.items():
        assert most - 2 <= waits[name] <= most
    assert response.json()["violated-policies"][0] == "recipient_7200"
    assert "country" not in policies(response)


async def test_a_cooldown_names_its_policy(service: RunningService) -> None:
    """`resend_too_soon` is a quota of one send in the cooldown; its problem type stays the service's own."""
    await service.request()
    response = await service.request()
    body = assert_problem(response, 429, "resend_too_soon")
    assert body["violated-policies"] == ["cooldown"]
    assert body["type"] == "urn:otp-service:problem:resend_too_soon"
    assert states(response) == {"cooldown": {"r": 0, "t": body["retry_after"]}}


async def test_locks_name_the_limit_of_wrong_codes(make_service: ServiceFactory) -> None:
    """Both endpoints name `recipient_failures` while its windows lock; a wait after exhausted codes is no quota."""
    service = await make_service(
        demo_policy(max_attempts=2, lockout_seconds=100) | {"limits": {"recipient_failures": ["3/3600"]}}
    )
    first, code = await service.request_code()
    for _ in range(2):
        await service.verify(first, service.wrong_code(code))
    waiting = await service.request()
    assert_problem(waiting, 429, "recipient_locked")
    assert states(waiting) == {}
    assert policies(waiting) == {"recipient_failures": {"q": 3, "w": 3600}}
    await service.advance(100)
    second, code = await service.request_code()
    await service.verify(second, service.wrong_code(code))
    for response in (await service.verify(second, code), await service.request()):
        assert_problem(response, 429, "recipient_locked")
        assert states(response).keys() == {"recipient_failures"}


async def test_an_address_at_its_limit_of_codes_is_told_it(make_service: ServiceFactory) -> None:
    """`verify_ip` is told with its denial, to a key without the scope `server`."""
    service = await make_service(
        {"tenants": {"acme": tenant(api_key("app", "verify"))}, "limits": {"verify_ip": ["1/600", "9/3600"]}}
    )
    attempt = {"verification_id": "A" * 23, "code": "123456"}
    client = service.caller("app", "198.51.100.7")
    assert "ratelimit" not in (await client.post(VERIFY_CODE, json=attempt)).headers
    response = await client.post(VERIFY_CODE, json=attempt)
    assert_rate_limited(response, "verify_ip", 600)
    assert states(response).keys() == {"verify_ip"}
    assert policies(response) == {"verify_ip": {"q": 1, "w": 600}, "verify_ip_3600": {"q": 9, "w": 3600}}


async def test_a_replay_has_the_headers_of_its_answer(make_service: ServiceFactory) -> None:
    """A repeated request under an Idempotency-Key is told the same policies and the sends left of its answer."""
    service = await make_service(demo_policy(resend_cooldown_seconds=1))
    sent: Any = {"json": {"phone": NUMBER, "purpose": "login"}, "headers": {"Idempotency-Key": "k"}}
    first = await service.client.post(REQUEST_CODE, **sent)
    await service.advance(1)
    await service.request()
    again = await service.client.post(REQUEST_CODE, **sent)
    assert first.json() == again.json()
    assert policies(first) == policies(again)
    assert states(first) == states(again) == {"max_sends": {"r": 4}}


async def test_no_header_names_a_recipient_or_a_partition(make_service: ServiceFactory) -> None:
    """No response has a partition key, or any digits of the number in its headers."""
    service = await make_service({"limits": {"tenant": ["9/60"], "client_ip": ["9/60"]}})
    for response in (await service.request(client_ip="203.0.113.9"), await service.request()):
        text = response.headers["ratelimit"] + response.headers["ratelimit-policy"]
        assert "pk" not in text
        assert not any(part in text for part in (E164[3:9], "203.0", API_KEY))


def test_the_strict_parser_refuses_what_is_no_list() -> None:
    """The parser of these tests accepts the draft's examples, and refuses a malformed list."""
    assert parse_quota_list('"burst";q=100;w=60,"daily";q=1000;w=86400') == [
        FieldItem("burst", {"q": 100, "w": 60}),
        FieldItem("daily", {"q": 1000, "w": 86400}),
    ]
    assert parse_quota_list('"a"\t,  "b\\"";r=0') == [FieldItem("a", {}), FieldItem('b"', {"r": 0})]
    for text in ("", '"a";r=1,', ',"a"', '"a";r', '"a" ;r=1', '"a";R=1', '"é";r=1', '"a";r=1;r=2', "a;r=1"):
        with pytest.raises(ValueError, match=" "):
            parse_quota_list(text)
