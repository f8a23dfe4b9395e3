"""Simulated EIMS gateways for the tests of the adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

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


@pytest.fixture
def log_events() -> Iterator[list[EventDict]]:
    """Return the service's own log events, as they are before anything in them is redacted."""
    with capture_logs() as events:
        yield events
