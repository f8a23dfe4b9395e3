"""Capture of the log, and the digits in a text."""

from __future__ import annotations

import contextlib
import io
import logging
import unicodedata
from collections.abc import Iterator

from otp_service.observability import configure_logging


@contextlib.contextmanager
def captured_logs() -> Iterator[io.StringIO]:
    """Capture the log lines of the service and of all libraries, as they are written."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging("DEBUG")
    stream = io.StringIO()
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    try:
        yield stream
    finally:
        root.handlers[:], level = before
        root.setLevel(level)


def digits_in(text: str) -> str:
    """Return all digits of a text, of any script, as one ASCII string."""
    found = (unicodedata.digit(character, None) for character in text)
    return "".join(str(digit) for digit in found if digit is not None)
