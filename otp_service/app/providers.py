"""From `[providers.*]` to the adapters that speak to the gateways."""

from __future__ import annotations

from otp_service.domain.gateways import Provider
from otp_service.providers.eims import Eims, EimsAccount
from otp_service.providers.http import GatewayClient
from otp_service.providers.inbox import Inbox
from otp_service.providers.kedasms import Kedasms, KedasmsAccount
from otp_service.providers.sendcloud import Sendcloud, SendcloudAccount
from otp_service.providers.smshub import Smshub, SmshubAccount
from otp_service.settings import Settings, gateways

__all__ = ["providers_of"]


def providers_of(settings: Settings, inbox: Inbox | None = None) -> dict[str, Provider]:
    """Make every provider that has an adapter (`inbox`, if given, is every inbox); the others are named at start."""
    made = {name: _provider(name, provider, inbox) for name, provider in settings.providers.items()}
    return {name: provider for name, provider in made.items() if provider is not None}


def _provider(name: str, config: gateways.Provider, inbox: Inbox | None) -> Provider | None:
    match config:
        case gateways.Inbox():
            return inbox or Inbox(name)
        case gateways.Eims():
            return Eims(name, _eims(config), GatewayClient(config.timeout_seconds))
        case gateways.Kedasms():
            return Kedasms(name, _kedasms(config), GatewayClient(config.timeout_seconds))
        case gateways.Sendcloud():
            return Sendcloud(name, _sendcloud(config), GatewayClient(config.timeout_seconds))
        case gateways.Smshub():
            return Smshub(name, _smshub(config), GatewayClient(config.timeout_seconds))
        case _:
            return None


def _eims(config: gateways.Eims) -> EimsAccount:
    return EimsAccount(
        config.base_url,
        config.account,
        config.password,
        post=config.method == "post",
        variant=config.variant,
        sender_id=config.sender_id,
        reports=config.report_poll_seconds > 0,
        zero_is_delivered=config.zero_is_delivered,
    )


def _kedasms(config: gateways.Kedasms) -> KedasmsAccount:
    key = config.encryption_key.decoded()
    return KedasmsAccount(config.base_url, config.status_base_url, config.api_key, key, config.sender_id)


def _sendcloud(config: gateways.Sendcloud) -> SendcloudAccount:
    return SendcloudAccount(
        config.base_url,
        config.sms_user,
        config.sms_key,
        mode=config.mode,
        template_id=config.template_id,
        variables=config.variables,
        auth=config.auth,
        hook_key=config.hook_key,
        sender_id=config.sender_id,
    )


def _smshub(config: gateways.Smshub) -> SmshubAccount:
    return SmshubAccount(config.base_url, config.program_sid, config.program_key, config.program_id)
