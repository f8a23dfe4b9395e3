"""The bounds of the calls to a captcha vendor: their number at once, and a pause after failures in a row."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otp_service.domain.captcha import CaptchaCheck, CaptchaCheckResult, CaptchaResult, CaptchaVerifier

__all__ = ["BoundedVerifier"]

FAILURES_TO_OPEN: Final = 5
"""Failures in a row after which a verifier is not called for a while."""

OPEN_SECONDS: Final = 10.0
"""For how long it is not called; then one call probes it."""


@dataclass(slots=True)
class BoundedVerifier:
    """A verifier with its bounds.

    Attributes:
        verifier: The verifier.
        max_concurrent: The calls that may be in progress at once in this process.
        allows_on_failure: Whether requests pass while the vendor does not respond.
        clock: Returns seconds that never go back.
    """

    verifier: CaptchaVerifier
    max_concurrent: int
    allows_on_failure: bool = False
    clock: Callable[[], float] = time.monotonic
    _calls: int = 0
    _failures: int = 0
    _open_until: float = 0.0

    def is_busy(self) -> bool:
        """Return whether no further call may be started."""
        return self._calls >= self.max_concurrent

    async def verify(self, check: CaptchaCheck) -> CaptchaCheckResult:
        """Ask the verifier, unless it has failed repeatedly a moment ago."""
        now = self.clock()
        if now < self._open_until:
            return CaptchaCheckResult(CaptchaResult.UNAVAILABLE, "circuit_open")
        if self._failures >= FAILURES_TO_OPEN:
            self._open_until = now + OPEN_SECONDS  # for all others, while this call probes
        self._calls += 1
        try:
            checked = await self.verifier.verify(check)
        finally:
            self._calls -= 1
        if checked.result is CaptchaResult.UNAVAILABLE:
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN:
                self._open_until = self.clock() + OPEN_SECONDS
        else:
            self._failures, self._open_until = 0, 0.0
        return checked
