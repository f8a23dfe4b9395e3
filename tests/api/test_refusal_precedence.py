"""The order of judgement: of two things that are wrong with a request, the earlier one is told."""

from __future__ import annotations

import base64
import json
from itertools import combinations
from typing import Any

import httpx
import pytest

from tests.api.api_requests import BODY, BY_ID, JSON, NORMALIZE, REQUEST, UNKNOWN, UNLOCK, VERIFY, bearer
from tests.config_parts import api_key, tenant
from tests.problem_assertions import outcome, problem
from tests.running_service import World, WorldMaker

ORDER = {
    "size": "body_too_large",
    "media type": "media_type_unsupported",
    "key": "key_missing",
    "body": "request_malformed",
    "scope": "scope_missing",
    "purpose": "purpose_not_allowed",
    "number": "phone_not_mobile",
    "country": "country_not_allowed",
    "lock": "recipient_locked",
    "limits": "rate_limited",
    "route": "no_route",
}

SPENT = "203.0.113.9"
LOCKED, FOREIGN, UNSERVED_LOCKED, UNSERVED = "0812-1010-0055", "+6591234567", "+60123456789", "+60123456780"

LOOSE: dict[str, Any] = {
    "keys": {"k1": base64.b64encode(bytes(32)).decode(), "current": "k1", "index": "k1"},
    "tenants": {
        "acme": tenant(api_key("acme", "request", "verify", "server"), api_key("weak", "read"), countries=["*"])
    },
    "limits": {"recipient_failures": ["1/86400"], "client_ip": ["3/3600"]},
}
STRICT: dict[str, Any] = LOOSE | {
    "tenants": {"acme": LOOSE["tenants"]["acme"] | {"countries": ["ID", "MY"]}},
    "routes": [{"country": "ID", "providers": ["inbox"]}, {"country": "SG", "providers": ["inbox"]}],
}


async def prepared(make_world: WorldMaker) -> World:
    """Lock three numbers and use up an address, while it is still allowed; then be strict on the same store."""
    world = await make_world(LOOSE)
    world.client = world.caller("acme")
    for phone in (LOCKED, FOREIGN, UNSERVED_LOCKED):
        verification_id, code = await world.requested(phone, client_ip=SPENT)
        await world.verify(verification_id, world.wrong(code))
    strict = await make_world(STRICT)
    strict.client = strict.caller("acme")
    return strict


def phone_with(wrongs: set[str]) -> str:
    """Choose a number that is wrong in all these ways."""
    match "number" in wrongs, "country" in wrongs, "lock" in wrongs, "route" in wrongs:
        case True, foreign, _, _:
            return "+442079460958" if foreign else "0215551234"
        case _, True, _, _:
            return FOREIGN
        case _, _, locked, True:
            return UNSERVED_LOCKED if locked else UNSERVED
        case _:
            return LOCKED if "lock" in wrongs else "0812-1010-0066"


async def sent(world: World, wrongs: set[str]) -> httpx.Response:
    """Send a request that is wrong in all these ways and in no other."""
    body: dict[str, Any] = {"phone": phone_with(wrongs), "purpose": "payment" if "purpose" in wrongs else "login"}
    if "limits" in wrongs:
        body["client_ip"] = SPENT
    if "body" in wrongs:
        body["stranger"] = 1
    headers = bearer("weak" if "scope" in wrongs else "acme") if "key" not in wrongs else {}
    headers["Content-Type"] = "text/plain" if "media type" in wrongs else "application/json"
    content = json.dumps(body) + (" " * 70_000 if "size" in wrongs else "")
    return await world.caller(None).post(REQUEST, content=content.encode(), headers=headers)


async def test_the_earlier_mistake_is_told(make_world: WorldMaker) -> None:
    """For each pair of mistakes, and for each mistake with everything after it, the earlier one is told."""
    world = await prepared(make_world)
    names = list(ORDER)
    mixtures = [{name} for name in names]
    mixtures += [set(pair) for pair in combinations(names, 2)]
    mixtures += [set(names[at:]) for at in range(len(names))]
    for wrongs in mixtures:
        first = min(wrongs, key=names.index)
        assert outcome(await sent(world, wrongs)) == ORDER[first], wrongs
    assert (await sent(world, set())).status_code == 202


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
async def test_every_member_is_judged_before_a_scope(
    make_world: WorldMaker, members: dict[str, Any], code: str
) -> None:
    """What is malformed is told before the scope is missed that it would need."""
    world = await make_world({"tenants": {"acme": tenant(api_key("app", "request"))}})
    response = await world.caller("app").post(REQUEST, json={**BODY, **members})
    assert outcome(response) == code


