"""From `[providers.*]` to the adapters that speak to the gateways: ours, and those of installed packages."""

from __future__ import annotations

from typing import Final

from otp_service.providers.base import Provider
from otp_service.providers.eims.adapter import Eims, EimsAccount
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.inbox import Inbox
from otp_service.providers.kedasms.adapter import Kedasms, KedasmsAccount
from otp_service.providers.sendcloud.adapter import Sendcloud, SendcloudAccount
from otp_service.providers.smshub.adapter import Smshub, SmshubAccount
from otp_service.settings import ConfigInvalid, Mistake, Settings, gateways, plugin_of
from otp_service.settings.mistakes import dotted

__all__ = ["plugin_mistakes", "providers_of"]

MEMBERS: Final = ("name", "idempotent_send", "reports_delivery", "timeout_seconds", "send", "close")
"""What the port `Provider` asks for."""


def providers_of(settings: Settings, inbox: Inbox | None = None) -> dict[str, Provider]:
    """Make every provider that has an adapter (`inbox`, if given, is every inbox); the others are named at start.

    Raises `ConfigInvalid` where the package that added a type does not make a provider.
    """
    made = {
        name: _provider(name, provider, inbox) if provider.type in gateways.BUILT_IN else _added(name, provider)
        for name, provider in settings.providers.items()
    }
    return {name: provider for name, provider in made.items() if provider is not None}


def plugin_mistakes(settings: Settings) -> tuple[Mistake, ...]:
    """Try whether packages make their providers, so that a config is refused before a worker has to."""
    found: list[Mistake] = []
    for name, provider in settings.providers.items():
        if provider.type not in gateways.BUILT_IN:
            try:
                _added(name, provider)
            except ConfigInvalid as invalid:
                found += invalid.mistakes
    return tuple(found)


def _added(name: str, config: gateways.CommonProvider) -> Provider:
    """Have a package make its provider."""
    plugin = plugin_of(config.type)
    if plugin is None:
        raise _refused(name, f"no package offers {config.type} any more")
    try:
        provider = plugin.make(name, config, GatewayClient(config.timeout_seconds))
    except Exception as problem:  # its text is not shown: the package has the secrets of the table in its hands
        raise _refused(name, f"{config.type} cannot be made: {type(problem).__name__}") from None
    if lacking := [member for member in MEMBERS if not hasattr(provider, member)]:
        raise _refused(name, f"what {config.type} makes has no {', no '.join(lacking)}")
    return provider


def _refused(name: str, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        (Mistake(dotted(("providers", name)), found, "a provider as otp_service.plugin describes it"),)
    )


def _provider(name: str, config: gateways.CommonProvider, inbox: Inbox | None) -> Provider | None:
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
        first_report_seconds=config.report_poll_seconds,
        zero_is_delivered=config.zero_is_delivered,
    )


def _kedasms(config: gateways.Kedasms) -> KedasmsAccount:
    key = config.encryption_key.decoded()
    return KedasmsAccount(
        config.base_url, config.status_base_url, config.api_key, key, config.sender_id, config.report_poll_seconds
    )


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
