"""The names of all Redis keys.

A recipient, its verifications, their messages and their outbox share the hash tag of a partition, so a script that uses
several of them stays in one hash slot of a cluster. The first character of a verification id encodes the partition, so
any key is found without an index. All other keys have hash slots of their own. No name contains a phone number, an
address or a caller's idempotency key in the clear: they are keyed hashes.

These names are stored data: replicas of two versions use them side by side during a rolling update.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

__all__ = [
    "PARTITIONS",
    "GuardKeys",
    "Partition",
    "ProviderKeys",
    "attested_key",
    "changed_price_key",
    "conversion_key",
    "country_usage_key",
    "guard_address_key",
    "guard_decisions_key",
    "idempotency_key",
    "inbound_keys",
    "limit_key",
    "new_verification_id",
    "partition_of_id",
    "probe_key",
    "proof_key",
    "sent_key",
    "tenant_usage_key",
    "usage_events_key",
    "used_key",
    "webhook_endpoint_key",
]

PARTITIONS = 64
"""This number must never change: the partition is part of every id."""

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ID_LENGTH = 23
_ID_BYTES = 16
_COUNTRY_LETTERS = 2


@dataclass(frozen=True, slots=True)
class Partition:
    """One of the 64 partitions of recipients, and the names of its keys."""

    number: int

    @property
    def _tag(self) -> str:
        return f"otp:{{p{self.number:02d}}}:"

    @property
    def outbox(self) -> str:
        """The sorted set of messages by due time."""
        return f"{self._tag}o"

    @property
    def recipients(self) -> str:
        """Prefix of a recipient: its keyed hash follows."""
        return f"{self._tag}r:"

    @property
    def recipient_indexes(self) -> str:
        """Prefix of a recipient's index, by which it is forgotten: its keyed hash follows."""
        return f"{self._tag}d:"

    @property
    def lockouts(self) -> str:
        """Prefix of a lockout: the tenant's name, `:` and the recipient's keyed hash follow."""
        return f"{self._tag}l:"

    def lockout(self, tenant: str, recipient: str) -> str:
        """Return the key of a recipient's lockout at a tenant, as `lua/_lockout.lua` does."""
        return f"{self.lockouts}{tenant}:{recipient}"

    @property
    def verifications(self) -> str:
        """Prefix of a verification: its id follows."""
        return f"{self._tag}v:"

    @property
    def messages(self) -> str:
        """Prefix of the sealed code of a message: the verification's id follows."""
        return f"{self._tag}m:"

    @property
    def responses(self) -> str:
        """Prefix of a stored response: the keyed hash of the idempotency key follows."""
        return f"{self._tag}i:"

    @property
    def abandoned(self) -> str:
        """Prefix of the flag that an id must not start any more: the id follows."""
        return f"{self._tag}x:"

    @property
    def opted_out(self) -> str:
        """The sorted set of opted-out recipients (keyed hashes), by when each opt-out ends."""
        return f"{self._tag}q"

    @property
    def inbound(self) -> str:
        """Prefix of the key that remembers a handled inbound message: its keyed hash follows."""
        return f"{self._tag}k:"

    @property
    def events(self) -> str:
        """The index of events that wait for webhooks; the names of their other keys begin with it."""
        return f"{self._tag}e"

    def keys_of(self, verification_id: str) -> tuple[str, str, str]:
        """Return the keys that most scripts use: the verification, its message and the outbox."""
        return (self.verifications + verification_id, self.messages + verification_id, self.outbox)


def new_verification_id(partition: Partition) -> str:
    """Return a new id: the partition's digit and 128 random bits, 23 characters of `[A-Za-z0-9_-]`."""
    return _DIGITS[partition.number] + secrets.token_urlsafe(_ID_BYTES)


def partition_of_id(verification_id: str) -> Partition | None:
    """Return the partition of a verification id; None when the text cannot be one."""
    if len(verification_id) != _ID_LENGTH or not set(verification_id) <= set(_DIGITS):
        return None
    return Partition(_DIGITS.index(verification_id[0]))


def limit_key(limit: str, keyed_hash: str) -> str:
    """Return the key of a limit's windows for one subject (a keyed hash)."""
    return f"otp:w:{limit}:{keyed_hash}"