async def test_the_order_of_verify_code(make_world: WorldMaker) -> None:
    """Size, media type, key, body, scope, and only then whether there is such a verification."""
    world = await make_world({"tenants": {"acme": tenant(api_key("weak", "request", "read"))}})
    weak, nobody = world.caller("weak"), world.caller(None)
    bad, unknown = {"verification_id": UNKNOWN, "code": "12"}, {"verification_id": UNKNOWN, "code": "123456"}
    problem(await nobody.post(VERIFY, content=b" " * 70_000), 413, "body_too_large")
    problem(await nobody.post(VERIFY, content=b"{"), 415, "media_type_unsupported")
    problem(await nobody.post(VERIFY, content=b"{", headers=JSON), 401, "key_missing")
    problem(await world.caller("no-such-key").post(VERIFY, content=b"{", headers=JSON), 401, "key_invalid")
    problem(await weak.post(VERIFY, json=bad), 400, "request_malformed", "errors")
    problem(await weak.post(VERIFY, json=unknown), 403, "scope_missing")
    problem(await world.client.post(VERIFY, json=bad), 400, "request_malformed", "errors")
    problem(await world.client.post(VERIFY, json=unknown), 404, "verification_unknown")


async def test_unlock_order(make_world: WorldMaker) -> None:
    """Size, media type, key, body, country, scope, and the number last."""
    world = await make_world({"tenants": {"acme": tenant(api_key("weak", "request", "verify", "read", "server"))}})
    weak, nobody = world.caller("weak"), world.caller(None)
    bad, country, number = {"phone": ""}, {"phone": "x", "country": "XX"}, {"phone": "123"}
    problem(await nobody.post(UNLOCK, content=b" " * 70_000), 413, "body_too_large")
    problem(await nobody.post(UNLOCK, content=b"{"), 415, "media_type_unsupported")
    problem(await nobody.post(UNLOCK, content=b"{", headers=JSON), 401, "key_missing")
    problem(await world.caller("no-such-key").post(UNLOCK, content=b"{", headers=JSON), 401, "key_invalid")
    for body in (bad, country, {**number, "stranger": 1}, {}):
        problem(await weak.post(UNLOCK, json=body), 400, "request_malformed", "errors")
    problem(await weak.post(UNLOCK, json=number), 403, "scope_missing")
    problem(await world.client.post(UNLOCK, json=number), 422, "phone_invalid")


async def test_the_order_of_the_other_routes(make_world: WorldMaker) -> None:
    """Key, scope, then the verification; normalize-phone takes any key, but needs one."""
    world = await make_world({"tenants": {"acme": tenant(api_key("none", "admin"))}})
    for method in ("GET", "DELETE"):
        path = BY_ID + UNKNOWN
        problem(await world.caller(None).request(method, path), 401, "key_missing")
        problem(await world.caller("x").request(method, path), 401, "key_invalid")
        problem(await world.caller("none").request(method, path), 403, "scope_missing")
        problem(await world.client.request(method, path), 404, "verification_unknown")
    problem(await world.caller(None).post(NORMALIZE, json={}), 401, "key_missing")
    problem(await world.caller("none").post(NORMALIZE, json={}), 400, "request_malformed", "errors")
    assert (await world.caller("none").post(NORMALIZE, json={"phone": "081210100055"})).status_code == 200


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
async def test_what_a_scope_allows(make_world: WorldMaker, scopes: list[str], allowed: set[str]) -> None:
    """Every scope opens what the contract says and nothing else."""
    world = await make_world({"tenants": {"acme": tenant(api_key("key", *scopes))}})
    client = world.caller("key")
    calls = {
        "request": client.post(REQUEST, json=BODY),
        "decoy": client.post(REQUEST, json={**BODY, "decoy": True}),
        "client_ip": client.post(REQUEST, json={**BODY, "client_ip": "2001:db8::1"}),
        "verify": client.post(VERIFY, json={"verification_id": UNKNOWN, "code": "123456"}),
        "read": client.get(BY_ID + UNKNOWN),
        "cancel": client.delete(BY_ID + UNKNOWN),
        "normalize": client.post(NORMALIZE, json={"phone": "081210100055"}),
        "unlock": client.post(UNLOCK, json={"phone": "081210100055"}),
    }
    assert {name for name, call in calls.items() if (await call).status_code != 403} == allowed
