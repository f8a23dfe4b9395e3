"""The order of checks: of two errors in a request the earlier one is reported."""

from __future__ import annotations

import base64
import json
from itertools import combinations
from typing import Any

import httpx
import pytest

from tests.api.api_requests import (
    JSON_HEADERS,
    NORMALIZE_PHONE,
    REQUEST_BODY,
    REQUEST_CODE,
    UNKNOWN_ID,
    UNLOCK_RECIPIENT,
    VERIFICATIONS,
    VERIFY_CODE,
    bearer_header,
)
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_problem, problem_code
from tests.running_service import RunningService, ServiceFactory

ORDER = {
    "size": "body_too_large",
    "media type": "media_type_unsupported",
    "key": "key_missing",
    "body": "request_malformed",
    "scope": "scope_missing",
    "purpose": "purpose_not_allowed",
    "channel": "channel_not_allowed",
    "number": "phone_not_mobile",
    "country": "country_not_allowed",
    "lock": "recipient_locked",
    "limits": "rate_limited",
    "route": "no_route",
}

USED_UP_ADDRESS = "203.0.113.9"
LOCKED, FOREIGN, UNSERVED_LOCKED, UNSERVED = "0812-1010-0055", "+6591234567", "+60123456789", "+60123456780"

LENIENT: dict[str, Any] = {
    "keys": {"k1": base64.b64encode(bytes(32)).decode(), "current": "k1", "index": "k1"},
    "tenants": {
        "acme": tenant(api_key("acme", "request", "verify", "server"), api_key("weak", "read"), countries=["*"])
    },
    "limits": {"recipient_failures": ["1/86400"], "client_ip": ["3/3600"]},
}
STRICT: dict[str, Any] = LENIENT | {
    "tenants": {"acme": LENIENT["tenants"]["acme"] | {"countries": ["ID", "MY"]}},
    "routes": [{"country": "ID", "providers": ["inbox"]}, {"country": "SG", "providers": ["inbox"]}],
}


async def prepared(make_service: ServiceFactory) -> RunningService:
    """Lock three numbers and use up the limit of an address, then start a strict service on the same store."""
    service = await make_service(LENIENT)
    service.client = service.caller("acme")
    for phone in (LOCKED, FOREIGN, UNSERVED_LOCKED):
        verification_id, code = await service.request_code(phone, client_ip=USED_UP_ADDRESS)
        await service.verify(verification_id, service.wrong_code(code))
    strict = await make_service(STRICT)
    strict.client = strict.caller("acme")
    return strict


def phone_with(errors: set[str]) -> str:
    """Return a number that has all of these errors."""
    match "number" in errors, "country" in errors, "lock" in errors, "route" in errors:
        case True, foreign, _, _:
            return "+442079460958" if foreign else "0215551234"
        case _, True, _, _:
            return FOREIGN
        case _, _, locked, True:
            return UNSERVED_LOCKED if locked else UNSERVED
        case _:
            return LOCKED if "lock" in errors else "0812-1010-0066"


async def sent(service: RunningService, errors: set[str]) -> httpx.Response:
    """Send a request that has exactly these errors."""
    body: dict[str, Any] = {"phone": phone_with(errors), "purpose": "payment" if "purpose" in errors else "login"}
    if "channel" in errors:
        body["channel"] = "voice"
    if "limits" in errors:
        body["client_ip"] = USED_UP_ADDRESS
    if "body" in errors:
        body["unknown_member"] = 1
    headers = bearer_header("weak" if "scope" in errors else "acme") if "key" not in errors else {}
    headers["Content-Type"] = "text/plain" if "media type" in errors else "application/json"
    content = json.dumps(body) + (" " * 70_000 if "size" in errors else "")
    return await service.caller(None).post(REQUEST_CODE, content=content.encode(), headers=headers)


async def test_the_earlier_error_is_reported(make_service: ServiceFactory) -> None:
    """For each pair of errors, and for each error with all later ones, the earlier one is reported."""
    service = await prepared(make_service)
    names = list(ORDER)
    error_sets = [{name} for name in names]
    error_sets += [set(pair) for pair in combinations(names, 2)]
    error_sets += [set(names[at:]) for at in range(len(names))]
    for errors in error_sets:
        first = min(errors, key=names.index)
        assert problem_code(await sent(service, errors)) == ORDER[first], errors
    assert (await sent(service, set())).status_code == 202


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"client_ip": "nowhere"}, "request_malformed"),
        ({"country": "ZZ"}, "request_malformed"),
        ({"decoy": 1}, "request_malformed"),
        ({"decoy": True, "purpose": "payment"}, "scope_missing"),
        ({"client_ip": "203.0.113.9", "phone": "1"}, "scope_missing"),
        ({"decoy": False, "purpose": "payment"}, "purpose_not_allowed"),
    ],
)
async def test_members_are_checked_before_scopes(
    make_service: ServiceFactory, members: dict[str, Any], code: str
) -> None:
    """A malformed member is reported before the missing scope that it would need."""
    service = await make_service({"tenants": {"acme": tenant(api_key("app", "request"))}})
    response = await service.caller("app").post(REQUEST_CODE, json={**REQUEST_BODY, **members})
    assert problem_code(response) == code


