"""Fixtures for delivery tests: simulated EIMS gateways on loopback, stopped after each test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otp_service.delivery import outbox_worker
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.delivery.gateway_config import ACCOUNT, PASSWORD, GatewayFactory


@pytest.fixture(autouse=True)
def _short_poll_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll the outbox more often than in production, so that tests wait less."""
    monkeypatch.setattr(outbox_worker, "POLL_INTERVAL_SECONDS", 0.05)


@pytest.fixture
async def make_gateway() -> AsyncIterator[GatewayFactory]:
    """Start simulated gateways with the options that a test needs."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(**options: Any) -> EimsSimulator:
            return await stack.enter_async_context(EimsSimulator(ACCOUNT, PASSWORD, **options))

        yield make


@pytest.fixture
async def gateway(make_gateway: GatewayFactory) -> EimsSimulator:
    """A simulated gateway that accepts every message."""
    return await make_gateway()


@pytest.fixture
async def second(make_gateway: GatewayFactory) -> EimsSimulator:
    """A second simulated gateway, for failover."""
    return await make_gateway()
