"""Logs as JSON lines, and metrics for Prometheus. Neither contains a phone number, a code or a key.

All log lines, also those of libraries, pass one redactor: if a text has six or more digits in total, each of its digits
is masked. So a number or a code in the message of a library, or one with letters between its digits, is masked, too.
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

_MIN_SECRET_DIGITS: Final = 6
_DIGIT: Final = (
    r"[\d\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c"
    r"\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\U00010a40-\U00010a43"
    r"\U00010e60-\U00010e68\U00011052-\U0001105a\U0001f100-\U0001f10a]"
)
"""The digits that `str.isdigit` knows: decimal digits of every script, superscripts, circled digits and others."""
_DIGITS: Final = re.compile(_DIGIT)

_NOT_REDACTED: Final = frozenset({"timestamp", "verification_id", "phone", "address", "peer_network", "exception"})
"""Fields that cannot contain a secret: a time, random ids, a masked number, the address of the server, a network, and
an exception, which `_describe_exception` has redacted part by part."""
_INTERNAL_PREFIX: Final = "_"
"""The prefix of structlog's internal fields, which are not written."""
_MAX_CHAINED_EXCEPTIONS: Final = 20
"""How many causes of an exception, or exceptions in a group, are logged."""


def redact(text: str) -> str:
    """Mask all digits of a text that has six or more: they may be a phone number or a code, also with gaps."""
    if len(text) < _MIN_SECRET_DIGITS:
        return text
    masked, digits = _DIGITS.subn("*", text)
    return text if digits < _MIN_SECRET_DIGITS else masked


def _redact_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key not in _NOT_REDACTED and not key.startswith(_INTERNAL_PREFIX):
            event[key] = _redacted_value(value)
    return event


def _redacted_value(value: Any) -> Any:
    """Redact a field. Numbers and booleans are only logged by this service, so they are kept; all else is text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(value if isinstance(value, str) else str(value))


def _describe_exception(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Format an exception. File names and line numbers are kept; source lines and messages are redacted."""
    info = event.pop("exc_info", None)
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
    """Writes lines. If that fails it does not print the unredacted record, as the handlers of `logging` do."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Log that a line was lost."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(_json({"event": "log_line_lost", "logger": record.name, "level": "error"}) + "\n")


def configure_logging(level: str = "INFO") -> None:
    """Write all log lines, also those of libraries, to standard error: as JSON, redacted, with times in UTC.

    Args:
        level: The lowest level that is written.
    """
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
    # httpx logs every URL, and the URL of a gateway may contain a password; uvicorn's access lines repeat ours
    for noisy in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class Metrics:
    """All metrics. The values of labels are few and bounded: never a phone number, an id or free text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register all metrics in `registry`."""
        self._add_request_metrics(registry)
        self._add_provider_metrics(registry)
        self._add_process_metrics(registry)
        self._add_connection_metrics(registry)

    def _add_request_metrics(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "otp_requests", "HTTP requests, by route and status.", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "otp_request_seconds",
            "Time until the response is sent, by route.",
            ["route"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=registry,
        )
        self.outcomes = Counter(
            "otp_outcomes",
            "Use cases, by tenant, action and outcome.",
            ["tenant", "action", "outcome"],
            registry=registry,
        )
        self.lockouts = Counter(
            "otp_lockouts",
            "Numbers that a wrong code locked: by a waiting time, by the limit of wrong codes, or until unlocked.",
            ["tenant", "kind"],
            registry=registry,
        )
        self.unlocks = Counter(
            "otp_unlocks",
            "Unlock requests over HTTP, and whether the phone number was locked.",
            ["tenant", "was_locked"],
            registry=registry,
        )

    def _add_provider_metrics(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "otp_deliveries",
            "Calls to gateways to send a message, by outcome.",
            ["provider", "outcome"],
            registry=registry,
        )
        self.receipts = Counter(
            "otp_receipts",
            "Delivery receipts and polled reports of gateways, by status, and whether they changed the delivery.",
            ["provider", "status", "noted"],
            registry=registry,
        )
        self.circuit_open = Gauge(
            "otp_circuit_open",
            "1 if the provider's circuit was open when it was last read.",
            ["provider"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.destination_circuit_open = Gauge(
            "otp_destination_circuit_open",
            "1 if the provider's circuit for numbers of a country was open when it was last read.",
            ["provider", "country"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.provider_balance = Gauge(
            "otp_provider_balance",
            "Balance of the provider's account when it was last queried, in its currency.",
            ["provider"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

    def _add_process_metrics(self, registry: CollectorRegistry) -> None:
        self.hash_seconds = Histogram(
            "otp_hash_seconds",
            "Time of one Argon2id hash or comparison.",
            buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
            registry=registry,
        )
        self.hash_slots = Gauge(
            "otp_hash_places_taken",
            "Requests that hold a slot in the hash pool.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.outbox_age = Gauge(
            "otp_outbox_oldest_due_seconds",
            "How long the oldest due message in the outbox has been waiting.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.outbox_waiting = Gauge(
            "otp_outbox_messages", "Messages in the outbox.", registry=registry, multiprocess_mode="livemax"
        )
        self.unreadable = Counter(
            "otp_records_unreadable",
            "Messages that were set aside because their record cannot be decoded.",
            registry=registry,
        )

    def _add_connection_metrics(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "otp_connections", "Open HTTP connections.", registry=registry, multiprocess_mode="livesum"
        )
        self.connections_dropped = Counter(
            "otp_connections_dropped",
            "HTTP connections that the server closed, by reason: a deadline, a limit or a failure.",
            ["reason"],
            registry=registry,
        )


_REGISTRY: Final = CollectorRegistry()
METRICS: Final = Metrics(_REGISTRY)


def metrics_page(multiprocess_dir: str | None) -> bytes:
    """Return the metrics of this process in the Prometheus text format.

    Args:
        multiprocess_dir: The directory that all workers share; if given, the metrics are those of all workers.
    """
    if multiprocess_dir:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, multiprocess_dir)
        return generate_latest(registry)
    return generate_latest(_REGISTRY)
