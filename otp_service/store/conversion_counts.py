"""The conversion counts of all replicas: one hash for each minute, kept while its messages matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from otp_service.domain.conversion import COUNTED_MINUTES, CountKey
from otp_service.domain.errors import Refused
from otp_service.domain.verification import MAX_CODE_AGE_MS
from otp_service.store.keys import conversion_key
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisConversionCounts"]

MAX_FIELDS: Final = 1_000
"""The maximum number of counts of one minute: two for each provider and prefix, enough for 500 of these pairs."""

_MS_PER_MINUTE: Final = 60_000
_KEEP_MS: Final = (COUNTED_MINUTES + 1) * _MS_PER_MINUTE
_CHANGING_MINUTES: Final = MAX_CODE_AGE_MS // _MS_PER_MINUTE + 2
"""A code can be verified until it expires, so the counts of older minutes do not change and are read once."""

_SENT: Final = "s"
_VERIFIED: Final = "v"


class RedisConversionCounts:
    """`domain.ports.ConversionCounts` on any topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._minute: int | None = None
        self._final: dict[int, Mapping[CountKey, int]] = {}
        """The counts of the minutes that do not change any more."""

    async def add_and_read(self, added: Mapping[CountKey, int]) -> tuple[int, Mapping[CountKey, int]]:
        """Add `added`, and read every minute that counts; see the port.

        Raises:
            Refused: The store is unavailable. Some of `added` may have been added.
        """
        by_minute: defaultdict[int, list[str | int]] = defaultdict(list)
        for key, count in added.items():
            by_minute[key.minute] += (_field(key), count)
        if self._minute is None:
            [reply] = await self._topology.send([_call(0, ())])
            self._minute = _minute_of(reply)
        newest = self._minute + 1  # this minute may have begun since the last reply
        minutes = range(newest - COUNTED_MINUTES, newest + 1)
        wanted = [minute for minute in minutes if minute not in self._final]
        calls = [_call(minute, by_minute.get(minute, ())) for minute in wanted]
        counts = dict(self._final)
        for minute, reply in zip(wanted, await self._topology.send_each(calls), strict=True):
            if isinstance(reply, Refused):
                raise reply
            self._minute = max(self._minute, _minute_of(reply))
            counts[minute] = _counts_of(minute, reply)
        self._final = {
            minute: counts[minute]
            for minute in counts
            if self._minute - COUNTED_MINUTES <= minute < self._minute - _CHANGING_MINUTES
        }
        return self._minute, {key: count for minute in counts for key, count in counts[minute].items()}


def _call(minute: int, fields: list[str | int] | tuple[()]) -> ScriptCall:
    return ScriptCall(script("conversion_counts"), (conversion_key(minute),), (_KEEP_MS, MAX_FIELDS, *fields))


def _field(key: CountKey) -> str:
    return f"{_VERIFIED if key.verified else _SENT}|{key.provider}|{key.prefix}"


def _minute_of(reply: ScriptReply) -> int:
    return int(reply[0]) // _MS_PER_MINUTE


def _counts_of(minute: int, reply: ScriptReply) -> dict[CountKey, int]:
    counts = {}
    for field, count in zip(reply[1::2], reply[2::2], strict=True):
        kind, provider, prefix = field.decode().split("|")
        counts[CountKey(minute, provider, prefix, kind == _VERIFIED)] = int(count)
    return counts
