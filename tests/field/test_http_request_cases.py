"""What people in the field ran into between a caller and us; a test's id is the case's."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.api.api_requests import BODY, BY_ID, JSON, NORMALIZE, REQUEST, UNKNOWN, VERIFY
from tests.problem_assertions import outcome, pointed, problem
from tests.running_service import E164, NUMBER, World


async def raw(world: World, path: str, *headers: tuple[str, str], body: Any = None) -> httpx.Response:
    """Call with exactly these headers, also doubled ones."""
    sent = [("Content-Type", "application/json"), *headers]
    return await world.caller(None).post(path, content=json.dumps(body or BODY).encode(), headers=sent)


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        pytest.param(VERIFY, {"verification_id": UNKNOWN + "\n", "code": "123456"}, "/verification_id", id="B17"),
        pytest.param(REQUEST, {"phone": NUMBER, "purpose": "login\n"}, "/purpose", id="B17-purpose"),
        pytest.param(NORMALIZE, {"phone": NUMBER, "country": "ID\n"}, "/country", id="B17-country"),
        pytest.param(REQUEST, {**BODY, "channel": "sms\n"}, "/channel", id="B17-channel"),
        pytest.param(REQUEST, {**BODY, "country": "id"}, "/country", id="C30-country"),
        pytest.param(REQUEST, {**BODY, "purpose": "LOGIN"}, "/purpose", id="C30-purpose"),
        pytest.param(REQUEST, {**BODY, "channel": "SMS"}, "/channel", id="C30-channel"),
        pytest.param(REQUEST, {**BODY, "clientIp": "203.0.113.9"}, "/clientIp", id="C30-clientIp"),
        pytest.param(REQUEST, {"phone_number": NUMBER, "purpose": "login"}, "/phone_number", id="C30-phone_number"),
        pytest.param(REQUEST, {**BODY, "decoy": "true"}, "/decoy", id="C30-decoy"),
    ],
)
async def test_a_member_of_the_wrong_form_is_named(world: World, path: str, body: Any, pointer: str) -> None:
    """A newline at the end, the wrong case or another spelling of a name is 400 at the member, in plain words."""
    assert pointed(await world.client.post(path, json=body))[0] == pointer


TAKEN = [
    "application/json; charset=utf-8",
    "application/json ;charset=UTF-8",
    "Application/JSON",
    "application/json; charset=utf8",
    "application/json; version=1",
    "application/json; odata=verbose",
    'application/json; charset="utf-8"; x=y',
]


@pytest.mark.parametrize("media_type", TAKEN, ids=[f"C0{6 if n < 3 else 7}-{n}" for n in range(len(TAKEN))])
async def test_parameters_of_the_media_type_mean_nothing(world: World, media_type: str) -> None:
    """JSON is UTF-8 whatever a charset says (RFC 8259, 11)."""
    body = json.dumps({"phone": NUMBER}).encode()
    response = await world.client.post(NORMALIZE, content=body, headers={"Content-Type": media_type})
    assert response.json()["e164"] == E164


@pytest.mark.parametrize("path", [pytest.param(path, id=f"C09-{path[4:]}") for path in (REQUEST, VERIFY, NORMALIZE)])
async def test_a_bom_is_passed_over(world: World, path: str) -> None:
    """Some writers put it in front of the body."""
    verification_id, code = await world.requested("0812-1010-0056")
    bodies: dict[str, Any] = {VERIFY: {"verification_id": verification_id, "code": code}, NORMALIZE: {"phone": NUMBER}}
    body = json.dumps(bodies.get(path, BODY)).encode("utf-8-sig")
    assert (await world.client.post(path, content=body, headers=JSON)).status_code in (200, 202)


@pytest.mark.parametrize(
    "coding",
    [
        pytest.param(coding, id=f"C10-{coding}")
        for coding in ("gzip", "x-gzip", "br", "deflate", "GZIP", "identity, gzip")
    ],
)
async def test_a_coding_is_refused_with_what_is_taken(world: World, coding: str) -> None:
    """A compressed body is 415, and the reply says which coding would do (RFC 9110, 15.5.16)."""
    body = gzip.compress(json.dumps(BODY).encode())
    response = await world.client.post(REQUEST, content=body, headers={**JSON, "Content-Encoding": coding})
    problem(response, 415, "media_type_unsupported")
    assert response.headers["accept-encoding"] == "identity"
    plain = await world.client.post(REQUEST, json=BODY, headers={"Content-Encoding": "Identity"})
    assert plain.status_code == 202


@pytest.mark.parametrize(
    "keys", [("x", "dev-key"), ("dev-key", "x"), ("dev-key", "dev-key")], ids=lambda keys: f"C16-{'-'.join(keys)}"
)
async def test_two_keys_are_none(world: World, keys: tuple[str, str]) -> None:
    """Two layers might read two of them: 400, also when they are the same, and after the media type."""
    lines = [("Authorization", f"Bearer {key}") for key in keys]
    for path in (REQUEST, VERIFY, NORMALIZE):
        assert "authorization" in pointed(await raw(world, path, *lines))[1]
    assert "authorization" in pointed(await world.caller(None).get(BY_ID + UNKNOWN, headers=lines))[1]
    plain = [*lines, ("Content-Type", "text/plain")]
    problem(await world.caller(None).post(REQUEST, content=b"{}", headers=plain), 415, "media_type_unsupported")
    assert await world.store.keys("otp:*v:*") == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=f"C16-{name}") for name in ("Idempotency-Key", "Content-Type", "Content-Encoding")]
)
async def test_two_of_another_header_that_counts(world: World, name: str) -> None:
    """What decides about an answer is said once; nothing is sent otherwise."""
    value = {"Idempotency-Key": "a", "Content-Type": "application/json", "Content-Encoding": "identity"}[name]
    key = ("Authorization", "Bearer dev-key")
    doubled = [(name, value)] * (1 if name == "Content-Type" else 2)
    assert name.lower() in pointed(await raw(world, REQUEST, key, *doubled))[1]
    assert (await raw(world, REQUEST, key)).status_code == 202


DOUBLED = [
    '{"phone": "A", "phone": "0812-1010-0055", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "ph\\u006fne": "A", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "\\u0070\\u0068\\u006f\\u006e\\u0065": "0812-1010-0055", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "purpose": "login", "phone": "0812-1010-0055"}',
]


@pytest.mark.parametrize("body", DOUBLED, ids=[f"C17-{n}" for n in range(len(DOUBLED))])
async def test_a_member_stands_once(world: World, body: str) -> None:
    """A doubled member is 400 at it, whatever its spelling and its values; nothing is sent."""
    response = await world.client.post(REQUEST, content=body.encode(), headers=JSON)
    assert pointed(response) == ("/phone", "Send it once.")
    assert await world.store.keys("otp:*v:*") == []


async def test_a_member_stands_once_in_every_body(world: World) -> None:
    """So it is for what has a default, for null, and for the other calls."""
    bodies = {
        REQUEST: ('{"phone": "0812-1010-0055", "purpose": "login", "decoy": false, "decoy": false}', "/decoy"),
        VERIFY: (f'{{"verification_id": "{UNKNOWN}", "code": "123456", "code": "123456"}}', "/code"),
        NORMALIZE: ('{"phone": "0812-1010-0055", "country": null, "country": null}', "/country"),
    }
    for path, (body, pointer) in bodies.items():
        assert pointed(await world.client.post(path, content=body.encode(), headers=JSON))[0] == pointer
    apart = {"phone": NUMBER, "purpose": "login", "reference": '"phone": 1, "phone": 2'}
    assert (await world.client.post(REQUEST, json=apart)).status_code == 202


KEYS = [
    ("bearer dev-key", 200),
    ("Bearer  dev-key", 200),
    ("Bearer dev-key  ", 200),
    ("Bearer\tdev-key", 401),
    ("Bearer Bearer dev-key", 401),
    ('Bearer "dev-key"', 401),
    ("dev-key", 401),
    ("Basic ZGV2LWtleQ==", 401),
    ("Bearer dev-key, Bearer dev-key", 401),
]


@pytest.mark.parametrize(("said", "status"), KEYS, ids=[f"C18-{n}" for n in range(len(KEYS))])
async def test_how_a_key_may_be_written(world: World, said: str, status: int) -> None:
    """The scheme has no case and spaces do not count; anything else is 401."""
    response = await raw(world, NORMALIZE, ("Authorization", said), body={"phone": NUMBER})
    assert response.status_code == status


IDEMPOTENCY_KEYS = [
    ("", 400),
    ("x" * 255, 202),
    ("x" * 256, 400),
    ("x" * 300, 400),
    ("schlüssel", 202),
    ('"quoted"', 202),
    ("a,b", 202),
]


@pytest.mark.parametrize(("key", "status"), IDEMPOTENCY_KEYS, ids=[f"C24-{n}" for n in range(len(IDEMPOTENCY_KEYS))])
async def test_what_an_idempotency_key_may_be(world: World, key: str, status: int) -> None:
    """1-255 characters of any kind; the error says so."""
    response = await world.client.post(REQUEST, json=BODY, headers={b"Idempotency-Key": key.encode()})
    assert response.status_code == status
    if status == 400:
        assert pointed(response) == ("", "idempotency-key: Send 1-255 characters, or leave this header out.")


@pytest.mark.parametrize("keyed", [False, True], ids=["C25", "C25-keyed"])
async def test_a_request_that_comes_four_times_at_once(world: World, keyed: bool) -> None:
    """One text: the others are 429 without a key, and with one 409 or the same answer."""
    headers = {"Idempotency-Key": "one"} if keyed else {}
    calls = (world.client.post(REQUEST, json=BODY, headers=headers) for _ in range(4))
    found = Counter(map(outcome, await asyncio.gather(*calls)))
    assert found["202"] >= 1
    assert set(found) <= ({"202", "idempotency_in_flight"} if keyed else {"202", "resend_too_soon"})
    assert keyed or found["202"] == 1
    assert len(await world.store.keys("otp:*v:*")) == 1
