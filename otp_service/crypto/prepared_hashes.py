"""Hashes of random keys that are computed in advance: while no other hash waits, or in turns when few are left.

A new code then needs no hash of its own at the moment of its request: `key` is combined with the peppered code by
exclusive or, and the result is stored beside the hash as its mask (see `hashing`). What is kept here are random keys,
not codes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from otp_service.observability import LOG

__all__ = ["PreparedHash", "PreparedHashes"]


class PreparedHash(NamedTuple):
    """A random key, and its hash as a PHC string (`$argon2id$...`)."""

    key: bytes
    phc: str


class PreparedHashes:
    """At most `count` prepared hashes; each is used once. Any thread may call the methods."""

    def __init__(self, count: int, make: Callable[[], PreparedHash]) -> None:
        """Make no hash yet: the first ones are prepared after the first call of `pop`."""
        self._count = count
        self._make = make
        self._ready: deque[PreparedHash] = deque()
        self._lock = threading.Lock()
        self._is_preparing = self._was_used = False

    def pop(self) -> PreparedHash | None:
        """Return a prepared hash, which nobody else gets; None if there is none."""
        self._was_used = True
        try:
            return self._ready.popleft()
        except IndexError:
            return None

    def is_low(self) -> bool:
        """Return whether less than a quarter is left."""
        return 4 * len(self._ready) < self._count

    def wants_more(self) -> bool:
        """Return whether another one should be prepared, and none is being prepared now."""
        return self._was_used and not self._is_preparing and len(self._ready) < self._count

    def prepare(self) -> None:
        """Prepare one, unless another thread is doing so: the other threads stay free for the hashes of requests.

        After an error, which the hashes of requests have as well, no more are prepared.
        """
        with self._lock:
            if not self.wants_more():
                return
            self._is_preparing = True
        try:
            self._ready.append(self._make())
        except Exception:
            LOG.exception("hash_not_prepared")
            self._count = 0
        finally:
            self._is_preparing = False
