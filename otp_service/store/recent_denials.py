"""Which recipients were denied a code a moment ago. It only decides how a request is sent, never whether it is denied.

A request that will be denied should acquire nothing, because what it acquires has to be released in another round trip.
The store decides again on every request. This process remembers only a few recipients, by their keyed hashes.
"""

from __future__ import annotations

import time
from typing import Final

from otp_service.domain.results import Admission

__all__ = ["RecentDenials"]

_MAX_RECIPIENTS: Final = 10_000


class RecentDenials:
    """The recipients whose request was denied, with the time until which a further denial is expected."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str, str], float] = {}

    def expects(self, admission: Admission) -> bool:
        """Return whether the request will probably be denied. One with an idempotency key may be answered instead."""
        return admission.idempotency is None and self._until.get(_key(admission), 0.0) > time.monotonic()

    def add(self, admission: Admission, wait_ms: int) -> None:
        """Remember a denial; all others are forgotten when there are too many."""
        if len(self._until) >= _MAX_RECIPIENTS:
            self._until.clear()
        self._until[_key(admission)] = time.monotonic() + wait_ms / 1000

    def discard(self, admission: Admission) -> None:
        """Forget a denial that is over."""
        self._until.pop(_key(admission), None)


def _key(admission: Admission) -> tuple[str, str, str]:
    return (admission.tenant, admission.recipient, admission.purpose)
