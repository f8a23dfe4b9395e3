"""Removes what is stored of a recipient (`domain.forgetting.RecipientData`), on any topology."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from otp_service.domain.forgetting import Forgotten
from otp_service.domain.guard_counts import known_member
from otp_service.store.keys import ALL_PARTITIONS, GuardKeys
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisRecipientData", "scan_names"]

_NAMES_PER_STEP: Final = 2000
"""Of all keys of a server; a step takes about a millisecond, in which the server does nothing else."""


async def scan_names(topology: Topology, key: str, pattern: str) -> AsyncIterator[list[str]]:
    """Yield the names of keys that match a pattern, on the server that has the slot of `key`.

    Raises:
        Refused: The store is not available, or does not allow SCAN.
    """
    cursor = b"0"
    while True:
        call = ScriptCall(script("scan_names"), (key,), (cursor, pattern, _NAMES_PER_STEP))
        [[cursor, *names]] = await topology.send([call])
        yield [name.decode(errors="replace") for name in names]
        if cursor == b"0":
            return


class RedisRecipientData:
    """`domain.forgetting.RecipientData` on any topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def forget(
        self, partition: int, recipient: str, tenants: tuple[str, ...], *, tenant: str, limits: bool, opt_out: bool
    ) -> Forgotten:
        """Remove what the store has of a recipient; see the port."""
        of = ALL_PARTITIONS[partition]
        lockouts = [of.lockout(name, recipient) for name in tenants]
        keys = (of.recipients + recipient, of.outbox, of.opted_out, of.recipient_indexes + recipient, *lockouts)
        args = (tenant, int(limits), int(opt_out), recipient, of.verifications, of.messages, of.responses)
        [reply] = await self._topology.send([ScriptCall(script("forget"), keys, args)])
        _, now_ms, removed, opt_out_removed, counts_ms, lock_ms, opt_out_ms = reply
        times = (int(counts_ms), int(lock_ms), int(opt_out_ms))
        return Forgotten(int(now_ms), int(removed), opt_out_removed == b"1", *times)

    async def forget_in_events(self, partition: int, recipient: str, *, tenant: str) -> int:
        """Remove a recipient from the stored events; see the port. Each endpoint has a call of its own: it is short."""
        slot = ALL_PARTITIONS[partition].events
        [endpoints] = await self._topology.send([ScriptCall(script("webhook_endpoints"), (slot,))])
        calls = [ScriptCall(script("webhook_forget"), (slot,), (name, recipient, tenant)) for name in endpoints]
        return sum(int(reply[0]) for reply in await self._topology.send(calls)) if calls else 0

    async def forget_known(self, country: str, recipient: str) -> None:
        """Remove a number from those that the guard remembers; see the port."""
        keys = GuardKeys(country)
        args = (keys.prefix, *known_member(recipient))
        await self._topology.send([ScriptCall(script("guard_forget"), (keys.breaker,), args)])
