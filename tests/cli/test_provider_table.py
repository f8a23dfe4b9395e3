"""The table of `providers`."""

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
def test_money_has_no_trailing_zeros(amount: int, text: str) -> None:
    """Millionths are formatted exactly, as decimal text without trailing zeros."""
    assert format_money(amount) == text


def test_a_half_open_circuit_is_shown() -> None:
    """A circuit whose wait is over, with a reason, is half open: the next message is a trial."""
    config = InboxConfig(daily_message_cap=7)
    state = ProviderState(Availability.OK, 0, "funds", active_calls=3, messages=7, spend=0)
    row = build_row("box", config, ProviderStatus(state, waiting=4), Balance(Decimal(100), "EUR"))

    assert re.split(r" {2,}", format_table([row]).splitlines()[1]) == [
        *("box", "inbox", "half open (funds)", "3/16", "-", "4", "7/7", "0 USD", "100 EUR")
    ]
    assert format_table([]) == "no provider is configured"
