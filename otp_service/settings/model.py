"""The configuration as one frozen tree, with the names, bounds and defaults of every key.

Every key of the configuration is an attribute with the same name, except the keys of `[keys]` and `[tokens]` (in
`ring`) and `global` (`global_`). Durations are in seconds. Lists are tuples, tables read-only mappings. The tables of
`[providers.*]` are declared beside their adapters, those of the deployment in `deployment_model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from otp_service.domain import limits
from otp_service.domain.limits import DEFAULT_LOCKOUT, Window
from otp_service.domain.message import Channel
from otp_service.domain.templates import DEFAULT_PURPOSE, TRANSACTION_PURPOSE
from otp_service.providers.config_fields import (
    Caps,
    ChannelName,
    CommonProvider,
    PriceArea,
    Table,
)
from otp_service.providers.config_parsing import FieldContext, Parse
from otp_service.settings.api_key_model import ApiKey
from otp_service.settings.captcha_model import Captcha
from otp_service.settings.deployment_model import Audit, Hashing, Keys, Redis, Server, Tokens
from otp_service.settings.field_types import (
    AllowedCountry,
    AppDomain,
    AppHash,
    Brand,
    Channels,
    Country,
    LinkHost,
    Locale,
    Name,
    Prefix,
    Purpose,
    RateWindow,
    TemplateText,
)
from otp_service.settings.guard_model import Guard, GuardModeName
from otp_service.settings.integration_model import Camara, CodeHook
from otp_service.settings.issuer_model import Issuer
from otp_service.settings.opt_out_words import OptOuts
from otp_service.settings.webhook_model import OperatorWebhooks, TenantWebhooks, no_webhooks

_TARGET = "a provider's name, or { name, weight }"
_DEFAULT_LIMITS = limits.Limits()
_MAX_ATTEMPTS = 5


class Policy(Caps, frozen=True, kw_only=True):
    """The rules of a tenant's verifications. The caps count the tenant's messages at all providers.

    After a verification that ended `exhausted`, request-code is refused for `lockout_seconds` (default: the resend
    cooldown); each further one doubles it, up to `max_lockout_seconds`. After `max_consecutive_failures` wrong codes in
    a row, without a limit of time, the number is disabled until an operator unlocks it.

    `channels` are those that a request may name, in the order in which a request with the channel `auto` uses them.
    With `allow_fixed_line_voice`, a request with the channel `voice` may name a fixed line. With `uniform_errors`,
    verify-code refuses every code in the same way and after the same time.
    `captcha` names the table of `[captcha.*]` that verifies the tokens of the tenant's requests. `guard` is the
    tenant's own mode of `[guard]`.
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
    allow_fixed_line_voice: bool = False
    channels: Channels = (Channel.SMS,)
    captcha: Name | None = None
    allow_short_codes: bool = False
    uniform_errors: bool = False
    guard: GuardModeName | None = None


class App(Table, frozen=True, kw_only=True):
    """An app that reads the code from the SMS: a web site (`domain`) or an Android app (`hash`)."""

    domain: AppDomain | None = None
    hash: AppHash | None = None


