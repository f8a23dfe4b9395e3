"""HTTP requests as clients send them; cases from public bug reports, with their ids."""

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


async def post_raw(service: RunningService, path: str, *headers: tuple[str, str], body: Any = None) -> httpx.Response:
    """Send a POST with exactly these headers, which may repeat."""
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
async def test_an_invalid_member_is_named(service: RunningService, path: str, body: Any, pointer: str) -> None:
    """A trailing newline, wrong case or misspelled name gets 400 with a pointer to the member and a clear text."""
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
async def test_media_type_parameters_are_ignored(service: RunningService, media_type: str) -> None:
    """JSON is UTF-8, whatever the charset parameter is (RFC 8259, 11)."""
    body = json.dumps({"phone": NUMBER}).encode()
    response = await service.client.post(NORMALIZE_PHONE, content=body, headers={"Content-Type": media_type})
    assert response.json()["e164"] == E164


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=f"C09-{path[4:]}") for path in (REQUEST_CODE, VERIFY_CODE, NORMALIZE_PHONE)]
)
async def test_a_bom_is_ignored(service: RunningService, path: str) -> None:
    """A byte order mark before the body is ignored."""
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
async def test_a_content_coding_is_rejected(service: RunningService, coding: str) -> None:
    """A compressed body gets 415 with `Accept-Encoding` (RFC 9110, 15.5.16)."""
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
async def test_two_api_keys_are_rejected(service: RunningService, keys: tuple[str, str]) -> None:
    """Two `Authorization` headers get 400, also if they are equal: two layers could read different ones."""
    lines = [("Authorization", f"Bearer {key}") for key in keys]
    for path in (REQUEST_CODE, VERIFY_CODE, NORMALIZE_PHONE):
        assert "authorization" in assert_one_field_error(await post_raw(service, path, *lines))[1]
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
async def test_duplicate_headers_are_rejected(service: RunningService, name: str) -> None:
    """A duplicate of a header that decides the response is rejected, and no message is sent."""
    value = {"Idempotency-Key": "a", "Content-Type": "application/json", "Content-Encoding": "identity"}[name]
    key = ("Authorization", "Bearer dev-key")
    doubled = [(name, value)] * (1 if name == "Content-Type" else 2)
    assert name.lower() in assert_one_field_error(await post_raw(service, REQUEST_CODE, key, *doubled))[1]
    assert (await post_raw(service, REQUEST_CODE, key)).status_code == 202


DOUBLED = [
    '{"phone": "A", "phone": "0812-1010-0055", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "ph\\u006fne": "A", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "\\u0070\\u0068\\u006f\\u006e\\u0065": "0812-1010-0055", "purpose": "login"}',
    '{"phone": "0812-1010-0055", "purpose": "login", "phone": "0812-1010-0055"}',
]


@pytest.mark.parametrize("body", DOUBLED, ids=[f"C17-{n}" for n in range(len(DOUBLED))])
async def test_a_duplicate_member_is_rejected(service: RunningService, body: str) -> None:
    """A duplicate member gets 400 with a pointer, whatever its escapes and values, and no message is sent."""
    response = await service.client.post(REQUEST_CODE, content=body.encode(), headers=JSON_HEADERS)
    assert assert_one_field_error(response) == ("/phone", "Send it once.")
    assert await service.store.keys("otp:*v:*") == []


async def test_a_duplicate_member_is_rejected_in_every_body(service: RunningService) -> None:
    """Optional members, null and the other endpoints follow the same rule."""
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


@pytest.mark.parametrize(("authorization", "status"), KEYS, ids=[f"C18-{n}" for n in range(len(KEYS))])
async def test_authorization_formats(service: RunningService, authorization: str, status: int) -> None:
    """The scheme is case-insensitive and extra spaces are ignored; any other format gets 401."""
    response = await post_raw(service, NORMALIZE_PHONE, ("Authorization", authorization), body={"phone": NUMBER})
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
async def test_idempotency_key_formats(service: RunningService, key: str, status: int) -> None:
    """A key has 1-255 characters of any kind, as the error says."""
    response = await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers={b"Idempotency-Key": key.encode()})
    assert response.status_code == status
    if status == 400:
        assert assert_one_field_error(response) == (
            "",
            "idempotency-key: Send 1-255 characters, or leave this header out.",
        )


@pytest.mark.parametrize("keyed", [False, True], ids=["C25", "C25-keyed"])
async def test_four_equal_requests_at_once(service: RunningService, keyed: bool) -> None:
    """One message is sent; the others get 429 without an idempotency key, and 409 or the same response with one."""
    headers = {"Idempotency-Key": "one"} if keyed else {}
    calls = (service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=headers) for _ in range(4))
    found = Counter(map(problem_code, await asyncio.gather(*calls)))
    assert found["202"] >= 1
    assert set(found) <= ({"202", "idempotency_in_flight"} if keyed else {"202", "resend_too_soon"})
    assert keyed or found["202"] == 1
    assert len(await service.store.keys("otp:*v:*")) == 1
