"""Fixtures: a receiver of webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.webhooks.webhook_receiver import WebhookReceiver


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """Run a receiver."""
    async with WebhookReceiver() as running:
        yield running
