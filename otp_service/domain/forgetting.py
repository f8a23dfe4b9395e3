"""What it means to forget a recipient, and the port that does it.

What protects a person stays until its own end, because otherwise forgetting would be a way around the limits and the
locks: the counts of sends and of wrong codes, locks, and an opt-out. They are stored under a keyed hash of the number
or address, from which it cannot be read without the service's key. Only an operator of the whole service removes them.

Everything else goes at once: verifications whatever their state, responses under idempotency keys, and the recipient
and the reference in events of webhooks. An event itself stays, so that a tenant's own records do not miss one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["KEPT_AT_MOST_SECONDS", "Forgotten", "RecipientData"]

KEPT_AT_MOST_SECONDS: Final = {
    "guard_numbers": 60 * 86_400,  # the numbers that have verified a code: 43 bits of a keyed hash each
}
"""What a tenant cannot remove of a number, because it is of the whole service, and for how long at most."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed of a recipient, and for how many ms the rest remains (0: nothing of that kind remains).

    Attributes:
        now_ms: The time of the store.
        verifications: How many verifications were removed, with their messages.
        opt_out_removed: Whether an opt-out was removed.
        counts_ms: The sends and wrong codes that limits count.
        lock_ms: A lock.
        opt_out_ms: An opt-out.
    """

    now_ms: int
    verifications: int
    opt_out_removed: bool
    counts_ms: int
    lock_ms: int
    opt_out_ms: int


class RecipientData(Protocol):
    """What the store has of recipients, by their keyed hashes."""

    async def forget(
        self, partition: int, recipient: str, tenants: tuple[str, ...], *, tenant: str, limits: bool, opt_out: bool
    ) -> Forgotten:
        """Remove the verifications of a recipient, their messages, and responses that are stored for them.

        Args:
            partition: The partition of the recipient.
            recipient: Its keyed hash.
            tenants: The tenants whose locks are removed or read.
            tenant: Where to forget it; "": at all tenants.
            limits: Remove the counts and the locks as well.
            opt_out: Remove the opt-out as well.

        Raises:
            Refused: `store_unavailable`; the call may be repeated.
        """

    async def forget_in_events(self, partition: int, recipient: str, *, tenant: str) -> int:
        """Remove a recipient, and the references given with it, from the stored events, and return their number.

        It comes after `forget`, so that no event is added later. The events stay, and are delivered without them.
        """

    async def forget_known(self, country: str, recipient: str) -> None:
        """Remove a number of a country (ISO 3166 alpha-2) from those that the guard remembers as verified."""
