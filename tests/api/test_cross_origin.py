"""CORS: web pages of the origins that a publishable key allows may call the service, and no others."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.api_requests import NORMALIZE_PHONE, REQUEST_BODY, REQUEST_CODE, UNKNOWN_ID, VERIFICATIONS, VERIFY_CODE
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_common_headers
from tests.running_service import RunningService, ServiceFactory

SHOP, BANK, OTHER = "https://shop.example", "https://bank.example:8443", "https://other.example"
CONFIG: dict[str, Any] = {
    "tenants": {
        "shop": tenant(
            api_key(
                "shop-page", "request", "verify", publishable=True, allowed_origins=[SHOP, "http://localhost:3000"]
            ),
            api_key("shop-app", "request", "verify", publishable=True),
            api_key("shop-backend", "request", "verify", "read", "server"),
        ),
        "bank": tenant(api_key("bank-page", "verify", publishable=True, allowed_origins=[BANK])),
    }
}
ACCESS_CONTROL = "access-control-"


@pytest.fixture
async def pages(make_service: ServiceFactory) -> RunningService:
    """Return a service that two tenants' pages call."""
    return await make_service(CONFIG)


def cors_headers(response: httpx.Response) -> dict[str, str]:
    """Return the CORS headers of a response."""
    return {name: value for name, value in response.headers.items() if name.startswith(ACCESS_CONTROL)}


async def preflight(service: RunningService, path: str, origin: str, method: str = "POST") -> httpx.Response:
    """Ask as a browser does before it sends a request with an API key."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    response = await service.caller(None).options(path, headers=headers)
    assert response.status_code == 204
    assert_common_headers(response)
    return response


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:3000", BANK])
@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (REQUEST_CODE, "POST"),
        (VERIFY_CODE, "POST"),
        (NORMALIZE_PHONE, "POST"),
        (VERIFICATIONS + UNKNOWN_ID, "DELETE, GET"),
    ],
)
async def test_a_preflight_of_an_allowed_origin(pages: RunningService, origin: str, path: str, methods: str) -> None:
    """It names the origin, the methods of the path and the headers that a client needs, and allows no cookies."""
    response = await preflight(pages, path, origin)
    assert cors_headers(response) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": methods,
        "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, X-Request-Id",
        "access-control-max-age": "600",
        "access-control-expose-headers": "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id",
    }
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [OTHER, "null", "*", "", "https://shop.example.evil.example", "https://shop.example:443", "http://shop.example",
     "HTTPS://SHOP.EXAMPLE", "https://shop.example/", "https://bank.example", "\xe9"],
)  # fmt: skip
async def test_a_preflight_of_another_origin(pages: RunningService, origin: str) -> None:
    """Only exactly equal origins are allowed; for others nothing but Vary is added."""
    headers = {b"Origin": origin.encode("latin-1"), b"Access-Control-Request-Method": b"POST"}
    response = await pages.caller(None).options(REQUEST_CODE, headers=headers)
    assert (response.status_code, cors_headers(response), response.headers["vary"]) == (204, {}, "Origin")


async def test_options_without_a_preflight(pages: RunningService) -> None:
    """A plain OPTIONS of an allowed origin gets no permissions for a request."""
    response = await pages.caller(None).options(REQUEST_CODE, headers={"Origin": SHOP})
    assert set(cors_headers(response)) == {"access-control-allow-origin", "access-control-expose-headers"}


@pytest.mark.parametrize(
    ("key", "origin", "allowed"),
    [
        ("shop-page", SHOP, True),
        ("shop-page", BANK, False),  # an origin of another key
        ("shop-page", OTHER, False),
        ("bank-page", BANK, True),
        ("bank-page", SHOP, False),
        ("shop-app", SHOP, False),  # a publishable key without origins
        ("shop-backend", SHOP, False),  # a secret in a page
    ],
)
async def test_a_response_names_the_origin_that_its_key_allows(
    pages: RunningService, key: str, origin: str, *, allowed: bool
) -> None:
    """Results and problems are readable for the key's own origins only."""
    client = pages.caller(key)
    for path, body in ((NORMALIZE_PHONE, {"phone": "0812-1010-0055"}), (REQUEST_CODE, {}), (VERIFY_CODE, {})):
        response = await client.post(path, json=body, headers={"Origin": origin})
        assert response.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert response.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in response.headers


async def test_a_page_can_read_why_its_key_is_refused(pages: RunningService) -> None:
    """Before the key is known, the origins of all keys may read the problem."""
    response = await pages.caller("removed-key").post(REQUEST_CODE, json=REQUEST_BODY, headers={"Origin": SHOP})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (401, SHOP)
    response = await pages.caller("removed-key").post(REQUEST_CODE, json=REQUEST_BODY, headers={"Origin": OTHER})
    assert (response.status_code, cors_headers(response)) == (401, {})


async def test_a_caller_without_an_origin(pages: RunningService) -> None:
    """Apps and servers get their answers as before; caches know that the origin matters."""
    response = await pages.caller("shop-page").post(REQUEST_CODE, json=REQUEST_BODY)
    assert (response.status_code, cors_headers(response), response.headers["vary"]) == (202, {}, "Origin")


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/.well-known/jwks.json", "/schema/openapi.json", "/nothing"])
async def test_other_paths_allow_no_origin(pages: RunningService, path: str) -> None:
    """Paths without an API key have no CORS headers."""
    response = await pages.caller(None).get(path, headers={"Origin": SHOP})
    assert (cors_headers(response), "vary" in response.headers) == ({}, False)


async def test_without_origins_nothing_is_added(service: RunningService) -> None:
    """A config without `allowed_origins` has the responses of one that does not know them."""
    for headers in ({}, {"Origin": SHOP, "Access-Control-Request-Method": "POST"}):
        for response in (
            await service.client.options(REQUEST_CODE, headers=headers),
            await service.client.post(REQUEST_CODE, json={}, headers=headers),
        ):
            assert (cors_headers(response), "vary" in response.headers) == ({}, False)
