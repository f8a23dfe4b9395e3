"""Assertions about problem responses and about what every response has."""

from __future__ import annotations

from typing import Any

import httpx

from tests.structured_fields import parse_quota_list

REQUEST_CODE_MEMBERS = {
    "verification_id": str,
    "status": str,
    "purpose": str,
    "channel": str,
    "phone": str,
    "country": str,
    "code_length": int,
    "expires_at": str,
    "expires_in": int,
    "resend_at": str,
    "resend_in": int,
    "attempts_left": int,
    "sends_left": int,
}
"""The members of the 202 response of request-code, with their types."""


UTC_TIME_PATTERN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


PROBLEM_MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def assert_problem(response: httpx.Response, status: int, code: str, *more: str) -> dict[str, Any]:
    """Assert that a response is this problem, with exactly the extra members `more`; return its body."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), response.text
    assert_common_headers(response)
    assert body["request_id"] == response.headers["x-request-id"]
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    waits = {"retry_after"} if "retry-after" in response.headers else set()
    assert waits or status not in (429, 503)
    used_up = _used_up_policies(response)
    assert set(body) == PROBLEM_MEMBERS | waits | set(more) | ({"violated-policies"} if used_up else set()), body
    assert sorted(body.get("violated-policies", [])) == sorted(used_up)
    if waits:
        assert max(used_up.values(), default=1) <= body["retry_after"]
        assert response.headers["retry-after"] == str(body["retry_after"])
        assert body["retry_after"] >= 1
    return body


def _used_up_policies(response: httpx.Response) -> dict[str, int]:
    """Return the quota policies that a problem says are used up, with the seconds until there is more."""
    if "ratelimit" not in response.headers:
        return {}
    items = parse_quota_list(response.headers["ratelimit"])
    assert all(item.parameters.keys() == {"r", "t"} and item.parameters["r"] == 0 for item in items), items
    return {item.value: item.parameters["t"] for item in items}


def assert_common_headers(response: httpx.Response) -> None:
    """Assert the headers that every response has."""
    assert response.headers.get_list("cache-control") == ["no-store"]
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]
    assert len(response.headers.get_list("x-request-id")) == 1
    assert response.headers["x-request-id"]


def problem_code(response: httpx.Response) -> str:
    """Return the code of a problem, or the HTTP status of another response as text."""
    return str(response.json().get("code", response.status_code))


def assert_rate_limited(response: httpx.Response, limit: str, most: int = 3600) -> int:
    """Assert that a response is `rate_limited` by `limit`; return its Retry-After, which is at most `most`."""
    body = assert_problem(response, 429, "rate_limited", "limit")
    assert body["limit"] == limit
    wait: int = body["retry_after"]
    assert most - 5 <= wait <= most
    return wait


def assert_one_field_error(response: httpx.Response) -> tuple[str, str]:
    """Assert that a response reports one invalid member; return its JSON pointer and the detail."""
    [error] = assert_problem(response, 400, "request_malformed", "errors")["errors"]
    assert "^" not in error["detail"] and "$" not in error["detail"]  # no regular expression
    return error["pointer"], error["detail"]
