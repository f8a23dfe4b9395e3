"""Conversion of the settings to the values and objects that the other packages take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from otp_service.api.auth import ApiKey
from otp_service.bootstrap.captcha_set import build_captcha_policy
from otp_service.bootstrap.webhook_setup import tenant_endpoints
from otp_service.crypto.keyring import Keyring
from otp_service.delivery.routing import Route, Routes, WeightedProvider
from otp_service.domain.conversion import ConversionResults
from otp_service.domain.integrations import CamaraRules, CodeHook, HookType
from otp_service.domain.limits import Limits, Lockout, SendPolicy
from otp_service.domain.opt_out import OptOutWords
from otp_service.domain.provider_policy import Caps, ProviderPolicy, millionths
from otp_service.domain.tenant import Tenant
from otp_service.providers import config_fields
from otp_service.providers.base import Provider
from otp_service.providers.config_fields import CommonProvider
from otp_service.providers.config_parsing import InvalidValue, dotted_path
from otp_service.providers.inbox import Inbox, InboxConfig
from otp_service.providers.registry import BUILT_IN, make_provider
from otp_service.settings import ConfigError, ConfigInvalid, Settings, model
from otp_service.settings.integration_model import Camara
from otp_service.settings.sms_texts import build_app

__all__ = [
    "build_api_keys",
    "build_caps",
    "build_hooks",
    "build_keyring",
    "build_limits",
    "build_opt_out_words",
    "build_provider_policy",
    "build_providers",
    "build_routes",
    "build_tenant",
    "plugin_errors",
    "providers_by_conversion",
]


def build_providers(settings: Settings, inbox: Inbox | None = None) -> dict[str, Provider]:
    """Build each provider.

    Args:
        settings: The settings.
        inbox: Used for every provider of type `inbox`, if given.

    Raises:
        ConfigInvalid: A package does not make the provider of its type.
    """
    return {
        name: inbox if inbox and isinstance(config, InboxConfig) else _build_provider(name, config)
        for name, config in settings.providers.items()
    }


def _build_provider(name: str, config: CommonProvider) -> Provider:
    try:
        return make_provider(name, config)
    except InvalidValue as error:
        allowed = error.allowed or ""
        raise ConfigInvalid((ConfigError(dotted_path(("providers", name)), error.found, allowed),)) from None


def plugin_errors(settings: Settings) -> tuple[ConfigError, ...]:
    """Return an error for each package that does not make its provider, before a worker needs it."""
    errors: list[ConfigError] = []
    for name, config in settings.providers.items():
        if config.type not in BUILT_IN:
            try:
                _build_provider(name, config)
            except ConfigInvalid as invalid:
                errors += invalid.errors
    return tuple(errors)


def build_caps(caps: config_fields.Caps) -> Caps:
    """Return the daily caps, with money in millionths."""
    spend = None if caps.daily_spend_cap is None else millionths(caps.daily_spend_cap)
    return Caps(caps.daily_message_cap, spend, caps.alert_threshold, caps.block_on_limit)


def build_provider_policy(provider: CommonProvider) -> ProviderPolicy:
    """Return the limits and prices of a provider."""
    return ProviderPolicy(
        max_per_second=provider.max_per_second,
        max_concurrent=provider.max_concurrent,
        price={area: millionths(price, up=True) for area, price in provider.price.items()},
        caps=build_caps(provider),
        currency=provider.currency,
    )


def build_limits(limits: model.Limits) -> Limits:
    """Return the rate limits."""
    named = {name: getattr(limits, name) for name in limits.__struct_fields__}
    derived = {
        "verify_ip": limits.verify_ip_windows(),
        "publishable_verify_ip": limits.publishable_verify_ip_windows(),
    }
    return Limits(**(named | derived))


def build_opt_out_words(settings: Settings) -> OptOutWords:
    """Return the words that opt a sender out and in."""
    return OptOutWords(settings.opt_outs.stop_words, settings.opt_outs.start_words)


def build_tenant(name: str, tenant: model.Tenant, limits: model.Limits) -> Tenant:
    """Return a tenant, with the rate limits of its sends."""
    policy = tenant.policy
    return Tenant(
        name=name,
        brand=tenant.brand,
        country=tenant.country or "",
        countries=frozenset(tenant.countries),
        purposes=frozenset(tenant.purposes),
        send_policy=SendPolicy(
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
        channels=policy.channels,
        apps={name: build_app(app) for name, app in tenant.apps.items()},
        link_hosts=frozenset(tenant.link_hosts),
        calls_fixed_lines=policy.allow_fixed_line_voice,
        uniform_errors=policy.uniform_errors,
        event_targets=tuple(one.target for one in tenant_endpoints(name, tenant)),
        camara=_build_camara(tenant.camara),
    )


def _build_camara(camara: Camara) -> CamaraRules | None:
    return CamaraRules(camara.purpose, own_text=camara.text == "given") if camara.enabled else None


def build_hooks(settings: Settings, tenants: Mapping[str, Tenant]) -> list[CodeHook]:
    """Return the code hooks of all tenants."""
    return [
        CodeHook(
            name=name,
            type=HookType(hook.type),
            tenant=tenants[tenant_name],
            purpose=hook.purpose,
            ttl_seconds=hook.ttl_seconds,
            secrets=(hook.secret,) if hook.previous_secret is None else (hook.secret, hook.previous_secret),
            channel=hook.channel,
            own_text=hook.text == "given",
            counts_client_ip=hook.client_ip,
            purposes=hook.purposes,
            receiver_attribute=hook.receiver_attribute,
            message_attribute=hook.message_attribute,
            token_attribute=hook.token_attribute,
        )
        for tenant_name, tenant in settings.tenants.items()
        for name, hook in tenant.hooks.items()
    ]


def build_keyring(settings: Settings) -> Keyring:
    """Return the keys that seal, pepper and hash recipients."""
    return Keyring(settings.keys.material(), current=settings.keys.current, index=settings.keys.index)


def build_api_keys(settings: Settings, tenants: Mapping[str, Tenant]) -> list[ApiKey]:
    """Return the API keys of all tenants; the tenant of a key has the purposes, countries and verifier of the key."""
    return [
        ApiKey(
            id=key.id,
            digest=key.sha256,
            scopes=frozenset(key.scopes),
            tenant=replace(
                tenants[name],
                purposes=frozenset(key.purposes) or tenants[name].purposes,
                countries=frozenset(key.countries) or tenants[name].countries,
                captcha=build_captcha_policy(settings, key.captcha) or tenants[name].captcha,
            ),
            expires_at=None if key.expires_at is None else key.expires_at.timestamp(),
            publishable=key.publishable,
            allowed_origins=frozenset(key.allowed_origins),
        )
        for name, tenant in settings.tenants.items()
        for key in tenant.api_keys
    ]


def build_routes(
    settings: Settings, providers: Mapping[str, Provider], results: Callable[[], ConversionResults]
) -> Routes:
    """Return the routes with the providers that can send. A route without any remains: it leads to `no_route`."""
    return Routes(
        [
            Route(
                tuple(_route_target(target) for target in route.providers if target.name in providers),
                route.country,
                route.prefix or "",
                route.channel,
                route.exploration if route.strategy == "conversion" else None,
            )
            for route in settings.routes
        ],
        results,
    )


def providers_by_conversion(settings: Settings) -> frozenset[str]:
    """Return the providers whose conversion must be counted, because a route orders them by it."""
    routes = (route for route in settings.routes if route.strategy == "conversion")
    return frozenset(target.name for route in routes for target in route.providers)


def _route_target(target: model.Target) -> str | WeightedProvider:
    return target.name if target.weight is None else WeightedProvider(target.name, target.weight)
