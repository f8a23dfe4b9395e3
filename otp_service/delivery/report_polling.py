"""Queries gateways for the delivery reports of messages that they accepted.

Only for gateways that can be queried (`PollingProvider`); the receipts that gateways send by themselves are read in
`receipts.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from otp_service.delivery.provider_calls import call_safely
from otp_service.delivery.retry_policy import report_query_delay_ms
from otp_service.domain.errors import Refused
from otp_service.domain.message import DeliveryReport
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.provider_policy import Charges
from otp_service.domain.verification import Delivery
from otp_service.providers.base import PollingProvider, Provider

__all__ = ["correct_charge", "pollable", "polling_provider", "query_delay_ms", "query_report"]


def pollable(providers: Mapping[str, Provider]) -> dict[str, PollingProvider]:
    """Return those of `providers` that are queried for reports.

    Looked up once, because the check of a provider against the protocol takes 20 us.
    """
    return {
        name: provider
        for name, provider in providers.items()
        if isinstance(provider, PollingProvider) and _first_query_ms(provider)
    }


def polling_provider(polled: Mapping[str, PollingProvider], delivery: Delivery) -> PollingProvider | None:
    """Return which of the `polled` providers to query for the report of a delivery; None if there is none to query."""
    is_sent = delivery.status == DeliveryStatus.SENT and delivery.provider_message_id
    return polled.get(delivery.provider) if is_sent else None


def query_delay_ms(provider: PollingProvider, delivery: Delivery, now_ms: int) -> int:
    """Return in how many ms to query the report of a delivery next; queries become rarer with its age."""
    return report_query_delay_ms(delivery.at_ms, now_ms, _first_query_ms(provider))


async def query_report(provider: PollingProvider, delivery: Delivery) -> DeliveryReport:
    """Query the report of a delivery; a failed query is a report without a status."""
    return await call_safely(
        provider, lambda: provider.fetch_report(delivery.provider_message_id), DeliveryReport(None)
    )


async def correct_charge(charges: Charges, provider: str, message_id: str, report: DeliveryReport) -> None:
    """Count what the gateway charged for a message, if its report contains that."""
    if report.charged is not None:
        with contextlib.suppress(Refused):  # the store is unavailable: our own price stays
            await charges.correct_charge(provider, message_id, report.charged, report.charged_currency)


def _first_query_ms(provider: PollingProvider) -> int:
    return int(provider.first_report_seconds * 1000)
