"""The settings: one frozen tree, in the shape and with the names and bounds of design.md section 4.

Every key of the config is an attribute of the same name, but for the keys of `[keys]` and `[tokens]` (in `ring`) and
for two words of Python's, `from` (`sender`) and `global` (`global_`). Durations are seconds. Lists are tuples, tables
read-only mappings.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field

from otp_service.domain import limits
from otp_service.domain.limits import DEFAULT_LOCKOUT, Window
from otp_service.domain.templates import DEFAULT_PURPOSE
from otp_service.settings.forms import REST, Before
from otp_service.settings.gateways import Caps, Table
from otp_service.settings.plugins import AnyProvider
from otp_service.settings.secrets import Ed25519Pem, RedisUrl, SealingKey, SecretText
from otp_service.settings.values import (
    Account,
    BaseUrl,
    CaFile,
    Country,
    KeyName,
    Locale,
    Name,
    Network,
    Permitted,
    Purpose,
    Sha256,
    TemplateText,
    Text,
    Windowed,
)

__all__ = [
    "ApiKey",
    "Delivery",
    "Hashing",
    "Keys",
    "Limits",
    "Policy",
    "Redis",
    "Route",
    "Server",
    "Settings",
    "Target",
    "Tenant",
    "Tokens",
]

Scope = Literal["request", "verify", "read", "server", "admin"]

_TARGET: Final = "a provider's name, or { name, weight }"
_LIMITS: Final = limits.Limits()
_MOST_ATTEMPTS: Final = 5


class Server(Table, frozen=True, kw_only=True):
    """Where it listens (`port` 0: any that is free), and whose `X-Forwarded-For` is believed: none, as it stands.

    A head and a body are due within their timeouts, whole; a response has to be read within its own; a connection may
    be idle for `keep_alive_seconds`, which is longer than the idle timeout of common load balancers (60 s), so that we
    are not the one who closes. `max_connections` is for one process; None: as many as its file descriptors allow, at
    most 4096.
    """

    host: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,253}\Z", description="a host name or an address")] = (
        "127.0.0.1"
    )
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
    """The store. `allow_eviction` accepts one that may forget wrong guesses.

    `ca_file` has the authorities (PEM) that TLS trusts instead of the system's. Sentinels have a user and a password of
    their own, by default none.
    """

    url: RedisUrl
    allow_eviction: bool = False
    ca_file: CaFile | None = None
    sentinel_username: Account | None = None
    sentinel_password: SecretText | None = None


class Keys(Table, frozen=True, kw_only=True):
    """Every key that peppers and seals; `current` makes new things, `index` names recipients for ever."""

    current: KeyName
    index: KeyName
    ring: Annotated[
        Mapping[KeyName, SealingKey], REST, Meta(min_length=1, description='at least one key: k1 = "env:NAME"')
    ]

    def material(self) -> Mapping[str, bytes]:
        """Hand over the bytes of every key by name."""
        return {name: key.decoded() for name, key in self.ring.items()}


class Tokens(Table, frozen=True, kw_only=True):
    """The keys that sign proof tokens; all of them are published, `current` signs."""

    issuer: Text
    current: KeyName
    ring: Annotated[
        Mapping[KeyName, Ed25519Pem], REST, Meta(min_length=1, description='at least one key: t1 = "file:/path"')
    ]


class Hashing(Table, frozen=True, kw_only=True):
    """The cost of one Argon2id hash, and the pool: `threads` (0: one per CPU), and how many may wait for one."""

    time_cost: Annotated[int, Meta(ge=1, le=10)] = 3
    memory_kib: Annotated[int, Meta(ge=8, le=1_048_576)] = 12288
    parallelism: Annotated[int, Meta(ge=1, le=16)] = 1
    allow_weak: bool = False
    threads: Annotated[int, Meta(ge=0, le=64)] = 0
    max_waiting: Annotated[int, Meta(ge=1, le=10_000)] = 256


class ApiKey(Table, frozen=True, kw_only=True):
    """A caller's key, known only by its hash. Without `scopes`, what a login flow needs and no privilege."""

    id: KeyName
    sha256: Sha256
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, description="at least one scope")] = (
        "request",
        "verify",
        "read",
    )


class Policy(Caps, frozen=True, kw_only=True):
    """What a tenant's verifications are like. The caps are of the tenant, over all providers.

    `lockout_seconds` (None: the resend cooldown) is how long request-code waits after a verification that ended
    `exhausted`; each further one doubles it, up to `max_lockout_seconds`. `max_consecutive_failures` wrong codes in a
    row, over any time, disable the number until an operator unlocks it.
    """

    code_length: Annotated[int, Meta(ge=4, le=10)] = 6
    ttl_seconds: Annotated[int, Meta(ge=10, le=600)] = 300
    max_attempts: Annotated[int, Meta(ge=1, le=5)] = 5
    resend_cooldown_seconds: Annotated[int, Meta(ge=1, le=3600)] = 30
    resend: Literal["rotate", "reuse"] = "rotate"
    max_sends: Annotated[int, Meta(ge=1, le=20)] = 5
    lockout_seconds: Annotated[int, Meta(ge=1, le=3600)] | None = None
    max_lockout_seconds: Annotated[int, Meta(ge=1, le=86400)] = DEFAULT_LOCKOUT.longest_seconds
    max_consecutive_failures: Annotated[int, Meta(ge=1, le=100)] = DEFAULT_LOCKOUT.max_failures
    allow_short_codes: bool = False


