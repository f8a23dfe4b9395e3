"""What an operator sees: one JSON line per outcome and a page of metrics. Neither holds a number, a code or a key.

Log lines go through one redactor, whatever wrote them: a text with six and more digits in all has every digit masked,
so that a secret in a foreign library's message, or one with letters between its digits, does not come through either.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any, Final, TextIO

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from structlog.typing import EventDict, WrappedLogger

__all__ = ["LOG", "METRICS", "Metrics", "configure_logging", "metrics_page", "redact"]

LOG: Final = structlog.get_logger("otp_service")

_FEWEST_DIGITS: Final = 6
_DIGIT: Final = (
    r"[\d\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c"
    r"\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\U00010a40-\U00010a43"
    r"\U00010e60-\U00010e68\U00011052-\U0001105a\U0001f100-\U0001f10a]"
)
"""Decimal digits of every script, and superscripts, circled ones and the like: what `str.isdigit` knows."""
_DIGITS: Final = re.compile(_DIGIT)

_PLAIN: Final = frozenset({"timestamp", "verification_id", "phone", "address", "peer_network", "exception"})
"""Members that are safe by their making: a time, our random ids, a masked number, where we listen, a network, and an
exception, whose words are redacted one by one."""
_OURS: Final = "_"
"""In front of the names of members that structlog has for itself; they are not written."""
_LONGEST_CHAIN: Final = 20
"""Exceptions behind one another that are told."""


def redact(text: str) -> str:
    """Mask every digit of a text that has six or more of them, whatever stands between: a number or a code."""
    if len(text) < _FEWEST_DIGITS:
        return text
    masked, digits = _DIGITS.subn("*", text)
    return text if digits < _FEWEST_DIGITS else masked


def _redact_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key not in _PLAIN and not key.startswith(_OURS):
            event[key] = _safe(value)
    return event


def _safe(value: Any) -> Any:
    """Redact a member: numbers and truths are ours, anything else is looked at as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(value if isinstance(value, str) else str(value))


def _describe_exception(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Write an exception: the places of its frames as they are, its words redacted, which may repeat anything."""
    info = event.pop("exc_info", None)
    problem = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(problem, BaseException):
        event["exception"] = "".join(_described(traceback.TracebackException.from_exception(problem), _LONGEST_CHAIN))
    return event


def _described(problem: traceback.TracebackException, depth: int) -> Iterator[str]:
    before = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)
    if before is not None and depth:
        yield from _described(before, depth - 1)
        yield "and then, because of it or while it was handled:\n"
    for frame in problem.stack.format():
        place, end, source = frame.partition("\n")
        yield place + end + redact(source)
    yield redact("".join(problem.format_exception_only()))
    for part in (problem.exceptions or ()) if depth else ():
        yield from _described(part, depth - 1)


def _json(event: Any, **_options: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except UnicodeEncodeError:  # half of a surrogate pair, which is no text
        return json.dumps(event, default=str)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; what cannot be written is not shown unredacted, as logging's own handler would."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Say that a line was lost."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(_json({"event": "log_line_lost", "logger": record.name, "level": "error"}) + "\n")


def configure_logging(level: str = "INFO") -> None:
    """Send our lines and those of the libraries to standard error as JSON, redacted, with UTC times."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(allow=[]),
        _describe_exception,
        _redact_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # httpx logs every URL, and a gateway's URL holds its password; uvicorn's access lines say what ours say better
    for noisy in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class Metrics:
    """Every metric there is. Labels are few and bounded: never a number, an id or free text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in `registry`."""
        self._of_requests(registry)
        self._of_gateways(registry)
        self._of_this_process(registry)
        self._of_connections(registry)

    def _of_requests(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "otp_requests", "HTTP requests, by route and status.", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "otp_request_seconds",
            "Time to answer, by route.",
            ["route"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=registry,
        )
        self.outcomes = Counter(
            "otp_outcomes", "What became of each use case.", ["tenant", "action", "outcome"], registry=registry
        )

        self.lockouts = Counter(
            "otp_lockouts",
            "Numbers that a wrong code locked: the wait after an exhausted verification, full windows, or disabled.",
            ["tenant", "kind"],
            registry=registry,
        )
        self.unlocks = Counter(
            "otp_unlocks",
            "Numbers that an operator unlocked over HTTP: was it locked?",
            ["tenant", "was_locked"],
            registry=registry,
        )

    def _of_gateways(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "otp_deliveries", "What gateways answered.", ["provider", "outcome"], registry=registry
        )
        self.receipts = Counter(
            "otp_receipts",
            "What gateways told later, by report or receipt: what it says, and whether it was news.",
            ["provider", "status", "noted"],
            registry=registry,
        )
        self.circuit_open = Gauge(
            "otp_circuit_open",
            "1 while a provider's circuit was last seen open.",
            ["provider"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.destination_circuit_open = Gauge(
            "otp_destination_circuit_open",
            "1 while a provider's circuit for the numbers of a country was last seen open.",
            ["provider", "country"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.provider_balance = Gauge(
            "otp_provider_balance",
            "What a provider's account held when it was last asked, in the account's currency.",
            ["provider"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

    def _of_this_process(self, registry: CollectorRegistry) -> None:
        self.hash_seconds = Histogram(
            "otp_hash_seconds",
            "Time of one Argon2id hash or comparison.",
            buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
            registry=registry,
        )
        self.hash_places = Gauge(
            "otp_hash_places_taken",
            "Requests that hold a place in the hash pool.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.outbox_age = Gauge(
            "otp_outbox_oldest_due_seconds",
            "How long the oldest due message has waited.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.outbox_waiting = Gauge(
            "otp_outbox_messages", "Messages in the outbox.", registry=registry, multiprocess_mode="livemax"
        )
        self.unreadable = Counter(
            "otp_records_unreadable", "Messages set aside because their record cannot be read.", registry=registry
        )

    def _of_connections(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "otp_connections", "Open HTTP connections.", registry=registry, multiprocess_mode="livesum"
        )
        self.connections_dropped = Counter(
            "otp_connections_dropped",
            "HTTP connections that the server ended: too late, too slow, or too many.",
            ["reason"],
            registry=registry,
        )


_REGISTRY: Final = CollectorRegistry()
METRICS: Final = Metrics(_REGISTRY)


def metrics_page(multiprocess_dir: str | None) -> bytes:
    """Render the metrics of this process, or of all workers when they share `multiprocess_dir`."""
    if multiprocess_dir:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, multiprocess_dir)
        return generate_latest(registry)
    return generate_latest(_REGISTRY)
