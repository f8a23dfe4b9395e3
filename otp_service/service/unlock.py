"""unlock: an operator ends what wrong codes in a row did to a number at one tenant, and an audit line says so."""

from __future__ import annotations

from dataclasses import dataclass

from otp_service.crypto.keyring import Keyring
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.phone import PhoneInvalid, PhoneNumber, parse
from otp_service.domain.ports import Lockouts
from otp_service.domain.tenant import Tenant
from otp_service.observability import LOG
from otp_service.store.keys import PARTITIONS

__all__ = ["UnlockNumber", "UnlockedNumber"]


@dataclass(frozen=True, slots=True)
class UnlockedNumber:
    """A number that nothing locks any more; `was_locked`: something did, `failures`: wrong codes that are forgotten."""

    number: PhoneNumber
    was_locked: bool
    failures: int

    def __repr__(self) -> str:
        """Leave the number out."""
        return f"UnlockedNumber({self.number.masked})"


class UnlockNumber:
    """The use case; call it."""

    def __init__(self, lockouts: Lockouts, keyring: Keyring) -> None:
        """Work on `lockouts`, where `keyring` names the numbers."""
        self._lockouts = lockouts
        self._keyring = keyring

    async def __call__(self, tenant: Tenant, phone: str, country: str | None, *, actor: str) -> UnlockedNumber:
        """Forget the number's wrong codes at `tenant`, and every wait and lock that follows from them.

        Any number that can be read is taken, also one that gets no texts. Sends and their limits stay as they are. A
        repeated call changes nothing. `actor` (a key's id, or "cli") goes into the audit line, which is written
        whatever the outcome. Raises `Refused`.
        """
        try:
            number = parse(phone, country or tenant.country)
        except PhoneInvalid as invalid:
            raise Refused(Reason.PHONE_INVALID, str(invalid)) from None
        result = Reason.INTERNAL_ERROR.value
        try:
            unlocked = await self._unlock(tenant, number)
            result = "unlocked" if unlocked.was_locked else "not_locked"
            return unlocked
        except Refused as refused:
            result = refused.reason.value
            raise
        finally:
            LOG.info("audit", action="unlock", tenant=tenant.name, actor=actor, phone=number.masked, result=result)

    async def _unlock(self, tenant: Tenant, number: PhoneNumber) -> UnlockedNumber:
        partition = self._keyring.partition_for("partition", number.e164, PARTITIONS)
        recipient = self._keyring.keyed_hash("recipient", number.e164)
        done = await self._lockouts.unlock(partition, recipient, tenant.name, tenant.sends)
        return UnlockedNumber(number, done.was_locked, done.failures)
