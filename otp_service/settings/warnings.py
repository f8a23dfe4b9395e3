"""Warnings about a valid configuration: keys without effect, and values that are probably unintended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from otp_service.delivery.receipts import RECEIPTS_PATH
from otp_service.domain.provider_policy import ANY_COUNTRY
from otp_service.domain.tenant import ALL_COUNTRIES
from otp_service.providers.config_parsing import dotted_path
from otp_service.providers.http.config import HttpConfig
from otp_service.providers.vonage.config import VonageConfig
from otp_service.providers.vonage.wire import MAX_CALLBACK_CHARS
from otp_service.settings.api_key_model import expiry_warnings
from otp_service.settings.captcha_model import USED_BY
from otp_service.settings.channel_warnings import channel_warnings, needs_receipt_url
from otp_service.settings.guessing_report import guessing_warnings
from otp_service.settings.model import Settings
from otp_service.settings.text_warnings import text_warnings

RECEIPT_TOKEN_CHARS: Final = 49
"""The length of the token in a receipt URL: our message id, the number of the call (here of two digits) and the MAC."""


def unused_keys(document: Mapping[str, Any]) -> list[str]:
    """Return the paths of the keys of a raw document that have no effect; it need not be valid."""
    policies = {
        ("tenants", name, "policy"): _table(_table(tenant).get("policy"))
        for name, tenant in _table(document.get("tenants")).items()
    }
    countries = {("countries", name): _table(caps) for name, caps in _table(document.get("countries")).items()}
    currencies = [
        dotted_path((*path, "currency"))
        for path, caps in (policies | countries).items()
        if "currency" in caps and "daily_spend_cap" not in caps
    ]
    unused = [*currencies, *_unused_captcha_keys(_table(document.get("captcha")))]
    guard, off = _table(document.get("guard")), (None, "off")
    if guard.get("mode") not in off or any(policy.get("guard") not in off for policy in policies.values()):
        return unused
    return [*unused, *(dotted_path(("guard", key)) for key in guard if key != "mode")]


def _unused_captcha_keys(tables: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of the keys of verifiers that have no effect with their type."""
    for name, table in tables.items():
        for key in _table(table):
            if key in USED_BY and table.get("type") not in USED_BY[key]:
                yield dotted_path(("captcha", name, key))


def _table(raw: Any) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def config_warnings(settings: Settings) -> list[str]:
    """Return a line for everything that is allowed but probably unintended."""
    return [
        *_unrouted(settings),
        *channel_warnings(settings),
        *_unsendable_countries(settings),
        *_without_receipts(settings),
        *_long_receipt_urls(settings),
        *_accepting_every_success(settings),
        *_captcha_without_effect(settings),
        *expiry_warnings({name: tenant.api_keys for name, tenant in settings.tenants.items()}),
        *text_warnings(settings),
        *guessing_warnings(settings),
    ]


def _unrouted(settings: Settings) -> Iterator[str]:
    if not settings.routes:
        yield "routes: there is no route, so every request is answered with no_route"
        return
    routed = {target.name for route in settings.routes for target in route.providers}
    for name in settings.providers:
        if name not in routed:
            yield f"{dotted_path(('providers', name))}: no route uses it"


def _unsendable_countries(settings: Settings) -> Iterator[str]:
    """Name each country that has caps although no tenant may send there."""
    allowed = {country for tenant in settings.tenants.values() for country in tenant.countries}
    for country in settings.countries:
        if country != ANY_COUNTRY and not allowed & {country, ALL_COUNTRIES}:
            yield f"{dotted_path(('countries', country))}: no tenant may send to this country"


def _without_receipts(settings: Settings) -> Iterator[str]:
    for name, provider in settings.providers.items():
        if needs_receipt_url(provider) and settings.server.public_url is None:
            path = dotted_path(("providers", name))
            yield f"{path}: without server.public_url it cannot send receipts: messages stay in status sent"


def _long_receipt_urls(settings: Settings) -> Iterator[str]:
    """Name each Vonage provider that would refuse the receipt URLs, so that messages are sent without one."""
    url = f"{settings.server.public_url or ''}{RECEIPTS_PATH}"
    for name, provider in settings.providers.items():
        excess = len(f"{url}{name}/") + RECEIPT_TOKEN_CHARS - MAX_CALLBACK_CHARS
        if isinstance(provider, VonageConfig) and not provider.signs_receipts and excess > 0:
            path = dotted_path(("providers", name))
            yield f"{path}: its receipt URLs are {excess} characters too long: messages stay in status sent"


def _accepting_every_success(settings: Settings) -> Iterator[str]:
    for name, provider in settings.providers.items():
        if isinstance(provider, HttpConfig) and provider.accepted_when is None:
            yield f"{dotted_path(('providers', name))}: without accepted_when every HTTP status 2xx is an acceptance"


def _captcha_without_effect(settings: Settings) -> Iterator[str]:
    """Name each verifier that no tenant or key uses, or that demands tokens of keys that its tenants do not have."""
    tenants = settings.tenants.values()
    for name, table in settings.captcha.items():
        keys = [key for one in tenants for key in one.api_keys if (key.captcha or one.policy.captcha) == name]
        path = dotted_path(("captcha", name))
        if not keys and all(tenant.policy.captcha != name for tenant in tenants):
            yield f"{path}: no tenant uses it"
        elif table.required_for == "publishable" and not any(key.publishable for key in keys):
            yield f'{path}: required_for = "publishable", but its tenants have no publishable key: no token is needed'
