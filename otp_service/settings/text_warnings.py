"""Warnings about texts of messages that cost more than one SMS segment, or that are unclear to their recipients.

A typographic apostrophe alone makes a text UCS-2, with 70 characters for a segment, which is easily overlooked until
the bill comes. Every text is measured at its longest: with the brand, the longest code and minutes, and the line of an
app.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from otp_service.domain.built_in_templates import BUILT_IN
from otp_service.domain.message import Channel
from otp_service.domain.provider_policy import ANY_COUNTRY
from otp_service.domain.sms_segments import Encoding, characters_outside_gsm7
from otp_service.domain.templates import DEFAULT_PURPOSE
from otp_service.providers.config_parsing import Path, dotted_path, quoted
from otp_service.providers.http.config import HttpConfig
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.settings.model import Settings, Tenant
from otp_service.settings.route_checks import routed_countries
from otp_service.settings.sms_texts import NO_APP, SmsText, sms_texts

MAX_NAMED_PROVIDERS: Final = 3

Prices = Mapping[str, tuple[Decimal, Decimal, str]]
"""The lowest and the highest price of a segment, and its currency, by provider."""


def text_warnings(settings: Settings) -> Iterator[str]:
    """Yield a line for each template, brand and app that makes messages expensive or unclear."""
    for name, tenant in settings.tenants.items():
        path, prices = ("tenants", name), _segment_prices(settings, tenant)
        texts = list(sms_texts(tenant))
        yield from _of_templates(path, tenant, [text for text in texts if text.is_own], prices)
        built_in = [text for text in texts if not text.is_own]
        yield from _of_brand(path, [text for text in built_in if text.app == NO_APP], prices)
        for app in tenant.apps:
            yield from _of_app(path, app, [text for text in built_in if text.app == app], prices)
        if _names_transactions(tenant) and (names := _sending_other_texts(settings, tenant)):
            at = dotted_path((*path, "templates"))
            yield f"{at}: {names} rejects messages that name a transaction, because it sends a text of its own"
        if tenant.apps and (names := _sending_other_texts(settings, tenant)):
            at = dotted_path((*path, "apps"))
            yield f"{at}: no app reads the messages of {names}, because it sends a text of its own"


def _of_templates(path: Path, tenant: Tenant, texts: list[SmsText], prices: Prices) -> Iterator[str]:
    """Name each own template that lacks the brand, is UCS-2 for a few characters, or is more than one segment."""
    for text in texts:
        at = dotted_path((*path, "templates", text.locale, text.purpose))
        if text.app == NO_APP and tenant.brand.casefold() not in text.text.casefold():
            yield f"{at}: the text does not name the brand: the recipient cannot tell whose code it is; add {{brand}}"
        count = text.size.segments
        if text.app == NO_APP and (count > 1 or _is_ucs2_by_accident(text)):
            yield f"{at}: the text {_size(text)}{_cost(count, prices)}"
        elif text.app != NO_APP and count > 1 and not _is_long_without(text, texts):
            yield f"{at}: with the line of the app {text.app} the text {_size(text)}{_cost(count, prices)}"


def _is_long_without(text: SmsText, texts: list[SmsText]) -> bool:
    """Whether the same template is as many segments without the app's line."""
    same = (one for one in texts if (one.locale, one.purpose, one.app) == (text.locale, text.purpose, NO_APP))
    return any(one.size.segments >= text.size.segments for one in same)


def _is_ucs2_by_accident(text: SmsText) -> bool:
    """Whether a text is UCS-2 although the built-in text of its language is GSM-7, or there is none."""
    language = text.locale.lower().replace("_", "-").partition("-")[0]
    built_in = next((texts for locale, texts in BUILT_IN.items() if locale.partition("-")[0] == language), None)
    needs_ucs2 = built_in and characters_outside_gsm7("".join(built_in[DEFAULT_PURPOSE].parts))
    return text.size.encoding is Encoding.UCS2 and not needs_ucs2


