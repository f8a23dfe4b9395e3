"""Logs as JSON lines on one stream. They contain no phone number, no code and no key.

All log lines, also those of libraries, pass one redactor: if a text has six or more digits in total, each of its digits
is masked. So a number or a code in the message of a library, or one with letters between its digits, is masked, too.
The text before an @, back to a space or bracket, is masked as the local part of an e-mail address.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import re
import string
import sys
import time
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

__all__ = ["LOG", "REQUEST_ID", "configure_logging", "redact"]

LOGGER_NAME: Final = "otp_service"
LOG: Final = structlog.get_logger(LOGGER_NAME)
REQUEST_ID: Final = ContextVar("request_id", default="")
"""The id of the request that is being answered: in every line that is logged meanwhile."""

_MIN_SECRET_DIGITS: Final = 6
_DIGIT: Final = (
    r"[\d\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c"
    r"\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\U00010a40-\U00010a43"
    r"\U00010e60-\U00010e68\U00011052-\U0001105a\U0001f100-\U0001f10a]"
)
"""The digits that `str.isdigit` knows: decimal digits of every script, superscripts, circled digits and others."""
_DIGITS: Final = re.compile(_DIGIT)
_ASCII_DIGITS: Final = string.digits.encode()
_ASCII_MASK: Final = bytes.maketrans(_ASCII_DIGITS, b"*" * len(_ASCII_DIGITS))

_NOT_REDACTED: Final = frozenset(
    {"timestamp", "verification_id", "event_id", "api_key", "phone", "email", "address", "peer_network", "exception"}
    | {"_record", "_from_structlog"}
)
"""Fields that cannot contain a secret: a time, random ids, the configured name of an API key or client, a masked number
or e-mail address, the address of the server, a network, and an exception, which `_describe_exception` has redacted part
by part. The last two are structlog's own, and are not written."""
_BEFORE_ADDRESS: Final = ' \t\r\n<>()[]",;:\\'
"""Characters that no local part has unquoted, so that an address ends there on its left."""
_KEPT_TYPES: Final = (int, float, type(None))
_MAX_CHAINED_EXCEPTIONS: Final = 20
"""How many causes of an exception, or exceptions in a group, are logged."""


def redact(text: str) -> str:
    """Mask the local parts of e-mail addresses, and all digits of a text that has six or more.

    The digits may be a phone number or a code, also with gaps.
    """
    if "@" in text:
        text = _mask_local_parts(text)
    if len(text) < _MIN_SECRET_DIGITS:
        return text
    if text.isascii():  # most texts are, and then this is several times as fast as the expression
        raw = text.encode()
        digits = len(raw) - len(raw.translate(None, _ASCII_DIGITS))
        return text if digits < _MIN_SECRET_DIGITS else raw.translate(_ASCII_MASK).decode()
    masked, digits = _DIGITS.subn("*", text)
    return text if digits < _MIN_SECRET_DIGITS else masked


def _mask_local_parts(text: str) -> str:
    """Replace the text before each @ by `***`, back to a character that ends an address. Linear in the text."""
    *before, rest = text.split("@")
    starts = [max(map(part.rfind, _BEFORE_ADDRESS)) + 1 for part in before]
    return "@".join([*(part[:start] + "***" for part, start in zip(before, starts, strict=True)), rest])


def _redact_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Redact every field. Numbers and booleans are only logged by this service, so they are kept; all else is text.

    All texts are first redacted as one, because few lines contain anything to mask: no text has more digits than all of
    them together, and the line feed between two of them ends an address.
    """
    texts: dict[str, str] = {}
    for key, value in event.items():
        if key not in _NOT_REDACTED and not isinstance(value, _KEPT_TYPES):
            texts[key] = value if isinstance(value, str) else str(value)
    joined = "\n".join(texts.values())
    if redact(joined) != joined:
        for key, text in texts.items():
            texts[key] = redact(text)
    event.update(texts)
    return event


def _add_request_id(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    if request_id := REQUEST_ID.get():
        event.setdefault("request_id", request_id)
    return event


def _describe_exception(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Format an exception. File names and line numbers are kept; source lines and messages are redacted."""
    info = event.pop("exc_info", method == "exception")
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = "".join(
            _format_chain(traceback.TracebackException.from_exception(error), _MAX_CHAINED_EXCEPTIONS)
        )
    return event


