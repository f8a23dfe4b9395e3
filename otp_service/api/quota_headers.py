"""The `RateLimit-Policy` and `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers-10): lists of RFC 9651.

`domain/quotas.py` decides which quotas are sent. There is no partition key (`pk`): it would name a recipient or an
address. `w` and `t` are whole seconds. `t` is rounded up, as `Retry-After` is.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from operator import attrgetter
from typing import Final

from otp_service.domain.quotas import QuotaPolicy, Quotas, QuotaState

__all__ = ["QUOTA_HEADERS", "quota_headers", "violated_policies"]

_POLICY: Final = b"ratelimit-policy"
_STATE: Final = b"ratelimit"

QUOTA_HEADERS: Final = {
    "RateLimit-Policy": "The configured limits: q requests (of sends, or of wrong codes) in w seconds.",
    "RateLimit": "What is left: r requests, and t seconds until there are more.",
}
"""The headers, with their descriptions for the OpenAPI document."""


def quota_headers(quotas: Quotas) -> list[tuple[bytes, bytes]]:
    """Return the headers for `quotas`, without empty ones."""
    headers = [(_POLICY, _policy_list(quotas.policies))] if quotas.policies else []
    if quotas.states:
        headers.append((_STATE, _state_list(quotas.states)))
    return headers


def violated_policies(quotas: Quotas) -> list[str]:
    """Return the names of the policies that are used up, the one with the longest wait first."""
    by_wait = sorted(quotas.states, key=attrgetter("wait_ms"), reverse=True)
    return [state.name for state in by_wait if not state.remaining]


@functools.lru_cache(maxsize=256)
def _policy_list(policies: tuple[QuotaPolicy, ...]) -> bytes:
    return _list(
        f'"{one.name}";q={one.quota};w={one.seconds}' if one.seconds else f'"{one.name}";q={one.quota}'
        for one in policies
    )


@functools.lru_cache(maxsize=256)
def _state_list(states: tuple[QuotaState, ...]) -> bytes:
    return _list(_state_item(state) for state in states)


def _state_item(state: QuotaState) -> str:
    item = f'"{state.name}";r={state.remaining}'
    return f"{item};t={-(-state.wait_ms // 1000)}" if state.wait_ms else item


def _list(items: Iterable[str]) -> bytes:
    return ", ".join(items).encode()