async def test_the_order_of_verify_code(make_service: ServiceFactory) -> None:
    """verify-code checks size, media type, key, body and scope before it looks for the verification."""
    service = await make_service({"tenants": {"acme": tenant(api_key("weak", "request", "read"))}})
    weak, keyless = service.caller("weak"), service.caller(None)
    bad, unknown = {"verification_id": UNKNOWN_ID, "code": "12"}, {"verification_id": UNKNOWN_ID, "code": "123456"}
    assert_problem(await keyless.post(VERIFY_CODE, content=b" " * 70_000), 413, "body_too_large")
    assert_problem(await keyless.post(VERIFY_CODE, content=b"{"), 415, "media_type_unsupported")
    assert_problem(await keyless.post(VERIFY_CODE, content=b"{", headers=JSON_HEADERS), 401, "key_missing")
    assert_problem(
        await service.caller("no-such-key").post(VERIFY_CODE, content=b"{", headers=JSON_HEADERS), 401, "key_invalid"
    )
    assert_problem(await weak.post(VERIFY_CODE, json=bad), 400, "request_malformed", "errors")
    assert_problem(await weak.post(VERIFY_CODE, json=unknown), 403, "scope_missing")
    assert_problem(await service.client.post(VERIFY_CODE, json=bad), 400, "request_malformed", "errors")
    assert_problem(await service.client.post(VERIFY_CODE, json=unknown), 404, "verification_unknown")


async def test_unlock_order(make_service: ServiceFactory) -> None:
    """The endpoint unlock checks size, media type, key, body, country and scope before the number."""
    service = await make_service({"tenants": {"acme": tenant(api_key("weak", "request", "verify", "read", "server"))}})
    weak, keyless = service.caller("weak"), service.caller(None)
    bad, country, number = {"phone": ""}, {"phone": "x", "country": "XX"}, {"phone": "123"}
    assert_problem(await keyless.post(UNLOCK_RECIPIENT, content=b" " * 70_000), 413, "body_too_large")
    assert_problem(await keyless.post(UNLOCK_RECIPIENT, content=b"{"), 415, "media_type_unsupported")
    assert_problem(await keyless.post(UNLOCK_RECIPIENT, content=b"{", headers=JSON_HEADERS), 401, "key_missing")
    assert_problem(
        await service.caller("no-such-key").post(UNLOCK_RECIPIENT, content=b"{", headers=JSON_HEADERS),
        401,
        "key_invalid",
    )
    for body in (bad, country, {**number, "unknown_member": 1}, {}):
        assert_problem(await weak.post(UNLOCK_RECIPIENT, json=body), 400, "request_malformed", "errors")
    assert_problem(await weak.post(UNLOCK_RECIPIENT, json=number), 403, "scope_missing")
    assert_problem(await service.client.post(UNLOCK_RECIPIENT, json=number), 422, "phone_invalid")


async def test_the_order_of_the_other_routes(make_service: ServiceFactory) -> None:
    """The other endpoints check key and scope first; normalize-phone accepts any key."""
    service = await make_service({"tenants": {"acme": tenant(api_key("none", "admin"))}})
    for method in ("GET", "DELETE"):
        path = VERIFICATIONS + UNKNOWN_ID
        assert_problem(await service.caller(None).request(method, path), 401, "key_missing")
        assert_problem(await service.caller("x").request(method, path), 401, "key_invalid")
        assert_problem(await service.caller("none").request(method, path), 403, "scope_missing")
        assert_problem(await service.client.request(method, path), 404, "verification_unknown")
    assert_problem(await service.caller(None).post(NORMALIZE_PHONE, json={}), 401, "key_missing")
    assert_problem(await service.caller("none").post(NORMALIZE_PHONE, json={}), 400, "request_malformed", "errors")
    assert (await service.caller("none").post(NORMALIZE_PHONE, json={"phone": "081210100055"})).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["request"], {"request", "cancel", "normalize"}),
        (["verify"], {"verify", "normalize"}),
        (["read"], {"read", "normalize"}),
        (["server"], {"normalize"}),
        (["admin"], {"normalize", "unlock"}),
        (["request", "server"], {"request", "cancel", "normalize", "decoy", "client_ip"}),
    ],
)
async def test_what_a_scope_allows(make_service: ServiceFactory, scopes: list[str], allowed: set[str]) -> None:
    """Every scope allows what the contract lists, and nothing else."""
    service = await make_service({"tenants": {"acme": tenant(api_key("key", *scopes))}})
    client = service.caller("key")
    calls = {
        "request": client.post(REQUEST_CODE, json=REQUEST_BODY),
        "decoy": client.post(REQUEST_CODE, json={**REQUEST_BODY, "decoy": True}),
        "client_ip": client.post(REQUEST_CODE, json={**REQUEST_BODY, "client_ip": "2001:db8::1"}),
        "verify": client.post(VERIFY_CODE, json={"verification_id": UNKNOWN_ID, "code": "123456"}),
        "read": client.get(VERIFICATIONS + UNKNOWN_ID),
        "cancel": client.delete(VERIFICATIONS + UNKNOWN_ID),
        "normalize": client.post(NORMALIZE_PHONE, json={"phone": "081210100055"}),
        "unlock": client.post(UNLOCK_RECIPIENT, json={"phone": "081210100055"}),
    }
    assert {name for name, call in calls.items() if (await call).status_code != 403} == allowed
