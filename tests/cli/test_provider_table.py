"""How the standing of a provider is written for people."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from otp_service.cli.provider_table import build_row, format_money, format_table
from otp_service.domain.message import Balance
from otp_service.domain.provider_policy import Availability, ProviderState
from otp_service.providers.inbox import InboxConfig
from otp_service.store.provider_status import ProviderStatus


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (1, "0.000001"), (15_000, "0.015"), (1_000_000, "1"), (20_500_000, "20.5"), (10_000_000, "10")],
)
def test_money_is_written_without_zeros(amount: int, text: str) -> None:
    """Exactly, whatever there is of it."""
    assert format_money(amount) == text


def test_a_circuit_to_be_tried_is_shown() -> None:
    """Its time is over, and the next message tries it: it is neither open nor closed."""
    config = InboxConfig(daily_message_cap=7)
    state = ProviderState(Availability.OK, 0, "funds", active_calls=3, messages=7, spend=0)
    row = build_row("box", config, ProviderStatus(state, waiting=4), Balance(Decimal(100), "EUR"))

    assert re.split(r" {2,}", format_table([row]).splitlines()[1]) == [
        *("box", "inbox", "half open (funds)", "3/16", "-", "4", "7/7", "0 USD", "100 EUR")
    ]
    assert format_table([]) == "no provider is configured"
