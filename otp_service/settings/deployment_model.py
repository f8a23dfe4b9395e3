"""The tables that describe the deployment: server, store, keys, tokens and hashing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from otp_service.providers.config_fields import Account, BaseUrl, CaFile, Host, SealingKey, SecretText, Table, Text
from otp_service.settings.field_types import Ed25519Pem, KeyName, Network, RedisUrl

AuditFile = Annotated[
    str, Meta(pattern=r"\A(stdout|/[^\x00-\x1f]{1,4000})\Z", description="an absolute path, or stdout")
]

OTHER_KEYS = "other keys"
"""Marks the field that contains every key of its table that no other field has."""


class Server(Table, frozen=True, kw_only=True):
    """The HTTP server. `port` 0 is any free port; `X-Forwarded-For` is trusted from `trusted_proxies` only.

    Request head, request body and response each have a timeout for the whole of it. `keep_alive_seconds` is longer than
    the idle timeout of common load balancers (60 s), so that they close idle connections first. `max_connections` is
    for one process; by default, what its file descriptors allow, at most 4096.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    public_url: BaseUrl | None = None
    trusted_proxies: tuple[Network, ...] = ()
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    head_timeout_seconds: Annotated[float, Meta(ge=0.5, le=120)] = 10.0
    body_timeout_seconds: Annotated[float, Meta(ge=0.5, le=120)] = 10.0
    write_timeout_seconds: Annotated[float, Meta(ge=0.5, le=120)] = 10.0
    keep_alive_seconds: Annotated[float, Meta(ge=0.5, le=3600)] = 75.0
    max_connections: Annotated[int, Meta(ge=8, le=65_536)] | None = None


class Redis(Table, frozen=True, kw_only=True):
    """The store. `allow_eviction` accepts a server that may evict keys, and so may forget failed attempts.

    `ca_file` has the certificate authorities (PEM) that TLS trusts instead of the system's. The Sentinels' user and
    password are separate from those of the URL.
    """

    url: RedisUrl
    allow_eviction: bool = False
    ca_file: CaFile | None = None
    sentinel_username: Account | None = None
    sentinel_password: SecretText | None = None


class Keys(Table, frozen=True, kw_only=True):
    """The keys that pepper and seal: `current` is used for new data, `index` permanently for hashes of recipients."""

    current: KeyName
    index: KeyName
    ring: Annotated[
        Mapping[KeyName, SealingKey], OTHER_KEYS, Meta(min_length=1, description='at least one key: k1 = "env:NAME"')
    ]

    def material(self) -> Mapping[str, bytes]:
        """Return the bytes of every key, by name."""
        return {name: key.decoded() for name, key in self.ring.items()}


class Audit(Table, frozen=True, kw_only=True):
    """The audit log: a `file` that lines are appended to, or `stdout`; without it, they are in the log only.

    `required`: an action of an operator is refused while the file cannot be written.
    """

    file: AuditFile | None = None
    required: bool = False


class Tokens(Table, frozen=True, kw_only=True):
    """The keys of proof tokens: `current` signs, and all of them are published in the JWKS."""

    issuer: Text
    current: KeyName
    ring: Annotated[
        Mapping[KeyName, Ed25519Pem], OTHER_KEYS, Meta(min_length=1, description='at least one key: t1 = "file:/path"')
    ]


class Hashing(Table, frozen=True, kw_only=True):
    """The cost of one Argon2id hash, and the pool: `threads` (0: chosen by the CPU cores) and `max_waiting` calls.

    Each worker computes up to `prepared` hashes in advance while no other hash waits, so that new codes need not wait.
    """

    time_cost: Annotated[int, Meta(ge=1, le=10)] = 3
    memory_kib: Annotated[int, Meta(ge=8, le=1_048_576)] = 12288
    parallelism: Annotated[int, Meta(ge=1, le=16)] = 1
    allow_weak: bool = False
    threads: Annotated[int, Meta(ge=0, le=64)] = 0
    max_waiting: Annotated[int, Meta(ge=1, le=10_000)] = 256
    prepared: Annotated[int, Meta(ge=0, le=1_000)] = 32
