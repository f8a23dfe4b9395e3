"""From `[providers.*]` to the adapters that speak to the gateways."""

from __future__ import annotations

from otp_service.domain.gateways import Provider
from otp_service.providers.eims import Eims, EimsAccount
from otp_service.providers.http import GatewayClient
from otp_service.providers.inbox import Inbox
from otp_service.settings import Settings, gateways

__all__ = ["providers_of"]


def providers_of(settings: Settings, inbox: Inbox | None) -> dict[str, Provider]:
    """Make every provider of a type that is built in; the others are named at start as not acted upon."""
    providers: dict[str, Provider] = {}
    for name, provider in settings.providers.items():
        match provider:
            case gateways.Inbox():
                providers[name] = inbox or Inbox(name)
            case gateways.Eims():
                account = EimsAccount(
                    provider.base_url, provider.account, provider.password, post=provider.method == "post"
                )
                providers[name] = Eims(name, account, GatewayClient(provider.timeout_seconds))
    return providers
