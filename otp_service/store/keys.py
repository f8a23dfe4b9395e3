"""The names of all Redis keys.

A recipient, its verifications, their messages and their outbox share the hash tag of a partition, so a script that uses
several of them stays in one hash slot of a cluster. The first character of a verification id encodes the partition, so
any key is found without an index. All other keys have hash slots of their own. No name contains a phone number, an
address or a caller's idempotency key in the clear: they are keyed hashes.

These names are stored data: replicas of two versions use them side by side during a rolling update.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import cache
from typing import Final

__all__ = [
    "ALL_PARTITIONS",
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
    "provider_keys",
    "sent_key",
    "tenant_usage_key",
    "usage_events_key",
    "used_key",
    "webhook_endpoint_key",
]

PARTITIONS = 64
"""This number must never change: the partition is part of every id."""

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ID: Final = re.compile("[A-Za-z0-9_-]{23}")
_ID_BYTES = 16
_COUNTRY_LETTERS = 2


class Partition:
    """One of the 64 partitions of recipients, and the names of its keys. `ALL_PARTITIONS` has each.

    Attributes:
        number: From 0 to 63.
        outbox: The sorted set of messages by due time.
        recipients: Prefix of a recipient: its keyed hash follows.
        recipient_indexes: Prefix of a recipient's index, by which it is forgotten: its keyed hash follows.
        lockouts: Prefix of a lockout: the tenant's name, `:` and the recipient's keyed hash follow.
        verifications: Prefix of a verification: its id follows.
        messages: Prefix of the sealed code of a message: the verification's id follows.
        responses: Prefix of a stored response: the keyed hash of the idempotency key follows.
        abandoned: Prefix of the flag that an id must not start any more: the id follows.
        opted_out: The sorted set of opted-out recipients (keyed hashes), by when each opt-out ends.
        inbound: Prefix of the key that remembers a handled inbound message: its keyed hash follows.
        events: The index of events that wait for webhooks; the names of their other keys begin with it.
    """

    def __init__(self, number: int) -> None:
        """Name the keys of the partition `number`."""
        tag = f"otp:{{p{number:02d}}}:"
        self.number: Final = number
        self.outbox: Final = tag + "o"
        self.recipients: Final = tag + "r:"
        self.recipient_indexes: Final = tag + "d:"
        self.lockouts: Final = tag + "l:"
        self.verifications: Final = tag + "v:"
        self.messages: Final = tag + "m:"
        self.responses: Final = tag + "i:"
        self.abandoned: Final = tag + "x:"
        self.opted_out: Final = tag + "q"
        self.inbound: Final = tag + "k:"
        self.events: Final = tag + "e"

    def lockout(self, tenant: str, recipient: str) -> str:
        """Return the key of a recipient's lockout at a tenant, as `lua/_lockout.lua` does."""
        return f"{self.lockouts}{tenant}:{recipient}"

    def keys_of(self, verification_id: str) -> tuple[str, str, str]:
        """Return the keys that most scripts use: the verification, its message and the outbox."""
        return (self.verifications + verification_id, self.messages + verification_id, self.outbox)


ALL_PARTITIONS: Final = tuple(Partition(number) for number in range(PARTITIONS))

_PARTITION_BY_DIGIT: Final = dict(zip(_DIGITS, ALL_PARTITIONS, strict=True))


def new_verification_id(partition: Partition) -> str:
    """Return a new id: the partition's digit and 128 random bits, 23 characters of `[A-Za-z0-9_-]`."""
    return _DIGITS[partition.number] + secrets.token_urlsafe(_ID_BYTES)


def partition_of_id(verification_id: str) -> Partition | None:
    """Return the partition of a verification id; None when the text cannot be one."""
    return _PARTITION_BY_DIGIT[verification_id[0]] if _ID.fullmatch(verification_id) else None


def limit_key(limit: str, keyed_hash: str) -> str:
    """Return the key of a limit's windows for one subject (a keyed hash)."""
    return f"otp:w:{limit}:{keyed_hash}"


def idempotency_key(keyed_hash: str) -> str:
    """Return the key of an idempotency key's claim (a keyed hash of it, its tenant and the endpoint)."""
    return f"otp:i:{keyed_hash}"


class ProviderKeys:
    """The keys of one provider, all in one hash slot.

    Attributes:
        circuit: The circuit, and the time of the last message.
        queue: The messages that wait for their turn, by arrival.
        poll_times: The messages that wait for their turn, by when each tries again.
        calls: The calls in progress, by when each ends at the latest.
        usage: The messages and the money of today.
        spend_history: Prefix of the messages and the money of a day by country, currency and tenant: the days since
            1970 follow.
        events: The index of events that wait for webhooks, in the slot of the circuits and the usage.
    """

    def __init__(self, provider: str) -> None:
        """Name the keys of a provider."""
        self._tag = f"otp:{{g:{provider}}}:"
        self.circuit: Final = self._tag + "c"
        self.queue: Final = self._tag + "q"
        self.poll_times: Final = self._tag + "b"
        self.calls: Final = self._tag + "n"
        self.usage: Final = self._tag + "d"
        self.spend_history: Final = self._tag + "s:"
        self.events: Final = self._tag + "e"

    def destination(self, country: str) -> str:
        """Return the key of the circuit for numbers of one country (ISO 3166 alpha-2; all other text shares one)."""
        return f"{self.circuit}:{country if len(country) == _COUNTRY_LETTERS and country.isalpha() else ''}"

    def charge(self, message_id: str) -> str:
        """Return the key of what was charged for one message."""
        return f"{self._tag}p:{message_id}"


@cache
def provider_keys(provider: str) -> ProviderKeys:
    """Return the keys of a provider of the config; they are kept, because each message needs them several times."""
    return ProviderKeys(provider)


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
