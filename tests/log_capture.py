"""Capture of everything that is logged, and the search for digits in it."""

from __future__ import annotations

import contextlib
import io
import logging
import unicodedata
from collections.abc import Iterator

from otp_service.observability import configure_logging


@contextlib.contextmanager
def captured_logs() -> Iterator[io.StringIO]:
    """Catch everything that is logged, by us and by the libraries, as it would be written."""
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
    """Read all digits of a text as one run, whatever their script and whatever stands between them."""
    found = (unicodedata.digit(character, None) for character in text)
    return "".join(str(digit) for digit in found if digit is not None)
