"""The configured gateways together with what all replicas share of them: for the service, and for the commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otp_service.bootstrap.settings_mapping import day_caps, provider_policy, providers_of
from otp_service.delivery.outbox_writer import lease_ms
from otp_service.domain.provider_policy import Caps, ProviderPolicy
from otp_service.providers.base import Provider
from otp_service.providers.inbox import Inbox
from otp_service.settings import Settings
from otp_service.store.provider_limits import RedisProviderLimiter
from otp_service.store.topology import Topology

__all__ = ["ProviderSet", "build_provider_set"]


@dataclass(frozen=True, slots=True)
class ProviderSet:
    """Providers and their policies by name, caps by tenant, and the right to call."""

    providers: Mapping[str, Provider]
    policies: Mapping[str, ProviderPolicy]
    caps: Mapping[str, Caps]
    limiter: RedisProviderLimiter

    @property
    def counted_tenants(self) -> Mapping[str, Caps]:
        """The caps of those tenants that have any: a request is judged by them before it is taken."""
        return {name: caps for name, caps in self.caps.items() if caps.is_limited}

    async def close(self) -> None:
        """Let go of every provider's connections."""
        for provider in self.providers.values():
            await provider.close()


def build_provider_set(settings: Settings, topology: Topology, inbox: Inbox | None = None) -> ProviderSet:
    """Make what has an adapter; `inbox`, if given, is every inbox."""
    providers = providers_of(settings, inbox)
    policies = {name: provider_policy(settings.providers[name]) for name in providers}
    caps = {name: day_caps(tenant.policy) for name, tenant in settings.tenants.items()}
    call_ms = {name: lease_ms(provider) for name, provider in providers.items()}
    return ProviderSet(providers, policies, caps, RedisProviderLimiter(topology, policies, caps, call_ms))
