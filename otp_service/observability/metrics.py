"""Metrics for Prometheus. The values of labels are few and bounded: never a phone number, an id or free text."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, multiprocess, values

from otp_service.observability.metric_types import Counter, Gauge, Histogram

__all__ = ["METRICS", "Metrics", "metrics_page", "share_metrics"]


class Metrics:
    """All metrics. The values of labels are few and bounded: never a phone number, an id or free text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.start(registry)

    def start(self, registry: CollectorRegistry) -> None:
        """Start all metrics at zero, in `registry`."""
        self._add_request_metrics(registry)
        self._add_key_metrics(registry)
        self._add_provider_metrics(registry)
        self._add_feedback_metrics(registry)
        self._add_guard_metrics(registry)
        self._add_process_metrics(registry)
        self._add_connection_metrics(registry)
        self._add_webhook_metrics(registry)

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
        self.captcha_checks = Counter(
            "otp_captcha_checks",
            "Captcha tokens and attested keys, by verifier and result; allowed_unverified: served without a check.",
            ["verifier", "result"],
            registry=registry,
        )
        self.access_tokens = Counter(
            "otp_access_tokens",
            "Access tokens, by issuer and result: verified, remembered, or why the token was refused.",
            ["issuer", "result"],
            registry=registry,
        )
        self.issuer_fetches = Counter(
            "otp_issuer_fetches",
            "Fetches of the key sets of token issuers, by result.",
            ["issuer", "result"],
            registry=registry,
        )
        self.unlocks = Counter(
            "otp_unlocks",
            "Unlock requests over HTTP, and whether the phone number was locked.",
            ["tenant", "was_locked"],
            registry=registry,
        )
        self.audit_failures = Counter(
            "otp_audit_failures", "Lines of the audit log that could not be written.", registry=registry
        )

    def _add_key_metrics(self, registry: CollectorRegistry) -> None:
        self.api_key_expiry = Gauge(
            "otp_api_key_expiry_timestamp_seconds",
            "When an API key with `expires_at` expires, in Unix time; +Inf once it is no longer configured.",
            ["tenant", "api_key"],
            registry=registry,
            multiprocess_mode="livemostrecent",
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

    def _add_feedback_metrics(self, registry: CollectorRegistry) -> None:
        self.short_links = Counter(
            "otp_short_links",
            "Messages with an address, by whether the gateway made a short one of it or the full one was sent.",
            ["provider", "result"],
            registry=registry,
        )
        self.link_clicks = Counter(
            "otp_link_clicks",
            "Calls of gateways that say that a short address was opened.",
            ["provider"],
            registry=registry,
        )
        self.inbound_messages = Counter(
            "otp_inbound_messages",
            "Messages that people sent to a gateway's number, by what they ask for: opt_out, opt_in or other.",
            ["provider", "action"],
            registry=registry,
        )
        self.conversion_feedback = Counter(
            "otp_conversion_feedback",
            "Reports to gateways that a message was verified, by outcome; dropped: too many were waiting.",
            ["provider", "outcome"],
            registry=registry,
        )

    def _add_guard_metrics(self, registry: CollectorRegistry) -> None:
        self.guard_decisions = Counter(
            "otp_guard_decisions",
            "Requests in which a rule of the guard found something, by the mode of the tenant: observe or deny.",
            ["rule", "country", "mode"],
            registry=registry,
        )

    def _add_process_metrics(self, registry: CollectorRegistry) -> None:
        self.hash_seconds = Histogram(
            "otp_hash_seconds",
            "Time of one Argon2id hash or comparison.",
            buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
            registry=registry,
        )
        self.hash_slots = Gauge(
            "otp_hash_slots_in_use",
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

    def _add_webhook_metrics(self, registry: CollectorRegistry) -> None:
        self.webhook_attempts = Counter(
            "otp_webhook_attempts",
            "Attempts to deliver an event, by endpoint and by the class of the status or what prevented an answer.",
            ["endpoint", "result"],
            registry=registry,
        )
        self.webhook_events = Counter(
            "otp_webhook_events",
            "Events that were delivered, given up after the last attempt, or dropped because too many were waiting.",
            ["endpoint", "result"],
            registry=registry,
        )
        self.webhook_waiting = Gauge(
            "otp_webhook_waiting",
            "Events that wait for an endpoint.",
            ["endpoint"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.webhook_disabled = Gauge(
            "otp_webhook_disabled",
            "1 if the endpoint has answered 410 and gets no events until it is enabled.",
            ["endpoint"],
            registry=registry,
            multiprocess_mode="livemax",
        )


_REGISTRY: Final = CollectorRegistry()
METRICS: Final = Metrics(_REGISTRY)


def share_metrics() -> None:
    """Keep the metrics of this process where `metrics_page` finds those of all workers: in PROMETHEUS_MULTIPROC_DIR.

    prometheus_client reads that variable when it is imported; a forked worker has imported it before it was set. A
    metric or its child that was taken from `METRICS` before this call is not shared.
    """
    values.ValueClass = values.get_value_class()
    METRICS.start(CollectorRegistry())


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
