"""unlock: an operator removes the lock that wrong codes put on a recipient at one tenant, with an audit log line."""

from __future__ import annotations

from dataclasses import dataclass

from otp_service.crypto.keyring import Keyring
from otp_service.domain.ports import Lockouts
from otp_service.domain.recipient import Recipient, hashed_as, is_address
from otp_service.domain.tenant import Tenant
from otp_service.service.audited import audited
from otp_service.store.keys import PARTITIONS

__all__ = ["UnlockRecipient", "UnlockedRecipient"]


@dataclass(frozen=True, slots=True)
class UnlockedRecipient:
    """The result of an unlock.

    `was_locked` is False if nothing locked the recipient before. `failures` counts the wrong codes that were cleared.
    """

    recipient: Recipient
    was_locked: bool
    failures: int

    def __repr__(self) -> str:
        """Show the masked recipient only."""
        return f"UnlockedRecipient({self.recipient.masked})"


class UnlockRecipient:
    """The use case `unlock`; call the instance."""

    def __init__(self, lockouts: Lockouts, keyring: Keyring) -> None:
        self._lockouts = lockouts
        self._keyring = keyring

    async def __call__(self, tenant: Tenant, recipient: Recipient, *, actor: str) -> UnlockedRecipient:
        """Clear the wrong codes of a recipient at `tenant`, and every wait and lock that follows from them.

        Rate limits of sends do not change. Repeating the call changes nothing. The audit line is written whatever the
        outcome.

        Args:
            tenant: The tenant at which the recipient is unlocked.
            recipient: An address, or a number of any type, also one that cannot receive a code.
            actor: Who unlocks: the id of an API key, or "cli". It is written to the audit line.

        Raises:
            Refused: `store_unavailable`, also when a required audit log cannot be written.
        """
        keyed_hash = self._keyring.keyed_hash(*hashed_as("recipient", recipient.to))
        masked = {"email" if is_address(recipient.to) else "phone": recipient.masked}
        async with audited("unlock", actor=actor, tenant=tenant.name, subject=keyed_hash, masked=masked) as line:
            unlocked = await self._unlock(tenant, recipient, keyed_hash)
            line.result = "unlocked" if unlocked.was_locked else "not_locked"
            return unlocked

    async def _unlock(self, tenant: Tenant, recipient: Recipient, keyed_hash: str) -> UnlockedRecipient:
        partition = self._keyring.partition_for(*hashed_as("partition", recipient.to), PARTITIONS)
        unlocked = await self._lockouts.unlock(partition, keyed_hash, tenant.name, tenant.send_policy)
        return UnlockedRecipient(recipient, unlocked.was_locked, unlocked.failures)
