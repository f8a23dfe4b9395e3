"""forget: remove what is stored of a recipient, except what protects the recipient; see `domain.forgetting`."""

from __future__ import annotations

from dataclasses import dataclass

from otp_service.crypto.keyring import Keyring
from otp_service.domain.forgetting import KEPT_AT_MOST_SECONDS, Forgotten, RecipientData
from otp_service.domain.phone import PhoneNumber
from otp_service.domain.recipient import Recipient, hashed_as, is_address
from otp_service.domain.tenant import Tenant
from otp_service.service.audited import audited
from otp_service.store.keys import PARTITIONS

__all__ = ["ForgetRecipient", "ForgottenRecipient"]

_MS = 1000


@dataclass(frozen=True, slots=True)
class ForgottenRecipient:
    """What was removed, and what remains: until when, by what it is, in ms since 1970."""

    recipient: Recipient
    verifications: int
    opt_out_removed: bool
    kept_until_ms: dict[str, int]

    def __repr__(self) -> str:
        """Show the masked recipient only."""
        return f"ForgottenRecipient({self.recipient.masked})"


class ForgetRecipient:
    """The use case `forget`."""

    def __init__(self, data: RecipientData, keyring: Keyring) -> None:
        self._data = data
        self._keyring = keyring

    async def at_tenant(self, tenant: Tenant, recipient: Recipient, *, actor: str) -> ForgottenRecipient:
        """Forget a recipient at one tenant, but for its limits and locks, an opt-out and the guard. Safe to repeat.

        Args:
            tenant: The tenant.
            recipient: A number of any type, or an address.
            actor: Who does it, for the audit line, which is written whatever the outcome.

        Raises:
            Refused: `store_unavailable`, also when a required audit log cannot be written.
        """
        partition, keyed_hash, masked = self._names(recipient)
        async with audited("forget", actor=actor, tenant=tenant.name, subject=keyed_hash, masked=masked) as line:
            names = (tenant.name,)
            found = await self._data.forget(
                partition, keyed_hash, names, tenant=tenant.name, limits=False, opt_out=False
            )
            line.facts["verifications"] = found.verifications
            line.facts["events"] = await self._data.forget_in_events(partition, keyed_hash, tenant=tenant.name)
            line.result = "forgotten"
        if not isinstance(recipient, PhoneNumber):  # the guard counts no e-mails
            return _result(recipient, found, {})
        kept = {name: found.now_ms + seconds * _MS for name, seconds in KEPT_AT_MOST_SECONDS.items()}
        return _result(recipient, found, kept)

    async def everywhere(
        self, tenants: tuple[str, ...], recipient: Recipient, *, opt_out: bool, actor: str
    ) -> ForgottenRecipient:
        """Forget a recipient at all `tenants` with its limits and locks, and an opt-out if wanted. Safe to repeat."""
        partition, keyed_hash, masked = self._names(recipient)
        async with audited("forget", actor=actor, subject=keyed_hash, masked=masked) as line:
            found = await self._data.forget(partition, keyed_hash, tenants, tenant="", limits=True, opt_out=opt_out)
            line.facts["verifications"] = found.verifications
            line.facts["events"] = await self._data.forget_in_events(partition, keyed_hash, tenant="")
            if isinstance(recipient, PhoneNumber):
                await self._data.forget_known(recipient.country, keyed_hash)
            line.facts["opt_out"] = "removed" if found.opt_out_removed else "kept"
            line.result = "forgotten"
        return _result(recipient, found, {})

    def _names(self, recipient: Recipient) -> tuple[int, str, dict[str, str]]:
        partition = self._keyring.partition_for(*hashed_as("partition", recipient.to), PARTITIONS)
        keyed_hash = self._keyring.keyed_hash(*hashed_as("recipient", recipient.to))
        return partition, keyed_hash, {"email" if is_address(recipient.to) else "phone": recipient.masked}


def _result(recipient: Recipient, found: Forgotten, kept_anyway: dict[str, int]) -> ForgottenRecipient:
    kept = {"limits": found.counts_ms, "lock": found.lock_ms, "opt_out": found.opt_out_ms}
    kept_until = {name: found.now_ms + ms for name, ms in kept.items() if ms} | kept_anyway
    return ForgottenRecipient(recipient, found.verifications, found.opt_out_removed, kept_until)
