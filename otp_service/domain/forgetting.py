"""What it means to forget a recipient, and the port that does it.

What protects a person stays until its own end, because otherwise forgetting would be a way around the limits and the
locks: the counts of sends and of wrong codes, locks, and an opt-out. They are stored under a keyed hash of the number
or address, from which it cannot be read without the service's key. Only an operator of the whole service removes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["KEPT_AT_MOST_SECONDS", "Forgotten", "RecipientData"]

KEPT_AT_MOST_SECONDS: Final = {
    "ended_verifications": 1200,  # a code lives 600 s, and its verification is readable for 600 s after its end
    "idempotency_answers": 86_400,
    "webhook_events": 84 * 3600,  # longer than the schedule of attempts; a replay starts it anew
    "guard_numbers": 60 * 86_400,  # the numbers that have verified a code: 43 bits of a keyed hash each
}
"""What cannot be removed by its recipient, because it is sealed or a part of a hash, and for how long at most."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed of a recipient, and for how many ms something remains (0: nothing of the kind does).

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
        """Remove the current verifications of a recipient, and their messages.

        Args:
            partition: The partition of the recipient.
            recipient: Its keyed hash.
            tenants: The tenants whose locks are meant.
            tenant: Where to forget it; "": at all tenants.
            limits: Remove the counts and the locks as well.
            opt_out: Remove the opt-out as well.

        Raises:
            Refused: `store_unavailable`; the call may be repeated.
        """

    async def forget_ended(self, partition: int, recipient: str, *, tenant: str) -> int:
        """Remove the ended verifications of a recipient that are still readable, and return their number.

        It looks at the names of all keys of a server: for a command, not for a request.
        """
