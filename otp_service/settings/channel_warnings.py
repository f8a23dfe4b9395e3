"""Warnings about the channels of a tenant: missing routes, and orders of `auto` that refuse requests or cost more.

A request with the channel `auto` cannot have an address in its text, and a channel whose providers report no deliveries
is always followed by the next one, so that a second message is paid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from otp_service.domain.message import Channel
from otp_service.domain.tenant import ALL_COUNTRIES
from otp_service.providers.config_fields import CommonProvider
from otp_service.providers.config_parsing import dotted_path
from otp_service.providers.http.config import HttpConfig
from otp_service.providers.inbox import InboxConfig
from otp_service.providers.kedasms.config import KedasmsConfig
from otp_service.providers.twilio.account import TwilioAccount
from otp_service.providers.vonage.config import VonageConfig
from otp_service.settings.model import Policy, Settings, Tenant

__all__ = ["channel_warnings", "needs_receipt_url"]


def channel_warnings(settings: Settings) -> Iterator[str]:
    """Yield a line for everything that is probably unintended."""
    for name, tenant in settings.tenants.items():
        at = dotted_path(("tenants", name, "policy", "channels"))
        yield from _without_route(settings, at, tenant.policy)
        if len(order := auto_order(tenant.policy)) > 1:
            yield from _links(name, tenant)
            yield from _always_followed(settings, at, tenant, order)


def needs_receipt_url(provider: CommonProvider) -> bool:
    """Return whether the gateway sends receipts only to a URL that each message contains."""
    is_not_polled = isinstance(provider, TwilioAccount) and not provider.report_poll_seconds
    is_unsigned = isinstance(provider, VonageConfig) and not provider.signs_receipts
    has_url = isinstance(provider, HttpConfig) and "receipt_url" in provider.message_placeholders()
    return isinstance(provider, KedasmsConfig) or is_not_polled or is_unsigned or has_url


def auto_order(policy: Policy) -> tuple[Channel, ...]:
    """Return the channels of a request with the channel `auto`, in their order, as `domain.tenant.Tenant` does."""
    return tuple(channel for channel in policy.channels if channel is not Channel.EMAIL)


def _without_route(settings: Settings, at: str, policy: Policy) -> Iterator[str]:
    routed = {route.channel for route in settings.routes}
    missing = ", ".join(channel for channel in policy.channels if routed and channel not in routed)
    if missing:
        yield f"{at}: no route sends by {missing}"


def _links(name: str, tenant: Tenant) -> Iterator[str]:
    """Name each template with an address: a request with the channel `auto` cannot fill it in."""
    for locale, texts in tenant.templates.items():
        for purpose, template in texts.items():
            if template.has_link:
                at = dotted_path(("tenants", name, "templates", locale, purpose))
                yield f"{at}: with {{link}} a request with the channel auto is always refused (400): send sms"


def _always_followed(settings: Settings, at: str, tenant: Tenant, order: Sequence[Channel]) -> Iterator[str]:
    """Name the providers of a channel after whose messages the next channel always sends a second one."""
    if not settings.delivery.channel_hold_seconds or settings.delivery.max_texts == 1:
        return
    routed = {route.channel for route in settings.routes}
    for index, channel in enumerate(order):
        followers = [later for later in order[index + 1 :] if later in routed]
        silent = _silent_providers(settings, tenant, channel)
        if followers and silent:
            yield (
                f"{at}: with the channel auto every message by {channel} through {', '.join(silent)} is followed by "
                f"one by {followers[0]}, which is paid as well, because no receipts come; put {channel} last"
            )


def _silent_providers(settings: Settings, tenant: Tenant, channel: Channel) -> list[str]:
    """Return the providers of the tenant's routes of a channel that report no deliveries; an inbox costs nothing."""
    countries = {*tenant.countries, tenant.country, None}
    targets = {
        target.name: settings.providers[target.name]
        for route in settings.routes
        if route.channel is channel and (ALL_COUNTRIES in countries or route.country in countries)
        for target in route.providers
    }
    return [
        name
        for name, one in targets.items()
        if not (one.reports_delivery and (settings.server.public_url or not needs_receipt_url(one)))
        and not isinstance(one, InboxConfig)
    ]