class Tenant(Table, frozen=True, kw_only=True):
    """An account of a caller. `*` in `countries` means all. `link` of a request must lead to one of `link_hosts`.

    `brand` defaults to the tenant's name and `countries` to `country`, so neither is empty after loading.
    """

    brand: Brand = ""
    country: Country | None = None
    countries: Annotated[tuple[AllowedCountry, ...], Meta(min_length=1, description="at least one country")] = ()
    purposes: Annotated[tuple[Purpose, ...], Meta(min_length=1, description="at least one purpose")] = (
        "login",
        "registration",
        "password_reset",
    )
    api_keys: Annotated[tuple[ApiKey, ...], Meta(description="a list of keys: { id, sha256, scopes }")] = ()
    policy: Policy = field(default_factory=Policy)
    templates: Mapping[Locale, Annotated[Mapping[str, TemplateText], Meta(description="a table")]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    apps: Mapping[Name, App] = field(default_factory=lambda: MappingProxyType({}))

    link_hosts: tuple[LinkHost, ...] = ()
    webhooks: TenantWebhooks = no_webhooks()
    camara: Camara = field(default_factory=Camara)
    hooks: Mapping[Name, CodeHook] = field(default_factory=lambda: MappingProxyType({}))

    def text_keys(self) -> tuple[str, ...]:
        """Return the keys that a table of templates may have."""
        return tuple(dict.fromkeys((DEFAULT_PURPOSE, TRANSACTION_PURPOSE, *self.purposes)))


class Target(Table, frozen=True, kw_only=True):
    """A provider of a route. Providers with a `weight` are ordered at random, in proportion to it."""

    name: str
    weight: Annotated[int, Meta(ge=1, le=1000)] | None = None


def _target(raw: Any, _: FieldContext) -> Any:
    return {"name": raw} if isinstance(raw, str) else raw


TargetOrName = Annotated[
    Target,
    Parse(_target, {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Target"}]}),
    Meta(description=_TARGET),
]


class Route(Table, frozen=True, kw_only=True):
    """The providers of a channel for a prefix, for a country, or (with neither) for all other numbers.

    They are called in their order, or with the `strategy` `conversion` in an order that is drawn by which share of each
    one's codes was verified. `exploration` is the share of messages that such a route sends in a random order.
    """

    country: Country | None = None
    prefix: Prefix | None = None
    channel: ChannelName = Channel.SMS
    strategy: Literal["ordered", "conversion"] = "ordered"
    exploration: Annotated[float, Meta(ge=0.01, le=0.5)] = 0.05
    providers: Annotated[tuple[TargetOrName, ...], Meta(min_length=1, description=f"at least one of: {_TARGET}")]


class Delivery(Table, frozen=True, kw_only=True):
    """Failover after an ambiguous outcome: when (0: never), and how many gateways may have accepted a message.

    With the channel `auto`, the next channel is used `channel_hold_seconds` after an acceptance without a delivery
    receipt (0: only after failures).
    """

    hold_seconds: Annotated[float, Meta(ge=0, le=120)] = 15.0
    channel_hold_seconds: Annotated[float, Meta(ge=0, le=120)] = 20.0
    max_texts: Annotated[int, Meta(ge=1, le=10)] = 2


Windows = Annotated[tuple[RateWindow, ...], Meta(max_length=8, description='at most 8 of "count/seconds"')]
SomeWindows = Annotated[
    tuple[RateWindow, ...], Meta(min_length=1, max_length=8, description='1 to 8 of "count/seconds"')
]


class Limits(Table, frozen=True, kw_only=True):
    """The rate limits, by the name that `rate_limited` reports. An empty list is no limit.

    `recipient` counts sends to one number or e-mail address, `recipient_failures` wrong codes for one, `client_ip`
    requests and `verify_ip` codes of one IP address, `prefix` sends to a block of numbers, `email_domain` sends to the
    e-mail addresses of a domain, `country`, `tenant` and `global` all sends. By default, `verify_ip` allows as many
    codes as the requests that `client_ip` allows have attempts.

    `publishable_client_ip` and `publishable_verify_ip` count the requests and codes of one IP address with publishable
    API keys, `publishable_key` all requests with one such key.
    """

    recipient: Windows = _DEFAULT_LIMITS.recipient
    recipient_failures: SomeWindows = _DEFAULT_LIMITS.recipient_failures
    client_ip: Windows = _DEFAULT_LIMITS.client_ip
    verify_ip: Windows | None = None
    publishable_client_ip: SomeWindows = _DEFAULT_LIMITS.publishable_client_ip
    publishable_verify_ip: SomeWindows | None = None
    publishable_key: Windows = _DEFAULT_LIMITS.publishable_key
    prefix: Windows = _DEFAULT_LIMITS.prefix
    email_domain: Windows = _DEFAULT_LIMITS.email_domain
    country: Windows = _DEFAULT_LIMITS.country
    tenant: Windows = _DEFAULT_LIMITS.tenant
    global_: Windows = field(name="global", default=_DEFAULT_LIMITS.global_)

    def named(self) -> Mapping[str, tuple[Window, ...]]:
        """Return the windows by the name that `rate_limited` reports."""
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        return {name: () if (value := getattr(self, attribute)) is None else value for attribute, name in names}

    def verify_ip_windows(self) -> tuple[Window, ...]:
        """Return the windows of `verify_ip`, or those that follow from `client_ip`."""
        return _attempts_of(self.client_ip) if self.verify_ip is None else self.verify_ip

    def publishable_verify_ip_windows(self) -> tuple[Window, ...]:
        """Return the windows of `publishable_verify_ip`, or those that follow from `publishable_client_ip`."""
        windows = self.publishable_verify_ip
        return _attempts_of(self.publishable_client_ip) if windows is None else windows


def _attempts_of(requests: tuple[Window, ...]) -> tuple[Window, ...]:
    """Return windows that allow every attempt of the requests that `requests` allows."""
    return tuple(Window(window.count * _MAX_ATTEMPTS, window.seconds) for window in requests)


class Settings(Table, frozen=True, kw_only=True):
    """The whole configuration."""

    server: Server = field(default_factory=Server)
    redis: Redis
    keys: Keys
    tokens: Tokens
    hashing: Hashing = field(default_factory=Hashing)
    tenants: Annotated[Mapping[Name, Tenant], Meta(min_length=1, description="at least one tenant: [tenants.<name>]")]
    captcha: Mapping[Name, Captcha] = field(default_factory=lambda: MappingProxyType({}))
    issuers: Mapping[Name, Issuer] = field(default_factory=lambda: MappingProxyType({}))
    providers: Mapping[Name, CommonProvider] = field(default_factory=lambda: MappingProxyType({}))
    countries: Mapping[PriceArea, Caps] = field(default_factory=lambda: MappingProxyType({}))
    routes: tuple[Route, ...] = ()
    delivery: Delivery = field(default_factory=Delivery)
    limits: Limits = field(default_factory=Limits)
    opt_outs: OptOuts = field(default_factory=OptOuts)
    guard: Guard = field(default_factory=Guard)
    audit: Audit = field(default_factory=Audit)
    webhooks: OperatorWebhooks = no_webhooks()