def idempotency_key(keyed_hash: str) -> str:
    """Return the key of an idempotency key's claim (a keyed hash of it, its tenant and the endpoint)."""
    return f"otp:i:{keyed_hash}"


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """The keys of one provider, all in one hash slot."""

    provider: str

    @property
    def circuit(self) -> str:
        """The circuit, and the time of the last message."""
        return f"otp:{{g:{self.provider}}}:c"

    def destination(self, country: str) -> str:
        """Return the key of the circuit for numbers of one country (ISO 3166 alpha-2; all other text shares one)."""
        return f"{self.circuit}:{country if len(country) == _COUNTRY_LETTERS and country.isalpha() else ''}"

    @property
    def queue(self) -> str:
        """The messages that wait for their turn, by arrival."""
        return f"otp:{{g:{self.provider}}}:q"

    @property
    def poll_times(self) -> str:
        """The messages that wait for their turn, by when each tries again."""
        return f"otp:{{g:{self.provider}}}:b"

    @property
    def calls(self) -> str:
        """The calls in progress, by when each ends at the latest."""
        return f"otp:{{g:{self.provider}}}:n"

    @property
    def usage(self) -> str:
        """The messages and the money of today."""
        return f"otp:{{g:{self.provider}}}:d"

    @property
    def spend_history(self) -> str:
        """Prefix of the messages and the money of a day by country, currency and tenant: the days since 1970 follow."""
        return f"otp:{{g:{self.provider}}}:s:"

    @property
    def events(self) -> str:
        """The index of events that wait for webhooks, in the slot of the circuits and the usage."""
        return f"otp:{{g:{self.provider}}}:e"

    def charge(self, message_id: str) -> str:
        """Return the key of what was charged for one message."""
        return f"otp:{{g:{self.provider}}}:p:{message_id}"


def inbound_keys(provider: str) -> tuple[str, str]:
    """Return the keys of a provider's inbox, in one hash slot: the lease of the reading replica, and the cursor."""
    return (f"otp:{{g:{provider}}}:il", f"otp:{{g:{provider}}}:ic")


@dataclass(frozen=True, slots=True)
class GuardKeys:
    """The keys of one scope of the guard (a country, or all countries), in one hash slot."""

    scope: str

    @property
    def prefix(self) -> str:
        """Prefix of all keys of the scope.

        `m`, `h` or `d` and the number of a minute, hour or day since 1970 follow for its counts, `q` and an hour for
        the numbers of its blocks, `k`, a period of 30 days and a shard for the known numbers, and `x:` and the name of
        an event for the mark that it was added.
        """
        return f"otp:{{gd:{self.scope}}}:"

    @property
    def breaker(self) -> str:
        """The breaker of the tenants whose mode is `deny`."""
        return f"{self.prefix}b"

    @property
    def observed_breaker(self) -> str:
        """The breaker of the tenants whose mode is `observe`: their messages must not stop those of others."""
        return f"{self.prefix}bo"

    @property
    def events(self) -> str:
        """The index of events that wait for webhooks; only the scope of all countries has some."""
        return f"{self.prefix}e"


def guard_address_key(keyed_hash: str) -> str:
    """Return the key of the numbers that a client address (a keyed hash) requested without verifying a code."""
    return f"otp:ga:{keyed_hash}"


def guard_decisions_key() -> str:
    """Return the key of the list of the guard's decisions."""
    return "otp:gl"


def tenant_usage_key(tenant: str) -> str:
    """Return the key of a tenant's messages and money of today."""
    return f"otp:t:{tenant}:d"


def country_usage_key(country: str) -> str:
    """Return the key of the messages and the money of today for the numbers of a country (ISO 3166 alpha-2)."""
    return f"otp:c:{country}:d"


def changed_price_key(usage_key: str, provider: str, message_id: str, charged_ms: int) -> str:
    """Return the key of the price of a charge at a tenant or country after a change; in the slot of their `usage_key`.

    `charged_ms` is when the message was charged at the provider: a message may be charged there again.
    """
    return f"otp:{{{usage_key}}}:p:{provider}:{message_id}:{charged_ms}"


def usage_events_key(usage_key: str) -> str:
    """Return the index of events that wait for webhooks, in the slot of a tenant's or country's `usage_key`."""
    return f"otp:{{{usage_key}}}:e"


def webhook_endpoint_key(endpoint: str) -> str:
    """Return the key of the state of a webhook endpoint."""
    return f"otp:e:{endpoint}"


def used_key(keyed_hash: str) -> str:
    """Return the key that remembers the use of a one-time value (a keyed hash)."""
    return f"otp:u:{keyed_hash}"


def attested_key(keyed_hash: str) -> str:
    """Return the key of an attested app's public key and counter (a keyed hash of its tenant and id)."""
    return f"otp:ak:{keyed_hash}"


def proof_key(keyed_hash: str) -> str:
    """Return the key that remembers that a proof token was consumed (a keyed hash of its tenant and id)."""
    return f"otp:pt:{keyed_hash}"


def conversion_key(minute: int) -> str:
    """Return the key of the conversion counts of one minute (since 1970)."""
    return f"otp:cv:{minute}"


def sent_key(keyed_hash: str) -> str:
    """Return the key of the message that a gateway's own id names (a keyed hash of the provider and the id)."""
    return f"otp:s:{keyed_hash}"


def probe_key(number: int) -> str:
    """Return a key that is never created, to probe a server with; `number` spreads it over the hash slots."""
    return f"otp:{{probe{number}}}"
