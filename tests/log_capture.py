"""Capture of the log, and the digits in a text."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import unicodedata
from collections.abc import Iterator
from typing import Any

from otp_service.observability import configure_logging


@contextlib.contextmanager
def captured_logs() -> Iterator[io.StringIO]:
    """Capture the log lines of the service and of all libraries, as they are written."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logging("DEBUG", stream)
    try:
        yield stream
    finally:
        configure_logging()
        root.handlers[:] = handlers
        root.setLevel(level)


def digits_in(text: str) -> str:
    """Return all digits of a text, of any script, as one ASCII string."""
    found = (unicodedata.digit(character, None) for character in text)
    return "".join(str(digit) for digit in found if digit is not None)


def request_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the log lines of requests in a captured log."""
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in lines if line["event"] == "request"]
