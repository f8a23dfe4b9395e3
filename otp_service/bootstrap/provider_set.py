"""The providers together with their limits, which all replicas share; for the service and for commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otp_service.bootstrap.settings_mapping import build_caps, build_provider_policy, build_providers
from otp_service.bootstrap.webhook_setup import operator_targets
from otp_service.delivery import balances
from otp_service.delivery.outbox_writer import lease_ms
from otp_service.domain.provider_policy import Caps, ProviderPolicy
from otp_service.providers.base import Provider, reports_charge
from otp_service.providers.inbox import Inbox
from otp_service.settings import Settings
from otp_service.store.provider_limits import RedisProviderLimiter
from otp_service.store.provider_status import RedisCircuits
from otp_service.store.topology import Topology

__all__ = ["ProviderSet", "build_provider_set"]


@dataclass(frozen=True, slots=True)
class ProviderSet:
    """The providers that can send.

    Attributes:
        providers: The providers by name.
        policies: Their limits and prices by name.
        caps: The daily caps by tenant.
        country_caps: The daily caps by country.
        limiter: Permits calls within the limits, circuits and caps.
        balance_monitor: Closes the circuits of accounts that have money again.
    """

    providers: Mapping[str, Provider]
    policies: Mapping[str, ProviderPolicy]
    caps: Mapping[str, Caps]
    country_caps: Mapping[str, Caps]
    limiter: RedisProviderLimiter
    balance_monitor: balances.BalanceMonitor

    async def close(self) -> None:
        """Close the connections of all providers."""
        for provider in self.providers.values():
            await provider.close()


def build_provider_set(settings: Settings, topology: Topology, inbox: Inbox | None = None) -> ProviderSet:
    """Build the providers; `inbox` replaces every provider of type `inbox`."""
    providers = build_providers(settings, inbox)
    policies = {name: build_provider_policy(settings.providers[name]) for name in providers}
    caps = {name: build_caps(tenant.policy) for name, tenant in settings.tenants.items()}
    country_caps = {country: build_caps(found) for country, found in settings.countries.items()}
    call_ms = {name: lease_ms(provider) for name, provider in providers.items()}
    reporting = [name for name, provider in providers.items() if reports_charge(provider)]
    event_targets = operator_targets(settings)
    limiter = RedisProviderLimiter(
        topology,
        policies,
        caps,
        call_ms,
        countries=country_caps,
        charge_reporting=reporting,
        event_targets=event_targets,
    )
    balance_monitor = balances.BalanceMonitor(
        RedisCircuits(topology, event_targets), providers, balances.POLL_INTERVAL_SECONDS
    )
    return ProviderSet(providers, policies, caps, country_caps, limiter, balance_monitor)
