"""unlock: an operator removes the lock that wrong codes put on a number at one tenant. An audit log line records it."""

from __future__ import annotations

from dataclasses import dataclass

from otp_service.crypto.keyring import Keyring
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.phone import PhoneNumber
from otp_service.domain.ports import Lockouts
from otp_service.domain.tenant import Tenant
from otp_service.observability import LOG
from otp_service.store.keys import PARTITIONS

__all__ = ["UnlockNumber", "UnlockedNumber"]


@dataclass(frozen=True, slots=True)
class UnlockedNumber:
    """The result of an unlock.

    `was_locked` is False if nothing locked the number before. `failures` counts the wrong codes that were cleared.
    """

    number: PhoneNumber
    was_locked: bool
    failures: int

    def __repr__(self) -> str:
        """Show the masked number only."""
        return f"UnlockedNumber({self.number.masked})"


class UnlockNumber:
    """The use case `unlock`; call the instance."""

    def __init__(self, lockouts: Lockouts, keyring: Keyring) -> None:
        self._lockouts = lockouts
        self._keyring = keyring

    async def __call__(self, tenant: Tenant, phone: str, country: str | None, *, actor: str) -> UnlockedNumber:
        """Clear the wrong codes of a number at `tenant`, and every wait and lock that follows from them.

        Rate limits of sends do not change. Repeating the call changes nothing. The audit line is written whatever the
        outcome.

        Args:
            tenant: The tenant at which the number is unlocked.
            phone: A number of any type, also one that cannot receive an SMS.
            country: How a national form is read; None: the tenant's country.
            actor: Who unlocks: the id of an API key, or "cli". It is written to the audit line.

        Raises:
            Refused: `phone_invalid`, `store_unavailable`.
        """
        number = tenant.parse_phone(phone, country)
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
        unlocked = await self._lockouts.unlock(partition, recipient, tenant.name, tenant.send_policy)
        return UnlockedNumber(number, unlocked.was_locked, unlocked.failures)
