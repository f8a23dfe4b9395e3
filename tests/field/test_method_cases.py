"""Paths and methods as clients use them; cases from public bug reports, with their ids."""

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
    """HEAD has the status and headers of GET and no body, and needs an API key where GET does."""
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
    )  # it changes between the requests
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in got.headers.items() if k not in own
    }
    assert_common_headers(head)


@pytest.mark.parametrize(
    "path", ["/nothing", "/schema/nothing", VERIFICATIONS + UNKNOWN_ID], ids=lambda path: f"C11-{path}"
)
async def test_head_of_an_error_has_no_body(service: RunningService, path: str) -> None:
    """A HEAD request that fails gets no body."""
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
    """OPTIONS gets 204 without an API key; its Allow, and that of a 405, lists exactly the existing methods."""
    anonymous = service.caller(None)
    options = await anonymous.options(path, headers={"Origin": "https://x", "Access-Control-Request-Method": "POST"})
    assert (options.status_code, options.content, options.headers["allow"]) == (204, b"", METHODS[path])
    assert "access-control-allow-origin" not in options.headers
    assert_common_headers(options)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        response = await anonymous.request(method, path)
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
async def test_an_unknown_path_is_404_for_every_method(service: RunningService, path: str) -> None:
    """Every method, also OPTIONS, gets 404 on an unknown path."""
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
async def test_odd_paths_get_a_problem(service: RunningService, path: str) -> None:
    """Extra slashes, a query, bad escapes and very long paths get a documented response, never a 500."""
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        response = await service.client.request(
            method, httpx.URL("http://service" + path), content=b"{}", headers=JSON_HEADERS
        )
        assert response.status_code in (200, 204, 400, 404, 405)
        assert_common_headers(response)
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
