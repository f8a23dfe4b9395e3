"""Random JSON, nearly valid JSON and random bytes: never a 500, and never the number in the response."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.api_requests import (
    JSON_HEADERS,
    NORMALIZE_PHONE,
    REQUEST_CODE,
    UNKNOWN_ID,
    UNLOCK_RECIPIENT,
    VERIFY_CODE,
)
from tests.problem_assertions import PROBLEM_MEMBERS, assert_common_headers
from tests.running_service import RunningService

PATHS = st.sampled_from([REQUEST_CODE, VERIFY_CODE, NORMALIZE_PHONE, UNLOCK_RECIPIENT])

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=80)
    | st.sampled_from(
        ["login", "ID", "id", "sms", "203.0.113.9", "::1", "0812-1010-0055", "914273", UNKNOWN_ID, "\x00", "٣"]
    )
)
VALUES = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
NAMES = st.sampled_from(
    [
        "phone",
        "purpose",
        "country",
        "locale",
        "channel",
        "app",
        "client_ip",
        "reference",
        "decoy",
        "verification_id",
        "code",
    ]
)
ALMOST = st.dictionaries(NAMES | st.text(max_size=8), ATOMS | VALUES, max_size=6)
GOOD = {"phone": "0812-1010-0055", "purpose": "login"}

few = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


def assert_handled(response: httpx.Response) -> None:
    """Assert that the response is a success or a problem of the client."""
    assert response.status_code in {200, 202, 400, 403, 404, 413, 422, 429}, response.text
    assert_common_headers(response)
    if response.status_code >= 400:
        assert set(response.json()) >= PROBLEM_MEMBERS


def bodies() -> st.SearchStrategy[bytes]:
    """Generate what a client may send as JSON, valid or not."""
    written: st.SearchStrategy[Any] = VALUES | ALMOST | ALMOST.map(lambda members: GOOD | members)
    return st.binary(max_size=200) | written.map(lambda value: json.dumps(value).encode())


@few
@given(path=PATHS, body=bodies())
async def test_no_body_is_a_500(service: RunningService, path: str, body: bytes) -> None:
    """Any JSON and any bytes get a success or a problem of the client."""
    assert_handled(await service.client.post(path, content=body, headers=JSON_HEADERS))


@few
@given(phone=st.text(alphabet=st.characters(categories=("N", "P", "Z", "C", "S", "L")), max_size=64))
async def test_no_phone_text_is_a_500(service: RunningService, phone: str) -> None:
    """Any text as a number gets a success or a problem that does not repeat it."""
    response = await service.client.post(
        NORMALIZE_PHONE, content=json.dumps({"phone": phone}).encode(), headers=JSON_HEADERS
    )
    assert_handled(response)
    if response.status_code != 200 and len(phone) > 12:
        assert phone not in response.json()["detail"]


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "idempotency-key",
            "x-request-id",
            "x-forwarded-for",
            "content-type",
            "authorization",
            "accept",
            "content-length",
        ]
    ),
    st.binary(max_size=40),
    max_size=4,
)


@few
@given(path=PATHS | st.text(max_size=20).map(lambda text: "/v1/verifications/" + text), headers=HEADERS)
async def test_no_header_is_a_500(service: RunningService, path: str, headers: dict[str, bytes]) -> None:
    """Any header gets a response, also one that a server would not pass to the application."""
    status = 0
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST" if "verifications" not in path else "GET",
        "scheme": "http",
        "path": path,
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value) for name, value in ({"authorization": b"Bearer dev-key"} | headers).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(GOOD).encode()}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    await service.app(scope, receive, send)  # type: ignore[arg-type]  # Litestar's types of ASGI are narrower
    assert 200 <= status < 500
