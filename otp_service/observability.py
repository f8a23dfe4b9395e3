"""What an operator sees: one JSON line per outcome and a page of metrics. Neither holds a number, a code or a key.

Log lines go through one redactor, whatever wrote them: runs of six and more digits are masked, so that a secret in
a foreign library's message does not come through either.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from structlog.typing import EventDict, WrappedLogger

__all__ = ["LOG", "METRICS", "Metrics", "configure_logging", "metrics_page", "redact"]

LOG: Final = structlog.get_logger("otp_service")

_BETWEEN = r"[\s()\[\]./\u2010-\u2015\u2212\u30fc\ufe58\ufe63\uff08\uff09\uff0d-\uff0f-]"
"""What may stand between the digits of a number that `domain.phone` reads."""
_DIGITS = re.compile(rf"\+?\d(?:{_BETWEEN}{{0,3}}\d){{5,}}")
_PLAIN = frozenset({"timestamp", "request_id", "verification_id", "phone", "address"})
"""Members that are safe by their making: a time, random ids, a masked number, where we listen."""


def redact(text: str) -> str:
    """Mask every run of six and more digits, also with separators between them: a number or a code."""
    return _DIGITS.sub("***", text)


def _redact_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key not in _PLAIN and isinstance(value, str):
            event[key] = redact(value)
    return event


def _redact_message(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    event["event"] = redact(str(event.get("event", "")))
    return event


def _json(event: Any, **_options: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def configure_logging(level: str = "INFO") -> None:
    """Send our lines and those of the libraries to standard error as JSON, redacted, with UTC times."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(allow=[]),
        structlog.processors.format_exc_info,
        _redact_event,
        _redact_message,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
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


_REGISTRY: Final = CollectorRegistry()
METRICS: Final = Metrics(_REGISTRY)


def metrics_page(multiprocess_dir: str | None) -> bytes:
    """Render the metrics of this process, or of all workers when they share `multiprocess_dir`."""
    if multiprocess_dir:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, multiprocess_dir)
        return generate_latest(registry)
    return generate_latest(_REGISTRY)
