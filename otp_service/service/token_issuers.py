"""The key sets of token issuers: cached, refreshed before they are too old, and fetched at a limited rate.

A key set is fetched when the service starts, again after `ttl_seconds`, and when a token names a key that it does not
have, because an issuer may have changed its keys. Anybody can name an unknown key, so two fetches are at least
`min_refresh_seconds` apart, and all requests that wait for a fetch wait for the same one. While the issuer does not
respond, the last key set is used for `max_stale_seconds`; then its tokens are refused as `issuer_unavailable`. So is a
token with an unknown key meanwhile: the key may be new, and "invalid" would make its client request further tokens.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from otp_service.crypto.jwt_verification import InvalidToken, KeySet, TokenRules, VerificationKey, parse_key_set
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG, METRICS

__all__ = ["FetchedKeys", "KeySetPolicy", "TokenIssuer"]

FAILED_FETCH_RETRY_SECONDS: Final = 5.0
"""The delay after a failed fetch; `min_refresh_seconds` if that is shorter."""


@dataclass(frozen=True, slots=True)
class KeySetPolicy:
    """For how long a key set is used: until it is fetched again, between two fetches, and while fetches fail."""

    ttl_seconds: float = 3600.0
    min_refresh_seconds: float = 30.0
    max_stale_seconds: float = 86_400.0


@dataclass(slots=True)
class FetchedKeys:
    """The key set that was fetched last, and when, in seconds of a clock that never goes back.

    It may outlive its issuer object, so that no keys are lost when the configuration is reloaded during an outage.
    """

    keys: KeySet = field(default_factory=dict)
    at: float = -math.inf


class TokenIssuer:
    """An issuer of access tokens, with its current keys."""

    def __init__(
        self,
        name: str,
        rules: TokenRules,
        fetch: Callable[[], Awaitable[bytes | None]],
        policy: KeySetPolicy,
        clock: Callable[[], float] = time.monotonic,
        *,
        fetched: FetchedKeys | None = None,
    ) -> None:
        """Use the keys that `fetch` returns (None: it failed), and before the first fetch those of `fetched`.

        `clock` returns seconds that never go back.
        """
        self.name = name
        self.rules = rules
        self._fetch = fetch
        self._policy = policy
        self._clock = clock
        self._fetched = FetchedKeys() if fetched is None else fetched
        self._next_fetch_at = -math.inf
        self._has_failed = False  # the last fetch
        self._fetching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to fetch the keys, without waiting for them."""
        self._start_fetch()

    async def stop(self) -> None:
        """Cancel a fetch in progress."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def known_key(self, key_id: str, algorithm: str) -> VerificationKey | None:
        """Return a key that is in the cache and not too old, without waiting; refresh the cache if it is due."""
        age = self._clock() - self._fetched.at
        if age >= self._policy.ttl_seconds:
            self._start_fetch()
        return self._fetched.keys.get((key_id, algorithm)) if age < self._policy.max_stale_seconds else None

    async def key(self, key_id: str, algorithm: str) -> VerificationKey | None:
        """Return the key of a token; None if the issuer has no such key.

        Raises:
            Refused: `issuer_unavailable`: the key is not among those that may be used, and none can be fetched now.
        """
        if (key := self.known_key(key_id, algorithm)) is not None:
            return key
        self._start_fetch()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
        is_too_old = self._clock() - self._fetched.at >= self._policy.max_stale_seconds
        found = None if is_too_old else self._fetched.keys.get((key_id, algorithm))
        if found is None and (is_too_old or self._has_failed):
            detail = "The issuer of the token cannot be reached. Send the request again after `retry_after` seconds."
            wait_ms = int(max(0.0, self._next_fetch_at - self._clock()) * 1000)
            raise Refused(Reason.ISSUER_UNAVAILABLE, detail, retry_after_ms=wait_ms)
        return found

    def _start_fetch(self) -> None:
        """Start a fetch, unless one is in progress or it is too soon for another one."""
        if self._fetching is None and self._clock() >= self._next_fetch_at:
            self._next_fetch_at = math.inf
            self._fetching = asyncio.create_task(self._refresh(), name=f"issuer-keys-{self.name}")

    async def _refresh(self) -> None:
        wait_seconds = min(FAILED_FETCH_RETRY_SECONDS, self._policy.min_refresh_seconds)
        is_fetched = False
        try:
            if (body := await self._fetch()) is not None:
                self._fetched.keys = parse_key_set(body, self.rules.algorithms)
                self._fetched.at = self._clock()
                wait_seconds = self._policy.min_refresh_seconds
                is_fetched = True
        except InvalidToken:
            LOG.warning("issuer_fetch_failed", issuer=self.name, why="no_usable_keys")
        except Exception as error:
            LOG.error("issuer_fetch_failed", issuer=self.name, why=type(error).__name__, exc_info=error)
        finally:
            self._next_fetch_at = self._clock() + wait_seconds
            self._fetching = None
            self._has_failed = not is_fetched
            METRICS.issuer_fetches.labels(self.name, "ok" if is_fetched else "failed").inc()
