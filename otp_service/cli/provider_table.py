"""How a provider stands, as `providers` shows it: a row of a table for people, a struct for machines."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from otp_service.domain import message
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Availability, ProviderState, millionths
from otp_service.providers.config_fields import CommonProvider
from otp_service.store.provider_status import ProviderStatus

__all__ = ["Balance", "Circuit", "Row", "Today", "money", "row_of", "table"]

NONE: Final = "-"
_HEAD: Final = ("PROVIDER", "TYPE", "CIRCUIT", "CALLS", "PACE", "WAITING", "MESSAGES", "SPEND", "BALANCE")


class Circuit(Struct, frozen=True):
    """`half_open`: the next message tries it. `why` is an outcome's name, null while it is closed.

    `destinations`: the countries for which it is not closed, with the seconds until it is tried again.
    """

    state: Literal["closed", "open", "half_open"]
    why: str | None = None
    seconds_left: int = 0
    destinations: dict[str, int] = {}


class Today(Struct, frozen=True):
    """What was handed over on this day (UTC), and the caps; money as decimal text."""

    messages: int
    spend: str
    currency: str
    message_cap: int | None = None
    spend_cap: str | None = None


class Balance(Struct, frozen=True):
    """What the account holds, or the outcome's name where the gateway did not say."""

    amount: str | None = None
    currency: str = ""
    error: str | None = None


class Row(Struct, frozen=True, kw_only=True):
    """One provider; what is null cannot be said of it."""

    name: str
    type: str
    served: bool
    circuit: Circuit | None = None
    calls: int | None = None
    max_concurrent: int
    max_per_second: float | None = None
    waiting: int | None = None
    today: Today | None = None
    balance: Balance | None = None


def money(amount: int) -> str:
    """Write millionths as decimal text, without zeros at its end."""
    whole, rest = divmod(amount, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").removesuffix(".")


def row_of(
    name: str, config: CommonProvider, standing: ProviderStatus | None, balance: message.Balance | Outcome | None
) -> Row:
    """Put together what is configured, what the store knows (None: nothing acts on this provider) and the balance."""
    row = Row(
        name=name,
        type=config.type,
        served=standing is not None,
        max_concurrent=config.max_concurrent,
        max_per_second=config.max_per_second,
    )
    if standing is None:
        return row
    return replace(
        row,
        circuit=replace(
            _circuit(standing.state),
            destinations={country: -(-ms // 1000) for country, ms in sorted(standing.destinations.items())},
        ),
        calls=standing.state.active_calls,
        waiting=standing.waiting,
        today=_today(config, standing.state),
        balance=_balance(balance),
    )


def _circuit(state: ProviderState) -> Circuit:
    if state.availability is Availability.OPEN:
        return Circuit("open", state.open_reason, -(-state.retry_in_ms // 1000))
    return Circuit("half_open", state.open_reason) if state.open_reason else Circuit("closed")


def _today(config: CommonProvider, state: ProviderState) -> Today:
    cap = config.daily_spend_cap
    spend_cap = None if cap is None else money(millionths(cap))
    return Today(state.messages, money(state.spend), config.currency, config.daily_message_cap, spend_cap)


def _balance(found: message.Balance | Outcome | None) -> Balance | None:
    match found:
        case None:
            return None
        case message.Balance(amount, currency):
            return Balance(_plain(amount), currency)
        case outcome:
            return Balance(error=outcome.value)


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text


def table(rows: Sequence[Row]) -> str:
    """Write the rows in columns."""
    if not rows:
        return "no provider is configured"
    cells = [_HEAD, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cells(row: Row) -> tuple[str, ...]:
    pace = NONE if row.max_per_second is None else f"{row.max_per_second:g}/s"
    if row.circuit is None or row.today is None:
        return (row.name, row.type, "not served", *[NONE] * (len(_HEAD) - 3))
    today, cap = row.today, row.today.message_cap
    spend = today.spend if today.spend_cap is None else f"{today.spend}/{today.spend_cap}"
    return (
        row.name,
        row.type,
        _circuit_cell(row.circuit),
        f"{row.calls}/{row.max_concurrent}",
        pace,
        str(row.waiting),
        str(today.messages) if cap is None else f"{today.messages}/{cap}",
        f"{spend} {today.currency}",
        _balance_cell(row.balance),
    )


def _circuit_cell(circuit: Circuit) -> str:
    elsewhere = f", not to {' '.join(circuit.destinations)}" if circuit.destinations else ""
    return _state_cell(circuit) + elsewhere


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
        return NONE
    return f"{balance.amount} {balance.currency}".rstrip() if balance.error is None else balance.error
