"""Every key shape there is.

A recipient, its verifications, their messages and their outbox share the hash tag of a partition, so a script that
touches several of them stays in one slot of a cluster. The partition is the first character of a verification's id:
any key is found without an index. The other keys stand alone and spread by their own names. No name holds a phone
number, an address or a caller's key in the clear: subjects are keyed hashes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

__all__ = [
    "PARTITIONS",
    "Partition",
    "ProviderKeys",
    "idempotency_key",
    "limit_key",
    "new_verification_id",
    "once_key",
    "partition_of_id",
    "probe_key",
    "tenant_day_key",
]

PARTITIONS = 64
"""Fixed for ever: the partition is part of every id."""

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ID_LENGTH = 23
_ID_BYTES = 16
_COUNTRY_LETTERS = 2


@dataclass(frozen=True, slots=True)
class Partition:
    """One of the 64 slots that recipients are spread over."""

    number: int

    @property
    def _tag(self) -> str:
        return f"otp:{{p{self.number:02d}}}:"

    @property
    def outbox(self) -> str:
        """The sorted set of messages, by when each is next due."""
        return f"{self._tag}o"

    @property
    def recipients(self) -> str:
        """What stands before a recipient's keyed hash."""
        return f"{self._tag}r:"

    @property
    def lockouts(self) -> str:
        """What stands before a tenant's name, `:` and a recipient's keyed hash."""
        return f"{self._tag}l:"

    def lockout(self, tenant: str, recipient: str) -> str:
        """Name what wrong codes in a row did to a recipient at a tenant, as `_lockout.lua` does."""
        return f"{self.lockouts}{tenant}:{recipient}"

    @property
    def verifications(self) -> str:
        """What stands before the id of a verification."""
        return f"{self._tag}v:"

    def of(self, verification_id: str) -> tuple[str, str, str]:
        """Name what most transitions touch: a verification, its message and the outbox."""
        return (self.verifications + verification_id, self.messages + verification_id, self.outbox)

    @property
    def answers(self) -> str:
        """What stands before an idempotency key (a keyed hash) in the name of the answer that is kept under it."""
        return f"{self._tag}i:"

    @property
    def abandoned(self) -> str:
        """What stands before an id that must not start any more."""
        return f"{self._tag}x:"

    @property
    def messages(self) -> str:
        """What stands before the id of a verification whose sealed code waits."""
        return f"{self._tag}m:"


def new_verification_id(partition: Partition) -> str:
    """Make an id: the partition's digit and 128 random bits, 23 characters of `[A-Za-z0-9_-]`."""
    return _DIGITS[partition.number] + secrets.token_urlsafe(_ID_BYTES)


def partition_of_id(verification_id: str) -> Partition | None:
    """Say where an id belongs; None for what cannot be one of ours."""
    if len(verification_id) != _ID_LENGTH or not set(verification_id) <= set(_DIGITS):
        return None
    return Partition(_DIGITS.index(verification_id[0]))


def limit_key(limit: str, keyed_hash: str) -> str:
    """Name the windows of a limit's subject (a keyed hash)."""
    return f"otp:w:{limit}:{keyed_hash}"


def idempotency_key(keyed_hash: str) -> str:
    """Name the claim of a caller's idempotency key (a keyed hash of it, its tenant and the endpoint)."""
    return f"otp:i:{keyed_hash}"


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """What all replicas share of one provider, in one slot."""

    provider: str

    @property
    def circuit(self) -> str:
        """The circuit, and when the last text went out."""
        return f"otp:{{g:{self.provider}}}:c"

    def destination(self, country: str) -> str:
        """The circuit for numbers of one country (ISO 3166 alpha-2; every other text shares one circuit)."""
        return f"{self.circuit}:{country if len(country) == _COUNTRY_LETTERS and country.isalpha() else ''}"

    @property
    def queue(self) -> str:
        """The messages that wait for their turn."""
        return f"otp:{{g:{self.provider}}}:q"

    @property
    def comebacks(self) -> str:
        """When each of those who wait asks again."""
        return f"otp:{{g:{self.provider}}}:b"

    @property
    def calls(self) -> str:
        """The calls under way."""
        return f"otp:{{g:{self.provider}}}:n"

    @property
    def day(self) -> str:
        """What was handed over today."""
        return f"otp:{{g:{self.provider}}}:d"


def once_key(keyed_hash: str) -> str:
    """Name what remembers that something was used (a keyed hash)."""
    return f"otp:u:{keyed_hash}"


def probe_key(number: int) -> str:
    """Name a key that is never made, to try a server with; the number spreads it over the slots."""
    return f"otp:{{probe{number}}}"


def tenant_day_key(tenant: str) -> str:
    """Name what a tenant has handed over today."""
    return f"otp:t:{tenant}:d"
