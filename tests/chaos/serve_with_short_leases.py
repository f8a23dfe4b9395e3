"""`otp-service` with short leases: `python -m tests.chaos.serve_with_short_leases serve --config ...`.

With leases, backoffs and circuits of the real length a scenario would take minutes. The order of the durations is
kept: a message waits for a slot within its lease, and the timeout of a call ends well before its lease.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from otp_service.delivery import balances, outbox_worker, outbox_writer, provider_calls
from otp_service.domain.outcomes import Outcome
from otp_service.store import idempotency_keys, outbox, provider_limits, verifications

__all__ = ["DURATIONS", "shorten"]

DURATIONS: Final[tuple[tuple[ModuleType, str, Any], ...]] = (
    (outbox_writer, "RECORD_MARGIN_MS", 1_000),
    (outbox_writer, "CONTINUE_LEASE_MS", 1_500),
    (provider_calls, "SLOT_WAIT_SECONDS", 0.5),
    (outbox_worker, "POLL_INTERVAL_SECONDS", 0.25),
    (balances, "POLL_INTERVAL_SECONDS", 0.5),
    (outbox, "LEASE_MS", 1_500),
    (verifications, "FIRST_LEASE_MS", 1_500),
    (idempotency_keys, "OWNER_TIMEOUT_MS", 2_000),
    (provider_limits, "OPEN_MS", {Outcome.CONFIG_ERROR: (400, 800), Outcome.FUNDS: (800, 1_600), None: (300, 600)}),
)


def shorten() -> None:
    """Set the durations.

    Raises:
        AttributeError: A constant has a different name now.
    """
    for module, name, value in DURATIONS:
        getattr(module, name)
        setattr(module, name, value)


if __name__ == "__main__":
    shorten()
    from otp_service.cli import main  # imported after the change, so that imports by name get the short duration

    main()
