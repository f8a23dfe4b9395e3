"""The output of `providers`: one row for each provider, as a table and as a struct that is encoded as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from otp_service.cli.tables import align
from otp_service.domain import message
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Availability, ProviderState, millionths
from otp_service.providers.config_fields import CommonProvider
from otp_service.store.provider_status import ProviderStatus

__all__ = ["Balance", "Circuit", "ProviderRow", "Today", "build_row", "format_money", "format_table"]

_NONE: Final = "-"
_HEADER: Final = ("PROVIDER", "TYPE", "CIRCUIT", "CALLS", "RATE", "WAITING", "MESSAGES", "SPEND", "BALANCE")


class Circuit(Struct, frozen=True):
    """The circuit breaker: `half_open` means that the next message is a probe.

    `why` is the outcome that opened it, null while it is closed. `seconds_left` counts down to the next probe.
    `destinations` are the countries whose own circuit is not closed, with the seconds to the next probe there.
    """

    state: Literal["closed", "open", "half_open"]
    why: str | None = None
    seconds_left: int = 0
    destinations: dict[str, int] = {}


class Today(Struct, frozen=True):
    """Messages and spend of this day (UTC), and their caps; money is decimal text."""

    messages: int
    spend: str
    currency: str
    message_cap: int | None = None
    spend_cap: str | None = None


class Balance(Struct, frozen=True):
    """The account's balance, or in `error` the outcome of a query that failed."""

    amount: str | None = None
    currency: str = ""
    error: str | None = None


class ProviderRow(Struct, frozen=True, kw_only=True):
    """One provider."""

    name: str
    type: str
    circuit: Circuit
    calls: int
    max_concurrent: int
    max_per_second: float | None = None
    waiting: int
    today: Today
    balance: Balance | None = None


def format_money(amount: int) -> str:
    """Format millionths as decimal text without trailing zeros."""
    whole, rest = divmod(amount, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").removesuffix(".")


def build_row(
    name: str, config: CommonProvider, status: ProviderStatus, balance: message.Balance | Outcome | None
) -> ProviderRow:
    """Combine the configuration, the status in the store and the balance."""
    return ProviderRow(
        name=name,
        type=config.type,
        circuit=replace(
            _circuit(status.state),
            destinations={country: -(-ms // 1000) for country, ms in sorted(status.destinations.items())},
        ),
        calls=status.state.active_calls,
        max_concurrent=config.max_concurrent,
        max_per_second=config.max_per_second,
        waiting=status.waiting,
        today=_today(config, status.state),
        balance=_balance(balance),
    )


def _circuit(state: ProviderState) -> Circuit:
    if state.availability is Availability.OPEN:
        return Circuit("open", state.open_reason, -(-state.retry_in_ms // 1000))
    return Circuit("half_open", state.open_reason) if state.open_reason else Circuit("closed")


def _today(config: CommonProvider, state: ProviderState) -> Today:
    cap = config.daily_spend_cap
    spend_cap = None if cap is None else format_money(millionths(cap))
    return Today(state.messages, format_money(state.spend), config.currency, config.daily_message_cap, spend_cap)


def _balance(found: message.Balance | Outcome | None) -> Balance | None:
    match found:
        case None:
            return None
        case message.Balance(amount, currency):
            return Balance(_format_amount(amount), currency)
        case outcome:
            return Balance(error=outcome.value)


def _format_amount(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text


def format_table(rows: Sequence[ProviderRow]) -> str:
    """Align the rows in columns, under a header."""
    if not rows:
        return "no provider is configured"
    return align([_HEADER, *map(_cells, rows)])


def _cells(row: ProviderRow) -> tuple[str, ...]:
    rate = _NONE if row.max_per_second is None else f"{row.max_per_second:g}/s"
    today, cap = row.today, row.today.message_cap
    spend = today.spend if today.spend_cap is None else f"{today.spend}/{today.spend_cap}"
    return (
        row.name,
        row.type,
        _circuit_cell(row.circuit),
        f"{row.calls}/{row.max_concurrent}",
        rate,
        str(row.waiting),
        str(today.messages) if cap is None else f"{today.messages}/{cap}",
        f"{spend} {today.currency}",
        _balance_cell(row.balance),
    )


def _circuit_cell(circuit: Circuit) -> str:
    destinations = f", not to {' '.join(circuit.destinations)}" if circuit.destinations else ""
    return _state_cell(circuit) + destinations


def _state_cell(circuit: Circuit) -> str:
    match circuit.state:
        case "open":
            return f"open ({circuit.why}, {circuit.seconds_left} s)"
        case "half_open":
            return f"half open ({circuit.why})"
        case "closed":
            return "closed"


def _balance_cell(balance: Balance | None) -> str:
    if balance is None:
        return _NONE
    return f"{balance.amount} {balance.currency}".rstrip() if balance.error is None else balance.error
