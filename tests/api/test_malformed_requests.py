"""Every malformed request gets a problem: never a 500, never the number or the code, never a used attempt."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import product
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
    VERIFY_CODE,
)
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_common_headers, assert_problem
from tests.running_service import RunningService, ServiceFactory

MAX = 64 * 1024
SECRETS = ("081210100055", "0812-1010-0055", "1010", "914273", "\\ud800")


def assert_no_secret(response: httpx.Response) -> None:
    """Assert that the response repeats nothing of the number or the code."""
    assert not [secret for secret in SECRETS if secret in response.text], response.text


BODIES: list[tuple[bytes, str | None]] = [
    (b"", ""),
    (b" ", ""),
    (b"null", ""),
    (b"true", ""),
    (b"[]", ""),
    (b'"081210100055"', ""),
    (b"81210100055", ""),
    (b"{", ""),
    (b'{"phone": "081210100055", "purpose": "login"', ""),
    (b'{"phone": "081210100055", "purpose": "login"} x', ""),
    (b'{"phone": "081210100055", "purpose": "login",}', ""),
    (b"{'phone': '081210100055'}", ""),
    (b"phone=081210100055&purpose=login", ""),
    (b'\xef\xbb\xbf\xef\xbb\xbf{"phone": "081210100055", "purpose": "login"}', ""),
    (b"\xef\xbb\xbf", ""),
    ('{"phone": "081210100055", "purpose": "login"}'.encode("utf-16"), ""),
    (b'{"phone": "081210100055\xff", "purpose": "login"}', ""),
    (b'{"phone": "\xed\xa0\x80", "purpose": "login"}', ""),
    (b'{"phone": "\\ud800081210100055", "purpose": "login"}', ""),
    (b'{"phone": "081210100055\x00", "purpose": "login"}', ""),
    (b"[" * 60_000, ""),
    (b'{"a":' * 12_000, ""),
    (b'{"phone": ' + b"[" * 60_000, ""),
    (b'{"phone": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", ""),
    (b'{"phone": [[["081210100055"]]]}', "/phone"),
    (b'{"phone": 81210100055, "purpose": "login"}', "/phone"),
    (b'{"phone": 8.1e10, "purpose": "login"}', "/phone"),
    (b'{"phone": 1e999, "purpose": "login"}', "/phone"),
    (b'{"phone": ' + b"9" * 60_000 + b', "purpose": "login"}', "/phone"),
    (b'{"phone": null, "purpose": "login"}', "/phone"),
    (b'{"phone": ["081210100055"], "purpose": "login"}', "/phone"),
    (b'{"phone": {"e164": "081210100055"}, "purpose": "login"}', "/phone"),
    (b'{"phone": true, "purpose": "login"}', "/phone"),
    (b'{"phone": "", "purpose": "login"}', "/phone"),
    (b'{"phone": "' + b"8" * 65 + b'", "purpose": "login"}', "/phone"),
    (b'{"phone": "081210100055"}', "/purpose"),
    (b'{"purpose": "login"}', "/phone"),
    (b'{"phone": "081210100055", "purpose": null}', "/purpose"),
    (b'{"phone": "081210100055", "purpose": "Login"}', "/purpose"),
    (b'{"phone": "081210100055", "purpose": "' + b"x" * 33 + b'"}', "/purpose"),
    (b'{"phone": "081210100055", "purpose": "login", "otp": 1}', "/otp"),
    (b'{"phone": "081210100055", "purpose": "login", "a/b~c": 1}', ""),
    (b'{"phone": "081210100055", "purpose": "login", "081210100055": 1}', ""),
    (b'{"phone": "081210100055", "purpose": "login", "x\\n081210100055": 1}', ""),
    (b'{"phone": "081210100055", "purpose": "login", "country": "id"}', "/country"),
    (b'{"phone": "081210100055", "purpose": "login", "country": "IDN"}', "/country"),
    (b'{"phone": "081210100055", "purpose": "login", "country": "ZZ"}', "/country"),
    (b'{"phone": "081210100055", "purpose": "login", "country": "ID\\n"}', "/country"),
    (b'{"phone": "081210100055", "purpose": "login", "country": 62}', "/country"),
    (b'{"phone": "081210100055", "purpose": "login", "locale": "' + b"x" * 257 + b'"}', "/locale"),
    (b'{"phone": "081210100055", "purpose": "login", "locale": ["id"]}', "/locale"),
    (b'{"phone": "081210100055", "purpose": "login", "channel": "pigeon"}', "/channel"),
    (b'{"phone": "081210100055", "purpose": "login", "channel": "081210100055"}', "/channel"),
    (b'{"phone": "081210100055", "purpose": "login", "channel": null}', "/channel"),
    (b'{"phone": "081210100055", "purpose": "login", "client_ip": "081210100055"}', "/client_ip"),
    (b'{"phone": "081210100055", "purpose": "login", "client_ip": ""}', "/client_ip"),
    (b'{"phone": "081210100055", "purpose": "login", "client_ip": "203.0.113.9/32"}', "/client_ip"),
    (b'{"phone": "081210100055", "purpose": "login", "client_ip": 3405803785}', "/client_ip"),
    (b'{"phone": "081210100055", "purpose": "login", "reference": "' + b"x" * 129 + b'"}', "/reference"),
    (b'{"phone": "081210100055", "purpose": "login", "reference": 17}', "/reference"),
    (b'{"phone": "081210100055", "purpose": "login", "decoy": "true"}', "/decoy"),
    (b'{"phone": "081210100055", "purpose": "login", "decoy": 1}', "/decoy"),
    (b'{"phone": "081210100055", "purpose": "login", "decoy": null}', "/decoy"),
]


async def test_malformed_bodies_of_request_code(service: RunningService) -> None:
    """Each gets a 400 that names the member and uses no limit, so a valid request succeeds after all of them."""
    for body, pointer in BODIES:
        response = await service.client.post(REQUEST_CODE, content=body, headers=JSON_HEADERS)
        [error] = assert_problem(response, 400, "request_malformed", "errors")["errors"]
        assert set(error) == {"pointer", "detail"}
        assert error["pointer"] == pointer, body[:90]
        assert error["detail"]
        assert_no_secret(response)
    assert (await service.request()).status_code == 202
    assert len(await service.store.keys("otp:*v:*")) == 1


MALFORMED_ATTEMPTS: list[tuple[Any, str]] = [
    ({"code": "914273"}, "/verification_id"),
    ({"verification_id": UNKNOWN_ID}, "/code"),
    ({"verification_id": None, "code": "914273"}, "/verification_id"),
    ({"verification_id": 17, "code": "914273"}, "/verification_id"),
    ({"verification_id": "", "code": "914273"}, "/verification_id"),
    ({"verification_id": "a b", "code": "914273"}, "/verification_id"),
    ({"verification_id": "a/b", "code": "914273"}, "/verification_id"),
    ({"verification_id": "é" * 23, "code": "914273"}, "/verification_id"),
    ({"verification_id": "x" * 37, "code": "914273"}, "/verification_id"),
    ({"verification_id": UNKNOWN_ID, "code": 914273}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": ["914273"]}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": None}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": ""}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "914"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "9 1-4"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "91427391427"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "9" * 65}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "914273a"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "914\x00273"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "914.273"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "+914273"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "９１４²⁷³"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "Ⅸ14273"}, "/code"),
    ({"verification_id": UNKNOWN_ID, "code": "914273", "phone": "081210100055"}, "/phone"),
]


async def test_malformed_bodies_of_verify_code(service: RunningService) -> None:
    """Each gets a 400 that names the member and does not repeat the code."""
    for attempt_body, pointer in MALFORMED_ATTEMPTS:
        response = await service.client.post(VERIFY_CODE, json=attempt_body)
        [error] = assert_problem(response, 400, "request_malformed", "errors")["errors"]
        assert error["pointer"] == pointer, attempt_body
        assert_no_secret(response)


@pytest.mark.parametrize("path", [REQUEST_CODE, VERIFY_CODE, NORMALIZE_PHONE, UNLOCK_RECIPIENT])
async def test_all_endpoints_refuse_the_same_bodies(service: RunningService, path: str) -> None:
    """The three POST endpoints refuse the same bodies in the same way."""
    for body in (b"", b"[]", b"{", b"\xff", b'{"\\ud800": 1}', b"[" * 60_000, b'{"unknown_member": 1}'):
        response = await service.client.post(path, content=body, headers=JSON_HEADERS)
        assert_problem(response, 400, "request_malformed", "errors")


PHONE_TEXTS: list[tuple[str, str | None, int]] = [
    ("0812\x001010\x000055", None, 422),
    ("0812\u200b10100055", None, 200),
    ("0812\n10100055", None, 200),
    ("081210100055/5", None, 422),
    ("001 658 234 5678", None, 200),
    ("001 415 555 0123", "JP", 422),
    ("+", None, 422),
    ("   ", None, 422),
    ("٠٨١٢١٠١٠٠٠٥٥", None, 200),
    ("𝟎𝟖𝟏𝟐𝟏𝟎𝟏𝟎𝟎𝟎𝟓𝟓", None, 200),
    ("081210100055;ext=5", None, 422),
    ("081210100055,,5", None, 422),
    ("0812101o0o55", None, 422),
    ("1" * 64, None, 422),
    ("91234567", "SG", 200),
    ("081210100055", "SG", 422),
]


async def test_text_that_is_not_a_phone_number(service: RunningService) -> None:
    """A string that is not one whole number gets `phone_invalid`, and is not repeated."""
    for phone, country, status in PHONE_TEXTS:
        body = {"phone": phone} | ({"country": country} if country else {})
        response = await service.client.post(NORMALIZE_PHONE, json=body)
        assert response.status_code == status, phone
        if status == 422:
            assert_problem(response, 422, "phone_invalid")
            assert_no_secret(response)


def padded(size: int) -> bytes:
    """Return a valid body of exactly this many bytes."""
    body = json.dumps({"phone": "0812-1010-0055"}).encode()
    return body + b" " * (size - len(body))


async def in_chunks(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """Yield a body in chunks, so that it is sent without a Content-Length."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_size_of_a_body(service: RunningService, chunked: bool) -> None:
    """A body of 64 KiB is accepted and one more byte is not, with and without a Content-Length."""

    async def sent(size: int) -> httpx.Response:
        content = in_chunks(padded(size)) if chunked else padded(size)
        return await service.client.post(NORMALIZE_PHONE, content=content, headers=JSON_HEADERS)

    assert (await sent(MAX)).status_code == 200
    assert_problem(await sent(MAX + 1), 413, "body_too_large")
    assert_problem(await sent(20 * MAX), 413, "body_too_large")