class Tenant(Table, frozen=True, kw_only=True):
    """A caller's account.

    In a loaded tree neither `brand` (the default is the tenant's name) nor `countries` (the default is `country`
    alone; `*` among them means all) is empty.
    """

    brand: Annotated[
        str, Meta(min_length=1, max_length=30, pattern=r"\A[^\x00-\x1f\x7f]+\Z", description="1 to 30 characters")
    ] = ""
    country: Country | None = None
    countries: Annotated[tuple[Permitted, ...], Meta(min_length=1, description="at least one country")] = ()
    purposes: Annotated[tuple[Purpose, ...], Meta(min_length=1, description="at least one purpose")] = (
        "login",
        "registration",
        "password_reset",
    )
    api_keys: Annotated[tuple[ApiKey, ...], Meta(min_length=1, description="at least one key: { id, sha256, scopes }")]
    policy: Policy = field(default_factory=Policy)
    templates: Mapping[Locale, Annotated[Mapping[str, TemplateText], Meta(description="a table")]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def text_keys(self) -> tuple[str, ...]:
        """Name what a locale's texts may be for."""
        return (DEFAULT_PURPOSE, *self.purposes)


class Target(Table, frozen=True, kw_only=True):
    """A provider in a route: tried in its place, or with a `weight`, by chance in proportion to it."""

    name: str
    weight: Annotated[int, Meta(ge=1, le=1000)] | None = None


def _target(raw: Any) -> Any:
    return {"name": raw} if isinstance(raw, str) else raw


class Route(Table, frozen=True, kw_only=True):
    """Which providers serve a prefix, else a country, else (with neither) everything."""

    country: Country | None = None
    prefix: Annotated[str, Meta(pattern=r"\A\+[1-9][0-9]{0,14}\Z", description="+ and 1 to 15 digits")] | None = None
    providers: Annotated[
        tuple[Annotated[Target, Before(_target), Meta(description=_TARGET)], ...],
        Meta(min_length=1, description=f"at least one of: {_TARGET}"),
    ]


class Delivery(Table, frozen=True, kw_only=True):
    """How long an ambiguous outcome is held (0: it never fails over), and how many gateways may have accepted."""

    hold_seconds: Annotated[float, Meta(ge=0, le=120)] = 15.0
    max_texts: Annotated[int, Meta(ge=1, le=10)] = 2


Windows = Annotated[tuple[Windowed, ...], Meta(max_length=8, description='at most 8 of "count/seconds"')]


class Limits(Table, frozen=True, kw_only=True):
    """The budgets. What each counts stands in `domain.limits`; an empty list is no limit.

    `verify_ip` None: as many codes as the requests that `client_ip` allows have attempts.
    """

    recipient: Windows = _LIMITS.recipient
    recipient_failures: Annotated[
        tuple[Windowed, ...], Meta(min_length=1, max_length=8, description='1 to 8 of "count/seconds"')
    ] = _LIMITS.recipient_failures
    client_ip: Windows = _LIMITS.client_ip
    verify_ip: Windows | None = None
    prefix: Windows = _LIMITS.prefix
    country: Windows = _LIMITS.country
    tenant: Windows = _LIMITS.tenant
    global_: Windows = field(name="global", default=_LIMITS.global_)

    def named(self) -> Mapping[str, tuple[Window, ...]]:
        """Give the windows by the name that `rate_limited` reports."""
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        return {name: () if (value := getattr(self, attribute)) is None else value for attribute, name in names}

    def verify_ip_windows(self) -> tuple[Window, ...]:
        """Give the windows of `verify_ip`, or what follows from `client_ip`."""
        if self.verify_ip is not None:
            return self.verify_ip
        return tuple(Window(window.count * _MOST_ATTEMPTS, window.seconds) for window in self.client_ip)


class Settings(Table, frozen=True, kw_only=True):
    """Everything that the config says."""

    server: Server = field(default_factory=Server)
    redis: Redis
    keys: Keys
    tokens: Tokens
    hashing: Hashing = field(default_factory=Hashing)
    tenants: Annotated[Mapping[Name, Tenant], Meta(min_length=1, description="at least one tenant: [tenants.<name>]")]
    providers: Mapping[Name, AnyProvider] = field(default_factory=lambda: MappingProxyType({}))
    routes: tuple[Route, ...] = ()
    delivery: Delivery = field(default_factory=Delivery)
    limits: Limits = field(default_factory=Limits)
