"""Gateways to deliver to, and services that do: simulators on loopback, each dropped at its test's end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otp_service.delivery import outbox_worker
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.delivery.gateway_config import ACCOUNT, PASSWORD, GatewayFactory


@pytest.fixture(autouse=True)
def _quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look through the outbox more often than in real life, so that tests wait less."""
    monkeypatch.setattr(outbox_worker, "POLL_INTERVAL_SECONDS", 0.05)


@pytest.fixture
async def make_gateway() -> AsyncIterator[GatewayFactory]:
    """Start simulated gateways with options of one's own."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(**options: Any) -> EimsSimulator:
            return await stack.enter_async_context(EimsSimulator(ACCOUNT, PASSWORD, **options))

        yield make


@pytest.fixture
async def gateway(make_gateway: GatewayFactory) -> EimsSimulator:
    """One simulated gateway that takes everything."""
    return await make_gateway()


@pytest.fixture
async def second(make_gateway: GatewayFactory) -> EimsSimulator:
    """Another one, to fail over to."""
    return await make_gateway()
