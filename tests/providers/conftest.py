"""Simulated EIMS gateways for the tests of the adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.providers.eims_provider import eims_gateway


@pytest.fixture
async def gateway() -> AsyncIterator[EimsSimulator]:
    """A simulated gateway that accepts every message."""
    async with eims_gateway() as running:
        yield running


@pytest.fixture
async def second() -> AsyncIterator[EimsSimulator]:
    """A second simulated gateway, which must not be called."""
    async with eims_gateway() as running:
        yield running