def _format_chain(error: traceback.TracebackException, depth: int) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth:
        yield from _format_chain(cause, depth - 1)
        yield "The exception above was the cause of the following one, or was being handled when it occurred:\n"
    for frame in error.stack.format():
        location, newline, source = frame.partition("\n")
        yield location + newline + redact(source)
    yield redact("".join(error.format_exception_only()))
    for member in (error.exceptions or ()) if depth else ():
        yield from _format_chain(member, depth - 1)


def _json(event: Any, **_options: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except UnicodeEncodeError:  # a lone surrogate cannot be encoded
        return json.dumps(event, default=str)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines, ours directly and those of libraries through `logging`, to one stream.

    If that fails it does not print the unredacted record, as the handlers of `logging` do.
    """

    def write_line(self, line: str) -> None:
        """Write a line that is already redacted. A stream that is closed or full loses it."""
        try:
            with self.lock or contextlib.nullcontext():
                self.stream.write(line + "\n")
                self.stream.flush()
        except (OSError, ValueError):
            return

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Log that a line was lost."""
        self.write_line(_json({"event": "log_line_lost", "logger": record.name, "level": "error"}))


_HANDLER: Final = _Handler(sys.stderr)


@functools.lru_cache(maxsize=2)  # the lines of a second share it
def _second(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat()[:19]


def _line_of(_logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Return the whole line of an event: one processor, because eight small ones take twice as long."""
    level = structlog.processors.NAME_TO_LEVEL[method]
    if level < _HANDLER.level:
        raise structlog.DropEvent
    if "exc_info" in event or method == "exception":
        _describe_exception(_logger, method, event)
    _add_request_id(_logger, method, event)
    _redact_event(_logger, method, event)
    event["level"] = "error" if method == "exception" else method
    event["logger"] = LOGGER_NAME
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    event["timestamp"] = f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"
    return _json(event)


class _Logger(structlog.BoundLogger):
    """Logs an event in one step: structlog's own takes two, each with a copy of the fields."""

    def _proxy_to_logger(self, method_name: str, event: str | None = None, **fields: Any) -> None:
        line: Any = {**self._context, **fields, "event": event}
        try:
            for processor in self._processors:
                line = processor(self._logger, method_name, line)
        except structlog.DropEvent:
            return
        self._logger.write_line(line)


_PROCESSORS: Final[list[Any]] = [_line_of]
"""For the service's own lines. They do not pass `logging`, which costs more than all of this."""


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Write all log lines, also those of libraries, as JSON, redacted, with times in UTC.

    Args:
        level: The lowest level that is written.
        stream: Where lines are written; by default standard error.
    """
    _HANDLER.stream = stream or sys.stderr
    _HANDLER.setLevel(level)
    _HANDLER.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                _add_request_id,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.stdlib.ExtraAdder(allow=[]),
                _describe_exception,
                _redact_event,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_json),
            ],
        )
    )
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=lambda *_: _HANDLER,
        wrapper_class=_Logger,
        cache_logger_on_first_use=True,
    )
    for method in ("debug", "info", "warning", "error", "exception"):
        setattr(LOG, method, getattr(LOG, method))  # otherwise structlog finds it by two calls for each line
    root = logging.getLogger()
    root.handlers[:] = [_HANDLER]
    root.setLevel(level)
    # httpx logs every URL, and the URL of a gateway may contain a password; uvicorn's access lines repeat ours
    for noisy in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
