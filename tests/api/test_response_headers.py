"""The headers of every response, and how the middleware reads API keys, paths and bodies."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx
import pytest

from otp_service.api.auth import ApiKeys
from otp_service.api.endpoints import EndpointIndex
from otp_service.api.middleware import ApiMiddleware
from otp_service.service import OtpService
from tests.api.api_requests import NORMALIZE_PHONE, REQUEST_BODY, REQUEST_CODE, UNKNOWN_ID, VERIFICATIONS, VERIFY_CODE
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_common_headers, assert_problem
from tests.running_service import E164, RunningService, ServiceFactory


async def test_headers_of_401_and_405(service: RunningService) -> None:
    """A 401 has WWW-Authenticate and a 405 has Allow, as RFC 9110 requires."""
    response = await service.caller(None).post(REQUEST_CODE, json=REQUEST_BODY)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "POST" in (await service.client.get(REQUEST_CODE)).headers["allow"]


async def test_an_unhandled_exception_reveals_nothing(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unhandled exception gets a 500 problem without its text or type."""

    async def broken(*_: object) -> None:
        raise RuntimeError(f"no luck with {E164}")

    monkeypatch.setattr(OtpService, "read", broken)
    response = await service.client.get(VERIFICATIONS + UNKNOWN_ID)
    assert_problem(response, 500, "internal_error")
    assert "luck" not in response.text
    assert "RuntimeError" not in response.text


PATHS = [
    ("/livez", 200),
    ("/readyz", 200),
    ("/metrics", 200),
    ("/.well-known/jwks.json", 200),
    ("/schema", 200),
    ("/schema/", 200),
    ("/schema/openapi.json", 200),
    ("/", 200),
    ("/dev/messages", 200),
    ("/schema/nothing", 404),
    ("/nothing", 404),
    ("/nothing/%00%ff", 404),
    ("/v1", 404),
    (NORMALIZE_PHONE, 405),
    (VERIFICATIONS, 404),
    (VERIFICATIONS + "a/b", 404),
]


async def test_headers_of_every_response(service: RunningService) -> None:
    """Every response has no-store, nosniff and a request id, and every error is a problem."""
    for path, status in PATHS:
        response = await service.client.get(path)
        assert response.status_code == status
        assert_common_headers(response)
        if status >= 400:
            assert response.headers["content-type"] == "application/problem+json"


async def test_additional_slashes_do_not_bypass_the_checks(service: RunningService) -> None:
    """The path that is checked is the one that is served, so no spelling of it avoids the API key."""
    for n, path in enumerate((REQUEST_CODE + "/", "/" + REQUEST_CODE, "/v1//request-code", NORMALIZE_PHONE + "//"), 10):
        url = httpx.URL("http://service", path=path)
        body = {"phone": f"0812-1010-00{n}"} | ({} if "normalize" in path else {"purpose": "login"})
        assert_problem(await service.caller(None).post(url, json=body), 401, "key_missing")
        plain = {"Content-Type": "text/plain"}
        assert_problem(await service.client.post(url, content=b"{}", headers=plain), 415, "media_type_unsupported")
        assert (await service.client.post(url, json=body)).status_code == (200 if "normalize" in path else 202)


REQUEST_IDS = [("order-17.a_b", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("", False), ("é", False)]


async def test_a_callers_request_id_is_kept_when_harmless(service: RunningService) -> None:
    """A request id of up to 64 plain characters is kept; any other is replaced."""
    for given, kept in REQUEST_IDS:
        response = await service.client.get("/livez", headers={b"X-Request-Id": given.encode()})
        assert (response.headers["x-request-id"] == given) is kept
        assert_common_headers(response)


async def test_keys_are_their_utf8_bytes(make_service: ServiceFactory) -> None:
    """The configured digest is that of the UTF-8 bytes of the key, and the scheme is case-insensitive."""
    key = {**api_key("schlüssel-鍵", "request"), "id": "app"}
    service = await make_service({"tenants": {"acme": tenant(key)}})
    headers = {b"Authorization": "Bearer schlüssel-鍵".encode()}
    assert (
        await service.caller(None).post(REQUEST_CODE, json=REQUEST_BODY, headers=cast("Any", headers))
    ).status_code == 202
    lower = {"Authorization": "bearer  schlüssel-鍵 ".encode()}
    assert_problem(
        await service.caller(None).post(REQUEST_CODE, json=REQUEST_BODY, headers=cast("Any", lower)),
        429,
        "resend_too_soon",
    )
    for spelled in (b"bearer schl", b"Bearer", b"Bearer  ", b"schl", b"Bearer \xff\xfe", b"\x00"):
        response = await service.caller(None).post(
            VERIFY_CODE, json=REQUEST_BODY, headers=cast("Any", {"Authorization": spelled})
        )
        assert response.status_code == 401


async def test_a_long_path_does_not_reach_litestar() -> None:
    """Litestar caches the last 1024 paths, so the middleware cuts long ones."""
    seen: list[str] = []

    async def inner(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["path"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(_message: Any) -> None:
        raise AssertionError

    middleware = ApiMiddleware(inner, ApiKeys(()), EndpointIndex([]), trusted_proxies=[], check_store=lambda: None)
    for path in ("/v1/receipts/inbox/" + "a" * 60_000, "/" * 60_000, "/a" * 30_000):
        await middleware({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)  # type: ignore[arg-type]  # Litestar's types of ASGI are narrower
    assert [len(path) <= 1024 for path in seen] == [True] * 3


async def test_an_incomplete_body_has_no_effect(service: RunningService) -> None:
    """If the client disconnects during its body it gets no response, and the request has no effect."""
    messages = [{"type": "http.request", "body": json.dumps(REQUEST_BODY).encode(), "more_body": True}]
    answers: list[Any] = []
    headers = {"authorization": "Bearer dev-key", "content-type": "application/json", "content-length": "200"}
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": REQUEST_CODE,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answers.append(message)

    await service.app(scope, receive, send)  # type: ignore[arg-type]  # Litestar's types of ASGI are narrower
    assert answers == []
    assert await service.store.keys("otp:*") == []