async def test_a_declared_size_is_enough(service: RunningService) -> None:
    """A body whose Content-Length is too large is refused before it is read."""
    for declared in ("65537", "9" * 30, "9" * 5000):
        headers = {**JSON_HEADERS, "Content-Length": declared}
        for path in (NORMALIZE_PHONE, "/nowhere"):
            assert_problem(await service.client.post(path, content=b"{}", headers=headers), 413, "body_too_large")


MEDIA_TYPES: list[tuple[str | None, int]] = [
    ("application/json", 200),
    ("Application/JSON", 200),
    ("application/json; charset=utf-8", 200),
    ('application/json;charset="UTF-8"', 200),
    ("application/json; charset=latin-1", 200),
    ("application/json; charset=utf-16", 200),
    ("application/json; charset=utf8; version=1", 200),
    ("application/json;odata=verbose", 200),
    ("application/json ;", 200),
    ("application/json, text/plain", 415),
    ("application/json charset=utf-8", 415),
    ("application/jsonp", 415),
    ("application/vnd.api+json", 415),
    ("application/x-www-form-urlencoded", 415),
    ("multipart/form-data; boundary=x", 415),
    ("application/msgpack", 415),
    ("text/plain", 415),
    ("text/json", 415),
    ("*/*", 415),
    ("", 415),
    (None, 415),
]


