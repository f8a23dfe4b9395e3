"""The spend history in Redis: messages and money of each day (UTC) by provider, country, currency and tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from otp_service.store.keys import ProviderKeys, provider_keys
from otp_service.store.recipient_data import scan_names
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["MAX_DAYS", "DaySpend", "find_providers", "read_spend"]

MAX_DAYS = 32
"""Today and the last 31 days are kept; `lua/_spend_history.lua` has the same number."""

_EPOCH = date(1970, 1, 1)
_MESSAGES, _SPEND = "m", "s"


@dataclass(frozen=True, slots=True)
class DaySpend:
    """What was handed over to a provider on one day, of one country and tenant; `spend` in millionths of `currency`."""

    day: date
    provider: str
    country: str
    tenant: str
    currency: str
    messages: int
    spend: int


async def find_providers(topology: Topology) -> set[str]:
    """Return the providers that have a spend history, also those that are not configured any more.

    It looks at the name of every key: 1,000,000 keys take a few seconds.

    Raises:
        Refused: The store is not available, or does not allow SCAN.
    """
    any_history = ProviderKeys("*").spend_history
    before, after = any_history.split("*")
    found: set[str] = set()
    for key in await topology.node_keys():
        async for names in scan_names(topology, key, f"{any_history}*"):
            found.update(name.removeprefix(before).partition(after)[0] for name in names)
    return found


async def read_spend(topology: Topology, providers: Iterable[str], days: int) -> tuple[date, list[DaySpend]]:
    """Return today, and what was spent on each of the last `days` days, today included.

    Days are those of the store's clock; without providers, today is that of this machine.

    Raises:
        Refused: The store is not available.
    """
    found: dict[tuple[str, int], list[DaySpend]] = {}
    for name in providers:  # one batch for each, so that a long list does not delay the messages of the service
        for reply in await topology.send([_day_call(name, ago) for ago in range(days)]):
            found[name, int(reply[0])] = list(_read_day(name, reply))  # a day that ends meanwhile may be read twice
    today = max((day for _, day in found), default=0)
    if not found:  # no provider
        return datetime.now(UTC).date(), []
    return _date(today), [row for (_, day), rows in found.items() if day > today - days for row in rows]


def _day_call(provider: str, days_ago: int) -> ScriptCall:
    keys = provider_keys(provider)
    return ScriptCall(script("spend_history"), (keys.usage,), (keys.spend_history, days_ago))


def _read_day(provider: str, reply: ScriptReply) -> Iterator[DaySpend]:
    """Read a day; what cannot be read, or is empty because everything was refunded, is left out."""
    day, *items = reply
    sums: dict[str, dict[str, int]] = {}
    for field, number in _pairs(items):
        kind, _, group = field.partition(":")
        sums.setdefault(group, {})[kind] = number
    for group, numbers in sums.items():
        country, _, rest = group.partition(":")
        currency, _, tenant = rest.partition(":")
        messages, spend = max(0, numbers.get(_MESSAGES, 0)), max(0, numbers.get(_SPEND, 0))
        if messages or spend:
            yield DaySpend(_date(int(day)), provider, country, tenant, currency, messages, spend)


def _pairs(items: Sequence[bytes]) -> Iterator[tuple[str, int]]:
    for name, value in zip(items[::2], items[1::2], strict=True):
        text = value.decode(errors="replace")
        if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit():
            yield name.decode(errors="replace"), int(text)


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)
