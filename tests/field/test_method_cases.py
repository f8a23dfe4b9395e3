"""Paths and methods, as people in the field call them; a test's id is the case's."""

from __future__ import annotations

import httpx
import pytest

from tests.api.api_requests import BY_ID, JSON, NORMALIZE, REQUEST, UNKNOWN, VERIFY
from tests.problem_assertions import common, problem
from tests.running_service import World

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


@pytest.mark.parametrize("path", [pytest.param(path, id=f"C11-{path}") for path in (*GETS, BY_ID)])
async def test_head_is_answered_as_get(world: World, path: str) -> None:
    """The same status and headers, and no body; what needs a key needs it for both."""
    if path == BY_ID:
        path += (await world.requested())[0]
        problem(await world.caller(None).get(path), 401, "key_missing")
        assert (await world.caller(None).head(path)).status_code == 401
    head = await world.client.head(path)
    got = await world.client.get(path)
    assert (head.status_code, head.content) == (got.status_code, b"") == (200, b"")
    assert int(head.headers["content-length"]) > 0
    own = {"x-request-id", "date"} | (
        {"content-length"} if path == "/metrics" or BY_ID in path else set()
    )  # it changes
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in got.headers.items() if k not in own
    }
    common(head)


@pytest.mark.parametrize("path", ["/nothing", "/schema/nothing", BY_ID + UNKNOWN], ids=lambda path: f"C11-{path}")
async def test_head_of_nothing(world: World, path: str) -> None:
    """An error has no body either."""
    response = await world.client.head(path)
    assert (response.status_code, response.content) == (404, b"")
    assert response.headers["content-type"] == "application/problem+json"


METHODS = {
    REQUEST: "OPTIONS, POST",
    VERIFY: "OPTIONS, POST",
    NORMALIZE: "OPTIONS, POST",
    BY_ID + UNKNOWN: "DELETE, GET, HEAD, OPTIONS",
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
async def test_options_and_allow_name_all_methods(world: World, path: str) -> None:
    """A preflight is 204 without a key; Allow is whole there and at a 405, and each method in it is there."""
    nobody = world.caller(None)
    options = await nobody.options(path, headers={"Origin": "https://x", "Access-Control-Request-Method": "POST"})
    assert (options.status_code, options.content, options.headers["allow"]) == (204, b"", METHODS[path])
    assert "access-control-allow-origin" not in options.headers
    common(options)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        response = await nobody.request(method, path)
        assert (response.status_code == 405) is (method not in METHODS[path].split(", ")), method
        if response.status_code == 405:
            assert response.headers["allow"] == METHODS[path]
            if method != "HEAD":
                problem(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/v1", "/v1/verifications", "/v1/receipts", "/schema/nothing", "/schema/a/b"],
    ids=lambda path: f"C22-{path}",
)
async def test_what_is_not_there_is_404_for_every_method(world: World, path: str) -> None:
    """No method makes a path out of nothing."""
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "BREW"):
        response = await world.client.request(method, path)
        assert response.status_code == 404, method
        assert response.headers["content-type"] == "application/problem+json"


ODD_PATHS = [
    REQUEST + "/",
    "/" + REQUEST,
    REQUEST + "?phone=1",
    NORMALIZE + "//?x=%zz",
    "/%zz",
    "/livez/",
    "//livez",
    "/" + "a" * 60_000,
    "/a" * 30_000,
    BY_ID + "a" * 60_000,
]


@pytest.mark.parametrize("path", ODD_PATHS, ids=[f"C22-{n}" for n in range(len(ODD_PATHS))])
async def test_odd_paths_have_one_shape_of_answer(world: World, path: str) -> None:
    """More slashes, a query, bad escapes and endless paths: an answer of the contract, never a 500."""
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        response = await world.client.request(method, httpx.URL("http://service" + path), content=b"{}", headers=JSON)
        assert response.status_code in (200, 204, 400, 404, 405)
        common(response)
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