async def test_media_types(service: RunningService) -> None:
    """Only JSON is accepted; parameters of the media type are ignored."""
    for media_type, status in MEDIA_TYPES:
        headers = {} if media_type is None else {"Content-Type": media_type}
        response = await service.client.post(NORMALIZE_PHONE, content=padded(100), headers=headers)
        assert response.status_code == status, media_type
        if status == 415:
            assert_problem(response, 415, "media_type_unsupported")


async def test_an_idempotency_key_has_1_to_255_characters(service: RunningService) -> None:
    """An empty or too long key is malformed; the error names the header and does not repeat it."""
    bodies = ((REQUEST_CODE, REQUEST_BODY), (VERIFY_CODE, {"verification_id": UNKNOWN_ID, "code": "914273"}))
    for key, (path, body) in product(("", "x" * 256, "081210100055" * 30), bodies):
        response = await service.client.post(path, json=body, headers={"Idempotency-Key": key})
        [error] = assert_problem(response, 400, "request_malformed", "errors")["errors"]
        assert "idempotency-key" in error["detail"].lower()
        assert_no_secret(response)
    longest = {"Idempotency-Key": "x" * 255}
    assert (await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=longest)).status_code == 202


async def test_other_methods(service: RunningService) -> None:
    """An existing path answers any other method with 405, with or without an API key."""
    for method, path in product(
        ("GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "BREW"),
        (REQUEST_CODE, VERIFY_CODE, NORMALIZE_PHONE, UNLOCK_RECIPIENT),
    ):
        for caller in (service.client, service.caller(None)):
            response = await caller.request(method, path)
            assert response.status_code == 405
            assert set(response.headers["allow"].split(", ")) == {"POST", "OPTIONS"}
            assert_common_headers(response)


PATH_IDS = ["x" * 37, "x" * 5000, "a.b", "%20", "%00", "%FF%FE", "081210100055", "é", "a%0Ab"]


async def test_impossible_ids_in_paths(make_service: ServiceFactory) -> None:
    """An impossible id is unknown, like any id without a verification, and is not repeated."""
    service = await make_service({"tenants": {"acme": tenant(api_key("acme", "read", "request"))}})
    for path_id, caller, method in product(PATH_IDS, (service.client, service.caller("acme")), ("GET", "DELETE")):
        response = await caller.request(method, f"/v1/verifications/{path_id}")
        assert_problem(response, 404, "verification_unknown")
        assert_no_secret(response)
