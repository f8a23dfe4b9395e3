"""From the settings, which say what a config is, to the values that the rooms work with."""

from __future__ import annotations

from collections.abc import Mapping

from otp_service.api.auth import ApiKey
from otp_service.crypto.keyring import Keyring
from otp_service.delivery.routing import Route, Routes, WeightedProvider
from otp_service.domain.limits import Limits, Lockout
from otp_service.domain.provider_policy import Caps, ProviderPolicy, millionths
from otp_service.domain.results import SendPolicy
from otp_service.domain.tenant import Tenant
from otp_service.providers.base import Provider
from otp_service.settings import Settings, gateways, tree

__all__ = ["api_keys", "budgets", "day_caps", "gateway_policy", "keyring_of", "routes_of", "tenant_of"]


def day_caps(caps: gateways.Caps) -> Caps:
    """Say what a day may hold, money in millionths."""
    spend = None if caps.daily_spend_cap is None else millionths(caps.daily_spend_cap)
    return Caps(caps.daily_message_cap, spend, caps.alert_threshold, caps.block_on_limit)


def gateway_policy(provider: gateways.CommonProvider) -> ProviderPolicy:
    """Say what the config allows of a provider."""
    return ProviderPolicy(
        max_per_second=provider.max_per_second,
        max_concurrent=provider.max_concurrent,
        price={area: millionths(price, up=True) for area, price in provider.price.items()},
        caps=day_caps(provider),
    )


def budgets(limits: tree.Limits) -> Limits:
    """Give the named budgets."""
    named = {name: getattr(limits, name) for name in limits.__struct_fields__}
    return Limits(**(named | {"verify_ip": limits.verify_ip_windows()}))


def tenant_of(name: str, tenant: tree.Tenant, limits: tree.Limits) -> Tenant:
    """Make a tenant, with the budgets that its sends are held to."""
    policy = tenant.policy
    return Tenant(
        name=name,
        brand=tenant.brand,
        country=tenant.country or "",
        countries=frozenset(tenant.countries),
        purposes=frozenset(tenant.purposes),
        sends=SendPolicy(
            cooldown_seconds=policy.resend_cooldown_seconds,
            max_sends=policy.max_sends,
            ttl_seconds=policy.ttl_seconds,
            recipient=limits.recipient,
            recipient_failures=limits.recipient_failures,
            reuse=policy.resend == "reuse",
            lockout=Lockout(
                first_seconds=policy.lockout_seconds or policy.resend_cooldown_seconds,
                longest_seconds=policy.max_lockout_seconds,
                max_failures=policy.max_consecutive_failures,
            ),
        ),
        code_length=policy.code_length,
        max_attempts=policy.max_attempts,
        templates=tenant.templates,
    )


def keyring_of(settings: Settings) -> Keyring:
    """Make the keys that seal, pepper and name."""
    return Keyring(settings.keys.material(), current=settings.keys.current, index=settings.keys.index)


def api_keys(settings: Settings, tenants: Mapping[str, Tenant]) -> list[ApiKey]:
    """List every key of every tenant."""
    return [
        ApiKey(key.id, key.sha256, frozenset(key.scopes), tenants[name])
        for name, tenant in settings.tenants.items()
        for key in tenant.api_keys
    ]


def routes_of(settings: Settings, providers: Mapping[str, Provider]) -> Routes:
    """Keep of every route what can be served; a route without any stays, and answers `no_route`."""
    return Routes(
        [
            Route(
                tuple(_turn(target) for target in route.providers if target.name in providers),
                route.country,
                route.prefix or "",
            )
            for route in settings.routes
        ]
    )


def _turn(target: tree.Target) -> str | WeightedProvider:
    return target.name if target.weight is None else WeightedProvider(target.name, target.weight)
