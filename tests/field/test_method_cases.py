"""Paths and methods, as people in the field call them; a test's id is the case's."""

from __future__ import annotations

import httpx
import pytest

from tests.api.api_requests import JSON_HEADERS, NORMALIZE_PHONE, REQUEST_CODE, UNKNOWN_ID, VERIFICATIONS, VERIFY_CODE
from tests.problem_assertions import assert_common_headers, assert_problem
from tests.running_service import RunningService

GETS = [
    "/livez",
    "/readyz",
    "/metrics",
    "/.well-known/jwks.json",
    "/schema",
    "/schema/openapi.json",
    "/",
    "/dev/messages",
]


@pytest.mark.parametrize("path", [pytest.param(path, id=f"C11-{path}") for path in (*GETS, VERIFICATIONS)])
async def test_head_is_answered_as_get(service: RunningService, path: str) -> None:
    """The same status and headers, and no body; what needs a key needs it for both."""
    if path == VERIFICATIONS:
        path += (await service.request_code())[0]
        assert_problem(await service.caller(None).get(path), 401, "key_missing")
        assert (await service.caller(None).head(path)).status_code == 401
    head = await service.client.head(path)
    got = await service.client.get(path)
    assert (head.status_code, head.content) == (got.status_code, b"") == (200, b"")
    assert int(head.headers["content-length"]) > 0
    own = {"x-request-id", "date"} | (
        {"content-length"} if path == "/metrics" or VERIFICATIONS in path else set()
    )  # it changes
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in got.headers.items() if k not in own
    }
    assert_common_headers(head)


@pytest.mark.parametrize(
    "path", ["/nothing", "/schema/nothing", VERIFICATIONS + UNKNOWN_ID], ids=lambda path: f"C11-{path}"
)
async def test_head_of_nothing(service: RunningService, path: str) -> None:
    """An error has no body either."""
    response = await service.client.head(path)
    assert (response.status_code, response.content) == (404, b"")
    assert response.headers["content-type"] == "application/problem+json"


METHODS = {
    REQUEST_CODE: "OPTIONS, POST",
    VERIFY_CODE: "OPTIONS, POST",
    NORMALIZE_PHONE: "OPTIONS, POST",
    VERIFICATIONS + UNKNOWN_ID: "DELETE, GET, HEAD, OPTIONS",
    "/v1/receipts/inbox/token": "GET, OPTIONS, POST, PUT",
    "/v1/receipts/inbox": "GET, OPTIONS, POST, PUT",
    "/livez": "GET, HEAD, OPTIONS",
    "/readyz": "GET, HEAD, OPTIONS",
    "/metrics": "GET, HEAD, OPTIONS",
    "/.well-known/jwks.json": "GET, HEAD, OPTIONS",
    "/schema": "GET, HEAD, OPTIONS",
    "/schema/openapi.json": "GET, HEAD, OPTIONS",
    "/": "GET, HEAD, OPTIONS",
    "/dev/messages": "GET, HEAD, OPTIONS",
}


@pytest.mark.parametrize("path", METHODS, ids=lambda path: f"C21-{path}")
async def test_options_and_allow_name_all_methods(service: RunningService, path: str) -> None:
    """A preflight is 204 without a key; Allow is whole there and at a 405, and each method in it is there."""
    nobody = service.caller(None)
    options = await nobody.options(path, headers={"Origin": "https://x", "Access-Control-Request-Method": "POST"})
    assert (options.status_code, options.content, options.headers["allow"]) == (204, b"", METHODS[path])
    assert "access-control-allow-origin" not in options.headers
    assert_common_headers(options)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        response = await nobody.request(method, path)
        assert (response.status_code == 405) is (method not in METHODS[path].split(", ")), method
        if response.status_code == 405:
            assert response.headers["allow"] == METHODS[path]
            if method != "HEAD":
                assert_problem(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/v1", "/v1/verifications", "/v1/receipts", "/schema/nothing", "/schema/a/b"],
    ids=lambda path: f"C22-{path}",
)
async def test_what_is_not_there_is_404_for_every_method(service: RunningService, path: str) -> None:
    """No method makes a path out of nothing."""
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "BREW"):
        response = await service.client.request(method, path)
        assert response.status_code == 404, method
        assert response.headers["content-type"] == "application/problem+json"


ODD_PATHS = [
    REQUEST_CODE + "/",
    "/" + REQUEST_CODE,
    REQUEST_CODE + "?phone=1",
    NORMALIZE_PHONE + "//?x=%zz",
    "/%zz",
    "/livez/",
    "//livez",
    "/" + "a" * 60_000,
    "/a" * 30_000,
    VERIFICATIONS + "a" * 60_000,
]


@pytest.mark.parametrize("path", ODD_PATHS, ids=[f"C22-{n}" for n in range(len(ODD_PATHS))])
async def test_odd_paths_have_one_shape_of_answer(service: RunningService, path: str) -> None:
    """More slashes, a query, bad escapes and endless paths: an answer of the contract, never a 500."""
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        response = await service.client.request(
            method, httpx.URL("http://service" + path), content=b"{}", headers=JSON_HEADERS
        )
        assert response.status_code in (200, 204, 400, 404, 405)
        assert_common_headers(response)
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
