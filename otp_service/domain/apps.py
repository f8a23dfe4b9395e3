"""The apps of a tenant: the last line of an SMS, from which a web site or an Android app reads the code.

A web site reads `@login.example.com #123456` (WebOTP; "Origin-bound one-time codes delivered via SMS", WICG; Apple's
domain-bound codes are the same line). An Android app reads a message that contains the hash of its package and
certificate (SMS Retriever API). Never both, because a message is for one app.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from otp_service.domain.sms_segments import measure

__all__ = ["ANDROID_MAX_BYTES", "App"]

ANDROID_MAX_BYTES: Final = 140
"""The longest message that the SMS Retriever API reads. Google does not say how it counts: see `SmsSize.bytes`."""


@dataclass(frozen=True, slots=True)
class App:
    """One app: `domain` is the host of a web site, or `hash` that of an Android app; the other one is ""."""

    domain: str = ""
    hash: str = ""

    def add_line(self, text: str, code: str) -> str:
        """Return the text with the app's line.

        The line is left out if Android would not read the text because of its length: it would only cost money.
        """
        with_line = f"{text}\n{self.last_line(code)}"
        return text if self.is_too_long(with_line) else with_line

    def last_line(self, code: str) -> str:
        """Return the line that the app looks for."""
        return self.hash or f"@{self.domain} #{code}"

    def is_too_long(self, text: str) -> bool:
        """Return whether a text, which has the line of the app, is longer than the app reads."""
        return bool(self.hash) and measure(text).bytes > ANDROID_MAX_BYTES
