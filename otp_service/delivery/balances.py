"""Queries the balances of accounts, and closes circuits that are open for lack of funds.

A provider that rejected a message for lack of funds gets no messages for a while; then the next user's message would
be the probe. If its gateway reports the balance, no such probe is needed: every replica polls the balances of the
providers whose circuit is open for that reason, and closes the circuit once there are funds. A gateway may not name
the currency, so any balance above zero counts; if it does not cover the next message, the circuit opens again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from otp_service.delivery.provider_calls import call_safely
from otp_service.domain.errors import Refused
from otp_service.domain.message import Balance
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Circuits
from otp_service.observability import LOG, METRICS
from otp_service.providers.base import BalanceProvider, Provider

__all__ = ["POLL_INTERVAL_SECONDS", "BalanceMonitor", "fetch_balance"]

POLL_INTERVAL_SECONDS: Final = 30.0


async def fetch_balance(provider: Provider) -> Balance | Outcome | None:
    """Query the balance of a provider's account, within its timeout.

    Returns:
        The balance; the outcome if the query failed; None if the gateway cannot be queried for a balance.
    """
    if not isinstance(provider, BalanceProvider):
        return None
    balance = await call_safely(provider, provider.fetch_balance, Outcome.AMBIGUOUS)
    if isinstance(balance, Balance):
        METRICS.provider_balance.labels(provider.name).set(float(balance.amount))
    return balance


class BalanceMonitor:
    """Polls the balances of providers that are out of funds, from `start` to `stop`."""

    def __init__(
        self, circuits: Circuits, providers: Mapping[str, Provider], interval_seconds: float = POLL_INTERVAL_SECONDS
    ) -> None:
        """Poll those of `providers` that report a balance."""
        self._circuits = circuits
        self._providers = {
            name: provider for name, provider in providers.items() if isinstance(provider, BalanceProvider)
        }
        self._interval_seconds = interval_seconds
        self._polling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to poll, if any provider reports a balance."""
        if self._providers:
            self._polling = asyncio.create_task(self._poll(), name="balance-monitor")

    async def stop(self) -> None:
        """Stop polling."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            try:
                out_of_funds = await self._circuits.out_of_funds(list(self._providers))
                await asyncio.gather(*map(self._check_balance, out_of_funds))
            except Refused as refused:
                LOG.warning("balance_poll_failed", reason=refused.reason.value)
            except Exception:
                LOG.exception("balance_poll_failed")
            await asyncio.sleep(self._interval_seconds)

    async def _check_balance(self, name: str) -> None:
        """Query a balance, and close the provider's circuit if there are funds."""
        balance = await fetch_balance(self._providers[name])
        if isinstance(balance, Balance) and balance.amount > 0 and await self._circuits.close_after_top_up(name):
            METRICS.circuit_open.labels(name).set(0)
            LOG.info("circuit_closed", provider=name, why=Outcome.FUNDS.value)
