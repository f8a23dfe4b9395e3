"""Publishable API keys: what they may not do, their own limits, and what their answers leave out."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.api.api_requests import NORMALIZE_PHONE, REQUEST_BODY, REQUEST_CODE, UNKNOWN_ID, VERIFICATIONS, VERIFY_CODE
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_problem, assert_rate_limited, problem_code
from tests.running_service import E164, RunningService, ServiceFactory

APP = api_key("app", "request", "verify", publishable=True)
OTHER_APP = api_key("other-app", "request", "verify", publishable=True)
PLAIN_APP = api_key("plain-app", "request", "verify")
BACKEND = api_key("backend", "request", "verify", "read", "server")


def config(**limits: list[str]) -> dict[str, Any]:
    """Return a config with two publishable keys, one of a plain app and one of a backend."""
    return {"tenants": {"acme": tenant(APP, OTHER_APP, PLAIN_APP, BACKEND)}, "limits": limits}


async def request(
    service: RunningService, key: str, n: int, address: str = "198.51.100.7", **members: Any
) -> httpx.Response:
    """Request a code for the nth number with a key from an address."""
    body = {"phone": f"+62812{n:07d}", "purpose": "login", **members}
    return await service.caller(key, address).post(REQUEST_CODE, json=body)


@pytest.mark.parametrize("member", [{"client_ip": "203.0.113.9"}, {"decoy": True}, {"link": "https://a.example"}])
async def test_members_that_need_a_secret_key(make_service: ServiceFactory, member: dict[str, Any]) -> None:
    """`client_ip`, `decoy` and `link` are refused."""
    service = await make_service(config())
    assert_problem(await request(service, "app", 1, **member), 403, "scope_missing")


async def test_a_publishable_key_reads_nothing(make_service: ServiceFactory) -> None:
    """The state of a verification, also of its own, is refused."""
    service = await make_service(config())
    verification_id = (await request(service, "app", 1)).json()["verification_id"]
    for one in (verification_id, UNKNOWN_ID):
        assert_problem(await service.caller("app").get(VERIFICATIONS + one), 403, "scope_missing")


async def test_the_address_limit_is_exact(make_service: ServiceFactory) -> None:
    """Of 30 parallel requests from one address, with two publishable keys, exactly 5 pass by default."""
    service = await make_service(config(client_ip=[]))
    calls = [request(service, ("app", "other-app")[n % 2], n) for n in range(30)]
    answers = await asyncio.gather(*calls)
    assert Counter(map(problem_code, answers)) == {"202": 5, "rate_limited": 25}
    for answer in answers:
        if answer.status_code != 202:
            assert_rate_limited(answer, "publishable_client_ip")
    assert (await request(service, "app", 40, "198.51.100.8")).status_code == 202
    assert (await request(service, "plain-app", 41)).status_code == 202
    assert (await request(service, "backend", 42)).status_code == 202
    await service.advance(3600)
    assert (await request(service, "app", 43)).status_code == 202


async def test_ipv6_addresses_count_by_their_network(make_service: ServiceFactory) -> None:
    """Addresses of one /64 are one address."""
    service = await make_service(config(publishable_client_ip=["1/3600"]))
    assert (await request(service, "app", 1, "2001:db8::1")).status_code == 202
    assert_rate_limited(await request(service, "app", 2, "2001:db8::2"), "publishable_client_ip")
    assert (await request(service, "app", 3, "2001:db8:0:1::1")).status_code == 202


async def test_the_total_of_a_key_is_exact(make_service: ServiceFactory) -> None:
    """Of 30 parallel requests from 30 addresses with one key, exactly 7 pass; the other key has its own total."""
    service = await make_service(config(publishable_key=["7/3600"]))
    answers = await asyncio.gather(*(request(service, "app", n, f"198.51.100.{n}") for n in range(30)))
    assert Counter(map(problem_code, answers)) == {"202": 7, "rate_limited": 23}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert_rate_limited(refused, "publishable_key")
    assert (await request(service, "other-app", 40)).status_code == 202
    assert (await request(service, "plain-app", 41)).status_code == 202


async def test_a_denied_request_takes_from_no_limit(make_service: ServiceFactory) -> None:
    """Requests that the total of the key denies leave the limit of their address as it was."""
    service = await make_service(config(publishable_key=["1/60"], publishable_client_ip=["2/3600"]))
    assert (await request(service, "app", 1)).status_code == 202
    for n in range(5):
        assert_rate_limited(await request(service, "app", 2 + n), "publishable_key", 60)
    await service.advance(60)
    assert (await request(service, "app", 9)).status_code == 202


async def test_callers_without_an_address_share_one_count(make_service: ServiceFactory) -> None:
    """On a Unix socket, where the address is not known, the limits of an address hold for all callers together."""
    service = await make_service(config(publishable_client_ip=["1/3600"], publishable_verify_ip=["1/3600"]))
    transport = httpx.ASGITransport(app=service.app, client=None)  # type: ignore[arg-type]  # as for a Unix socket
    headers = {"Authorization": "Bearer app"}
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
        assert (await client.post(REQUEST_CODE, json=REQUEST_BODY)).status_code == 202
        assert_rate_limited(await client.post(REQUEST_CODE, json=REQUEST_BODY), "publishable_client_ip")
        attempt = {"verification_id": UNKNOWN_ID, "code": "123456"}
        assert_problem(await client.post(VERIFY_CODE, json=attempt), 404, "verification_unknown")
        assert_rate_limited(await client.post(VERIFY_CODE, json=attempt), "publishable_verify_ip")


async def test_codes_from_one_address_are_limited(make_service: ServiceFactory) -> None:
    """Of 40 parallel attempts from one address, the 25 of the default are compared; other keys are not affected."""
    service = await make_service(config(verify_ip=[]))
    attempt = {"verification_id": UNKNOWN_ID, "code": "123456"}
    app = service.caller("app", "198.51.100.7")
    answers = await asyncio.gather(*(app.post(VERIFY_CODE, json=attempt) for _ in range(40)))
    assert Counter(map(problem_code, answers)) == {"verification_unknown": 25, "rate_limited": 15}
    plain = await service.caller("plain-app", "198.51.100.7").post(VERIFY_CODE, json=attempt)
    assert_problem(plain, 404, "verification_unknown")


async def test_any_key_of_the_tenant_verifies(make_service: ServiceFactory) -> None:
    """A verification that an app started is verified by the backend, and one of the backend by the app."""
    service = await make_service(config())
    for n, (starting, verifying) in enumerate((("app", "backend"), ("backend", "app"), ("app", "other-app"))):
        verification_id = (await request(service, starting, n)).json()["verification_id"]
        body = {"verification_id": verification_id, "code": await service.code_of(verification_id)}
        answer = await service.caller(verifying).post(VERIFY_CODE, json=body)
        assert (answer.status_code, answer.json()["status"]) == (200, "verified")


async def test_deliveries_are_not_shown(make_service: ServiceFactory) -> None:
    """An app that cancels its verification does not learn which providers were used; the backend does."""
    service = await make_service(config())
    for key, shown in (("app", False), ("backend", True)):
        verification_id = (await request(service, key, 1 + shown)).json()["verification_id"]
        await service.code_of(verification_id)
        body = (await service.caller(key).delete(VERIFICATIONS + verification_id)).json()
        assert body["status"] == "canceled"
        assert bool(body["deliveries"]) is shown
        assert ("inbox" in str(body)) is shown


async def test_idempotency_keys_of_an_app_are_apart(make_service: ServiceFactory) -> None:
    """Under the key of a backend's request, an app gets neither its answer nor a conflict; its own key is replayed."""
    service = await make_service(config(publishable_client_ip=["9/60"]))
    headers = {"Idempotency-Key": "order-17"}
    ids = []
    for key in ("backend", "plain-app", "app", "app", "other-app"):
        answer = await service.caller(key).post(REQUEST_CODE, json=REQUEST_BODY, headers=headers)
        ids.append(answer.json().get("verification_id", answer.json().get("code")))
        await service.advance(30)
    assert ids[0] == ids[1] != ids[2] == ids[3] != ids[4]
    assert "idempotency_mismatch" not in ids
    other = {**REQUEST_BODY, "phone": "0812-1010-0066"}
    answer = await service.caller("other-app").post(REQUEST_CODE, json=other, headers={"Idempotency-Key": "order-18"})
    assert answer.status_code == 202
    answer = await service.caller("backend").post(
        REQUEST_CODE, json=REQUEST_BODY, headers={"Idempotency-Key": "order-18"}
    )
    assert answer.status_code == 202


async def test_other_calls_of_an_app(make_service: ServiceFactory) -> None:
    """A publishable key may normalize a number, as every key may."""
    service = await make_service(config())
    answer = await service.caller("app").post(NORMALIZE_PHONE, json={"phone": E164})
    assert answer.json()["e164"] == E164


async def test_nothing_of_the_limits_is_readable(make_service: ServiceFactory) -> None:
    """The store holds neither the address nor the id of a publishable key, and every key has a TTL."""
    service = await make_service(config())
    assert (await request(service, "app", 1)).status_code == 202
    keys = [key async for key in service.store.scan_iter("*")]
    assert not [key for key in keys if b"198.51.100" in key or b"acme/app" in key]
    limits = [key for key in keys if b"publishable" in key]
    assert len(limits) == 2
    assert all([0 < await service.store.pttl(key) <= 3_600_000 for key in limits])
