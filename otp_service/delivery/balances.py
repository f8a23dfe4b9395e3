"""The watch over empty accounts: a circuit that is open for want of money closes as soon as there is some.

A gateway that refused a message for its funds is not asked for a while, and would then be tried with somebody's text.
Where it tells the account's balance that is not needed: every replica asks now and then, only gateways whose circuit is
open for that reason, and closes the circuit when there is something again. How much is enough nobody knows (a gateway
may name no currency), so anything above zero is; if it does not pay for the next message, the circuit opens again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from otp_service.delivery.provider_calls import ask
from otp_service.domain.errors import Refused
from otp_service.domain.message import Balance
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Circuits
from otp_service.observability import LOG, METRICS
from otp_service.providers.base import BalanceProvider, Provider

__all__ = ["POLL_INTERVAL_SECONDS", "BalanceMonitor", "fetch_balance"]

POLL_INTERVAL_SECONDS: Final = 30.0


async def fetch_balance(provider: Provider) -> Balance | Outcome | None:
    """Ask a gateway for its balance, within its timeout: the outcome where it does not say; None: it never does."""
    if not isinstance(provider, BalanceProvider):
        return None
    balance = await ask(provider, provider.fetch_balance, Outcome.AMBIGUOUS)
    if isinstance(balance, Balance):
        METRICS.provider_balance.labels(provider.name).set(float(balance.amount))
    return balance


class BalanceMonitor:
    """Looks after the providers that tell their balance, from `start` to `stop`."""

    def __init__(
        self, circuits: Circuits, providers: Mapping[str, Provider], every_seconds: float = POLL_INTERVAL_SECONDS
    ) -> None:
        """Look at `circuits` every so many seconds."""
        self._circuits = circuits
        self._providers = {
            name: provider for name, provider in providers.items() if isinstance(provider, BalanceProvider)
        }
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, if anybody tells a balance."""
        if self._providers:
            self._task = asyncio.create_task(self._watch(), name="balances")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                empty = await self._circuits.out_of_funds(list(self._providers))
                await asyncio.gather(*map(self._look_at, empty))
            except Refused as refused:
                LOG.warning("balances_unwatched", reason=refused.reason.value)
            except Exception:
                LOG.exception("balances_unwatched")
            await asyncio.sleep(self._every_seconds)

    async def _look_at(self, name: str) -> None:
        """Ask for the balance, and close the circuit if there is one."""
        balance = await fetch_balance(self._providers[name])
        if isinstance(balance, Balance) and balance.amount > 0 and await self._circuits.close_after_top_up(name):
            METRICS.circuit_open.labels(name).set(0)
            LOG.info("circuit_closed", provider=name, why=Outcome.FUNDS.value)
