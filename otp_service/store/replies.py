"""What the calls of a script return: its reply, or a refusal in its place."""

from __future__ import annotations

from typing import Any

from redis.exceptions import RedisError, ResponseError

from otp_service.domain.errors import Reason, Refused

__all__ = [
    "RETRY_AFTER_MS",
    "SAFE_EVICTION_POLICY",
    "EvictionRefused",
    "ScriptReply",
    "raise_refusals",
    "unavailable",
    "with_refusals",
]

ScriptReply = Any
"""What a script returns: numbers, bytes and lists of them. Only the typed methods of this package read it."""

RETRY_AFTER_MS = 1000
SAFE_EVICTION_POLICY = "noeviction"


class EvictionRefused(RedisError):
    """The server may evict keys, or does not report its policy (`policy` ""): it would forget wrong codes."""

    def __init__(self, policy: str) -> None:
        super().__init__(f"maxmemory-policy is {policy or 'unknown'}")
        self.policy = policy


def unavailable(cause: BaseException | None = None) -> Refused:
    """Return the refusal for a store that did not reply, or replied with the error `cause`."""
    evicts = isinstance(cause, EvictionRefused)
    detail = "The store may evict keys, or does not report its policy." if evicts else "The store does not answer."
    refused = Refused(Reason.STORE_UNAVAILABLE, detail, retry_after_ms=RETRY_AFTER_MS)
    refused.__cause__ = cause
    return refused


def with_refusals(replies: list[ScriptReply | ResponseError | Refused]) -> list[ScriptReply | Refused]:
    """Put a refusal in the place of each error of the server, which means that the script did no work."""
    for n, reply in enumerate(replies):
        if isinstance(reply, ResponseError):
            replies[n] = unavailable(reply)
    return replies


def raise_refusals(replies: list[ScriptReply | ResponseError | Refused]) -> list[ScriptReply]:
    """Raise the first refusal among `replies`, also that for an error of the server, or return them all."""
    for reply in replies:
        if isinstance(reply, Refused):
            raise reply
        if isinstance(reply, ResponseError):
            raise unavailable(reply)
    return replies
