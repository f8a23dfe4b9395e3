"""Opt-outs as operators see and change them. An audit log line records each change, without the number.

An opt-out holds for the whole service: the sender number that a person answers is shared by all tenants.
"""

from __future__ import annotations

from dataclasses import dataclass

from otp_service.crypto.keyring import Keyring
from otp_service.domain.opt_out import OptOutAction, OptOutEffect
from otp_service.domain.phone import PhoneNumber
from otp_service.domain.ports import OptOuts
from otp_service.service.audited import audited
from otp_service.store.keys import PARTITIONS

__all__ = ["OptOutDirectory", "OptOutState"]


@dataclass(frozen=True, slots=True)
class OptOutState:
    """Whether a number is opted out: `ends_ms` is when that ends, 0 if it is not."""

    number: PhoneNumber
    ends_ms: int

    def __repr__(self) -> str:
        """Show the masked number only."""
        return f"OptOutState({self.number.masked})"


class OptOutDirectory:
    """The numbers that are opted out."""

    def __init__(self, opt_outs: OptOuts, keyring: Keyring) -> None:
        self._opt_outs = opt_outs
        self._keyring = keyring

    async def count(self) -> int:
        """Count the opted-out numbers of the whole service; raises `Refused` (`store_unavailable`)."""
        return await self._opt_outs.count()

    async def check(self, number: PhoneNumber) -> OptOutState:
        """Return whether a number is opted out; raises `Refused` (`store_unavailable`)."""
        return OptOutState(number, await self._opt_outs.ends_ms(*self._key(number)))

    async def change(self, number: PhoneNumber, action: OptOutAction, *, actor: str) -> bool:
        """Opt a number out or in by hand; return False if nothing changed.

        Args:
            number: A number of any type.
            action: What to do.
            actor: Who does it, for the audit line, which is written whatever the outcome.

        Raises:
            Refused: `store_unavailable`, also when a required audit log cannot be written.
        """
        partition, keyed_hash = self._key(number)
        async with audited(action.value, actor=actor, subject=keyed_hash) as line:
            effect = await self._opt_outs.change(partition, keyed_hash, action)
            line.result = effect.value
            return effect is OptOutEffect.CHANGED

    def _key(self, number: PhoneNumber) -> tuple[int, str]:
        partition = self._keyring.partition_for("partition", number.e164, PARTITIONS)
        return partition, self._keyring.keyed_hash("recipient", number.e164)