def _size(text: SmsText) -> str:
    count = text.size.segments
    billed = f"is billed as {count} message{'s' * (count > 1)}"
    if _is_ucs2_by_accident(text):
        return f"is UCS-2 because of {quoted(characters_outside_gsm7(text.text))}, and {billed}"
    return billed


def _of_brand(path: Path, texts: list[SmsText], prices: Prices) -> Iterator[str]:
    """Name the brand if it makes built-in texts UCS-2, or longer than one segment."""
    at = dotted_path((*path, "brand"))
    if ucs2 := [text for text in texts if _is_ucs2_by_accident(text)]:
        longest = max(ucs2, key=lambda text: text.size.units)
        yield f"{at}: with it a built-in text {_size(longest)}{_cost(longest.size.segments, prices)}"
    if long := [text for text in texts if text.size.segments > 1 and not _is_ucs2_by_accident(text)]:
        yield f"{at}: with it the built-in texts in {_locales(long)} are billed as {_most(long)} messages" + _cost(
            _most(long), prices
        )


def _of_app(path: Path, app: str, texts: list[SmsText], prices: Prices) -> Iterator[str]:
    """Name the app if its line makes built-in texts longer than one segment, or does not fit."""
    at = dotted_path((*path, "apps", app))
    if missing := [text for text in texts if text.misses_line]:
        yield f"{at}: built-in texts in {_locales(missing)} are too long for Android with the hash, and go without it"
    if long := [text for text in texts if text.size.segments > 1 and not text.misses_line]:
        yield f"{at}: with its line built-in texts in {_locales(long)} are billed as {_most(long)} messages" + _cost(
            _most(long), prices
        )


def _names_transactions(tenant: Tenant) -> bool:
    return any(template.has_transaction for texts in tenant.templates.values() for template in texts.values())


def _sending_other_texts(settings: Settings, tenant: Tenant) -> str:
    """Return the providers of the tenant's SMS that send a template of the gateway."""
    return ", ".join(
        name
        for name in _sms_countries(settings, tenant)
        if (provider := settings.providers[name])
        and (
            (isinstance(provider, SendcloudConfig) and provider.mode == "template")
            or (isinstance(provider, HttpConfig) and "text" not in provider.message_placeholders())
        )
    )


def _locales(texts: list[SmsText]) -> str:
    return ", ".join(dict.fromkeys(text.locale for text in texts))


def _most(texts: list[SmsText]) -> int:
    return max(text.size.segments for text in texts)


def _cost(segments: int, prices: Prices) -> str:
    """Return what `segments` segments cost at each provider of the tenant's routes; "" if none has a price."""
    if segments < 2 or not prices:
        return ""
    named = [
        f"{_money(low * segments)}{'' if low == high else f' to {_money(high * segments)}'} {currency} at {name}"
        for name, (low, high, currency) in list(prices.items())[:MAX_NAMED_PROVIDERS]
    ]
    more = len(prices) - MAX_NAMED_PROVIDERS
    return f" ({', '.join(named)}{f' and {more} more' if more > 0 else ''})"


def _money(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text


def _segment_prices(settings: Settings, tenant: Tenant) -> Prices:
    """Return the prices of the providers to which the tenant's SMS are routed."""
    found = {}
    for name, countries in _sms_countries(settings, tenant).items():
        provider = settings.providers[name]
        default = provider.price.get(ANY_COUNTRY)
        prices = {provider.price.get(country, default) for country in countries}
        if known := [price for price in prices if price is not None]:
            found[name] = (min(known), max(known), provider.currency)
    return found


def _sms_countries(settings: Settings, tenant: Tenant) -> Mapping[str, set[str]]:
    """Return the countries whose SMS the routes send to each provider for a tenant."""
    return routed_countries(tenant, [route for route in settings.routes if route.channel is Channel.SMS])
