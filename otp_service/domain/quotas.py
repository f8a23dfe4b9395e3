"""The rate limits of a request that its caller may know, in the terms of RateLimit header fields for HTTP.

Each window of a limit is one quota policy. The first window has the name of its limit; the name of a further one ends
with its seconds, such as `recipient_86400`.

A policy says what is configured, a state how much of it is left. A state is sent only if it reveals nothing about the
requests of others: for a quota that the caller uses alone, or when a quota is used up and the response denies the
request because of it. Limits of a recipient, of a block of numbers or of an address that the caller names count all
tenants: what is left of them would reveal to one tenant that another has sent a message to a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from otp_service.domain.limits import RateLimit, Window

__all__ = ["NO_QUOTAS", "QuotaPolicy", "QuotaState", "Quotas", "own_states", "policies_of", "violated_states"]

NOT_ADVERTISED: Final = frozenset({"country", "global", "publishable_key", "tenant"})
"""Limits of total volumes, which one caller alone cannot keep: sent only to a caller that uses them alone."""


class QuotaPolicy(msgspec.Struct, frozen=True):
    """At most `quota` requests in any span of `seconds`; 0: the span has no fixed length."""

    name: str
    quota: int
    seconds: int


class QuotaState(msgspec.Struct, frozen=True):
    """How many requests of a policy are left, and after how many ms there are more; 0: not known."""

    name: str
    remaining: int
    wait_ms: int


class Quotas(msgspec.Struct, frozen=True):
    """The policies and the states that may be sent with a response."""

    policies: tuple[QuotaPolicy, ...] = ()
    states: tuple[QuotaState, ...] = ()


NO_QUOTAS: Final = Quotas()


@lru_cache(maxsize=256)
def policies_of(limit: str, windows: tuple[Window, ...], *, is_own: bool = False) -> tuple[QuotaPolicy, ...]:
    """Return the policies of a limit that may be advertised; `is_own`: the caller uses it alone.

    The results are kept: the limits and their windows are those of the configuration.
    """
    if limit in NOT_ADVERTISED and not is_own:
        return ()
    return tuple(QuotaPolicy(_name(limit, windows, at), one.count, one.seconds) for at, one in enumerate(windows))


def violated_states(limit: str, windows: Sequence[Window], waits_ms: Iterable[bytes | int]) -> tuple[QuotaState, ...]:
    """Return the states of the windows that are used up; `waits_ms` has one for each window, 0: it is not."""
    return tuple(
        QuotaState(_name(limit, windows, at), 0, wait_ms)
        for at, wait_ms in enumerate(map(int, waits_ms))
        if wait_ms > 0
    )


def own_states(rate_limit: RateLimit, left: Sequence[bytes | int]) -> tuple[QuotaState, ...]:
    """Return the states of a limit that the caller uses alone.

    `left` has two numbers for each window: the requests that are left, and the ms until there are more.
    """
    pairs = zip(left[::2], left[1::2], strict=True)
    return tuple(
        QuotaState(_name(rate_limit.limit, rate_limit.windows, at), int(remaining), int(wait_ms))
        for at, (remaining, wait_ms) in enumerate(pairs)
    )


def _name(limit: str, windows: Sequence[Window], at: int) -> str:
    return f"{limit}_{windows[at].seconds}" if at else limit
