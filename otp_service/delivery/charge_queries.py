"""Queries the price of a message at gateways that report it only to queries, some time after the message was sent.

A message whose receipt has come is not polled any more, so its price is queried once or twice in the background. If the
process stops before, the configured price stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from otp_service.delivery.provider_calls import call_safely
from otp_service.delivery.report_polling import correct_charge
from otp_service.domain.message import DeliveryReport, Receipt
from otp_service.domain.provider_policy import Charges
from otp_service.providers.base import ChargeQueryProvider, Provider

__all__ = ["ChargeQueries"]

DELAYS_SECONDS: Final = (30.0, 300.0)
"""When the price is queried after the receipt, and when again if it is not known yet."""

MAX_WAITING: Final = 5000
"""Messages whose price is not known yet; for more of them, the configured price stays."""


class ChargeQueries:
    """The queries of this process that are still due."""

    def __init__(self, providers: Mapping[str, Provider], charges: Charges) -> None:
        """Query those of `providers` that report a price to queries only, and count it in `charges`."""
        self._providers = {
            name: provider
            for name, provider in providers.items()
            if isinstance(provider, ChargeQueryProvider) and provider.queries_charge
        }
        self._charges = charges
        self._waiting: set[asyncio.Task[None]] = set()

    def query_later(self, name: str, receipt: Receipt) -> None:
        """Query the price of a message whose final receipt has come, unless too many are waiting."""
        provider = self._providers.get(name)
        if provider is None or not receipt.provider_message_id or len(self._waiting) >= MAX_WAITING:
            return
        task = asyncio.create_task(self._query(provider, receipt))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def stop(self) -> None:
        """Drop what is still due."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _query(self, provider: ChargeQueryProvider, receipt: Receipt) -> None:
        for delay in DELAYS_SECONDS:
            await asyncio.sleep(delay)
            query = partial(provider.fetch_report, receipt.provider_message_id)
            report = await call_safely(provider, query, DeliveryReport(None))
            await correct_charge(self._charges, provider.name, receipt.message_id, report)
            if report.charged is not None:
                return
