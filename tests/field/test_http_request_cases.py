"""What people in the field ran into between a caller and us; a test's id is the case's."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.api.api_requests import (
    JSON_HEADERS,
    NORMALIZE_PHONE,
    REQUEST_BODY,
    REQUEST_CODE,
    UNKNOWN_ID,
    VERIFICATIONS,
    VERIFY_CODE,
)
from tests.problem_assertions import assert_one_field_error, assert_problem, problem_code
from tests.running_service import E164, NUMBER, RunningService


async def raw(service: RunningService, path: str, *headers: tuple[str, str], body: Any = None) -> httpx.Response:
    """Call with exactly these headers, also doubled ones."""
    sent = [("Content-Type", "application/json"), *headers]
    return await service.caller(None).post(path, content=json.dumps(body or REQUEST_BODY).encode(), headers=sent)


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        pytest.param(
            VERIFY_CODE, {"verification_id": UNKNOWN_ID + "\n", "code": "123456"}, "/verification_id", id="B17"
        ),
        pytest.param(REQUEST_CODE, {"phone": NUMBER, "purpose": "login\n"}, "/purpose", id="B17-purpose"),
        pytest.param(NORMALIZE_PHONE, {"phone": NUMBER, "country": "ID\n"}, "/country", id="B17-country"),
        pytest.param(REQUEST_CODE, {**REQUEST_BODY, "channel": "sms\n"}, "/channel", id="B17-channel"),
        pytest.param(REQUEST_CODE, {**REQUEST_BODY, "country": "id"}, "/country", id="C30-country"),
        pytest.param(REQUEST_CODE, {**REQUEST_BODY, "purpose": "LOGIN"}, "/purpose", id="C30-purpose"),
        pytest.param(REQUEST_CODE, {**REQUEST_BODY, "channel": "SMS"}, "/channel", id="C30-channel"),
        pytest.param(REQUEST_CODE, {**REQUEST_BODY, "clientIp": "203.0.113.9"}, "/clientIp", id="C30-clientIp"),
        pytest.param(
            REQUEST_CODE, {"phone_number": NUMBER, "purpose": "login"}, "/phone_number", id="C30-phone_number"
        ),
        pytest.param(REQUEST_CODE, {**REQUEST_BODY, "decoy": "true"}, "/decoy", id="C30-decoy"),
    ],
)
async def test_a_member_of_the_wrong_form_is_named(service: RunningService, path: str, body: Any, pointer: str) -> None:
    """A newline at the end, the wrong case or another spelling of a name is 400 at the member, in plain words."""
    assert assert_one_field_error(await service.client.post(path, json=body))[0] == pointer


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
async def test_parameters_of_the_media_type_mean_nothing(service: RunningService, media_type: str) -> None:
    """JSON is UTF-8 whatever a charset says (RFC 8259, 11)."""
    body = json.dumps({"phone": NUMBER}).encode()
    response = await service.client.post(NORMALIZE_PHONE, content=body, headers={"Content-Type": media_type})
    assert response.json()["e164"] == E164


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=f"C09-{path[4:]}") for path in (REQUEST_CODE, VERIFY_CODE, NORMALIZE_PHONE)]
)
async def test_a_bom_is_passed_over(service: RunningService, path: str) -> None:
    """Some writers put it in front of the body."""
    verification_id, code = await service.request_code("0812-1010-0056")
    bodies: dict[str, Any] = {
        VERIFY_CODE: {"verification_id": verification_id, "code": code},
        NORMALIZE_PHONE: {"phone": NUMBER},
    }
    body = json.dumps(bodies.get(path, REQUEST_BODY)).encode("utf-8-sig")
    assert (await service.client.post(path, content=body, headers=JSON_HEADERS)).status_code in (200, 202)


@pytest.mark.parametrize(
    "coding",
    [
        pytest.param(coding, id=f"C10-{coding}")
        for coding in ("gzip", "x-gzip", "br", "deflate", "GZIP", "identity, gzip")
    ],
)
async def test_a_coding_is_refused_with_what_is_taken(service: RunningService, coding: str) -> None:
    """A compressed body is 415, and the reply says which coding would do (RFC 9110, 15.5.16)."""
    body = gzip.compress(json.dumps(REQUEST_BODY).encode())
    response = await service.client.post(
        REQUEST_CODE, content=body, headers={**JSON_HEADERS, "Content-Encoding": coding}
    )
    assert_problem(response, 415, "media_type_unsupported")
    assert response.headers["accept-encoding"] == "identity"
    plain = await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers={"Content-Encoding": "Identity"})
    assert plain.status_code == 202


@pytest.mark.parametrize(
    "keys", [("x", "dev-key"), ("dev-key", "x"), ("dev-key", "dev-key")], ids=lambda keys: f"C16-{'-'.join(keys)}"
)
async def test_two_keys_are_none(service: RunningService, keys: tuple[str, str]) -> None:
    """Two layers might read two of them: 400, also when they are the same, and after the media type."""
    lines = [("Authorization", f"Bearer {key}") for key in keys]
    for path in (REQUEST_CODE, VERIFY_CODE, NORMALIZE_PHONE):
        assert "authorization" in assert_one_field_error(await raw(service, path, *lines))[1]
    assert (
        "authorization"
        in assert_one_field_error(await service.caller(None).get(VERIFICATIONS + UNKNOWN_ID, headers=lines))[1]
    )
    plain = [*lines, ("Content-Type", "text/plain")]
    assert_problem(
        await service.caller(None).post(REQUEST_CODE, content=b"{}", headers=plain), 415, "media_type_unsupported"
    )
    assert await service.store.keys("otp:*v:*") == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=f"C16-{name}") for name in ("Idempotency-Key", "Content-Type", "Content-Encoding")]
)
async def test_two_of_another_header_that_counts(service: RunningService, name: str) -> None:
    """What decides about an answer is said once; nothing is sent otherwise."""
    value = {"Idempotency-Key": "a", "Content-Type": "application/json", "Content-Encoding": "identity"}[name]
    key = ("Authorization", "Bearer dev-key")
    doubled = [(name, value)] * (1 if name == "Content-Type" else 2)
    assert name.lower() in assert_one_field_error(await raw(service, REQUEST_CODE, key, *doubled))[1]
    assert (await raw(service, REQUEST_CODE, key)).status_code == 202


DOUBLED = [
    '{"phone": "A", "phone": "0812-1010-0055", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "ph\\u006fne": "A", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "\\u0070\\u0068\\u006f\\u006e\\u0065": "0812-1010-0055", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "purpose": "login", "phone": "0812-1010-0055"}',
]


@pytest.mark.parametrize("body", DOUBLED, ids=[f"C17-{n}" for n in range(len(DOUBLED))])
async def test_a_member_stands_once(service: RunningService, body: str) -> None:
    """A doubled member is 400 at it, whatever its spelling and its values; nothing is sent."""
    response = await service.client.post(REQUEST_CODE, content=body.encode(), headers=JSON_HEADERS)
    assert assert_one_field_error(response) == ("/phone", "Send it once.")
    assert await service.store.keys("otp:*v:*") == []


async def test_a_member_stands_once_in_every_body(service: RunningService) -> None:
    """So it is for what has a default, for null, and for the other calls."""
    bodies = {
        REQUEST_CODE: ('{"phone": "0812-1010-0055", "purpose": "login", "decoy": false, "decoy": false}', "/decoy"),
        VERIFY_CODE: (f'{{"verification_id": "{UNKNOWN_ID}", "code": "123456", "code": "123456"}}', "/code"),
        NORMALIZE_PHONE: ('{"phone": "0812-1010-0055", "country": null, "country": null}', "/country"),
    }
    for path, (body, pointer) in bodies.items():
        assert (
            assert_one_field_error(await service.client.post(path, content=body.encode(), headers=JSON_HEADERS))[0]
            == pointer
        )
    apart = {"phone": NUMBER, "purpose": "login", "reference": '"phone": 1, "phone": 2'}
    assert (await service.client.post(REQUEST_CODE, json=apart)).status_code == 202


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
async def test_how_a_key_may_be_written(service: RunningService, said: str, status: int) -> None:
    """The scheme has no case and spaces do not count; anything else is 401."""
    response = await raw(service, NORMALIZE_PHONE, ("Authorization", said), body={"phone": NUMBER})
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
async def test_what_an_idempotency_key_may_be(service: RunningService, key: str, status: int) -> None:
    """1-255 characters of any kind; the error says so."""
    response = await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers={b"Idempotency-Key": key.encode()})
    assert response.status_code == status
    if status == 400:
        assert assert_one_field_error(response) == (
            "",
            "idempotency-key: Send 1-255 characters, or leave this header out.",
        )


@pytest.mark.parametrize("keyed", [False, True], ids=["C25", "C25-keyed"])
async def test_a_request_that_comes_four_times_at_once(service: RunningService, keyed: bool) -> None:
    """One text: the others are 429 without a key, and with one 409 or the same answer."""
    headers = {"Idempotency-Key": "one"} if keyed else {}
    calls = (service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=headers) for _ in range(4))
    found = Counter(map(problem_code, await asyncio.gather(*calls)))
    assert found["202"] >= 1
    assert set(found) <= ({"202", "idempotency_in_flight"} if keyed else {"202", "resend_too_soon"})
    assert keyed or found["202"] == 1
    assert len(await service.store.keys("otp:*v:*")) == 1
