"""Reports to gateways which of their messages were verified, if their providers are configured for it.

A gateway can then prefer the routes whose codes arrive. Nothing waits for a report: the message is put into a queue of
its provider and reported in the background, once. Messages that do not fit into the queue are dropped, and so are those
that wait in it when the process stops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from otp_service.delivery.provider_calls import call_safely
from otp_service.domain.outcomes import Outcome
from otp_service.domain.verification import VerificationRecord
from otp_service.observability import LOG, METRICS
from otp_service.providers.base import FeedbackProvider, Provider

__all__ = ["ConversionFeedback"]

MAX_WAITING: Final = 1000
"""Messages that wait for each provider."""

CONCURRENT_CALLS: Final = 2
DROPPED: Final = "dropped"


class ConversionFeedback:
    """The queues of this process."""

    def __init__(self, providers: Mapping[str, Provider], clock: Callable[[], float] = time.time) -> None:
        """Report to those of `providers` that take feedback; `clock` returns Unix seconds."""
        self._providers = {
            name: provider
            for name, provider in providers.items()
            if isinstance(provider, FeedbackProvider) and provider.takes_feedback
        }
        self._queues: dict[str, asyncio.Queue[tuple[str, float]]] = {
            name: asyncio.Queue(MAX_WAITING) for name in self._providers
        }
        self._clock = clock
        self._sending: list[asyncio.Task[None]] = []

    def confirm(self, record: VerificationRecord) -> None:
        """Report a verified code to the providers that had accepted its message; returns at once."""
        for delivery in record.deliveries:
            queue = self._queues.get(delivery.provider)
            if queue is None or not delivery.is_accepted or not delivery.provider_message_id:
                continue
            try:
                queue.put_nowait((delivery.provider_message_id, self._clock()))
            except asyncio.QueueFull:
                METRICS.conversion_feedback.labels(delivery.provider, DROPPED).inc()

    def start(self) -> None:
        """Start to send, if any provider takes feedback."""
        self._sending = [
            asyncio.create_task(self._send_all(name), name=f"conversion-feedback-{name}")
            for name in self._providers
            for _ in range(CONCURRENT_CALLS)
        ]

    async def stop(self) -> None:
        """Stop at once."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send_all(self, name: str) -> None:
        provider, queue = self._providers[name], self._queues[name]
        while True:
            feedback = partial(provider.send_feedback, *await queue.get())
            outcome = await call_safely(provider, feedback, Outcome.AMBIGUOUS)
            METRICS.conversion_feedback.labels(name, outcome.value).inc()
            if outcome is not Outcome.ACCEPTED:
                LOG.info("conversion_feedback_failed", provider=name, outcome=outcome.value)
