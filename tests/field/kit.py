"""What the field cases share."""

from __future__ import annotations

import httpx

from tests.api.kit import problem


def pointed(response: httpx.Response) -> tuple[str, str]:
    """Hold an answer to be about one mistake; give where it is and what to do."""
    [error] = problem(response, 400, "request_malformed", "errors")["errors"]
    assert "^" not in error["detail"] and "$" not in error["detail"]  # no regular expression
    return error["pointer"], error["detail"]
