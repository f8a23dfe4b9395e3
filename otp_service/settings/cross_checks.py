"""Cross-checks: errors in combinations of values that are each valid.

A check is a generator of `Finding`s for one struct. It is written as if every value were valid: it ends at the first
use of a value that was refused (`Invalid`), because that error is reported already. Only a check of several items skips
invalid ones (`valid_items`). The checks of `[providers.*]` are the `cross_check` methods of their structs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from otp_service.domain.guessing import MAX_ATTEMPTS_PER_DAY, most_events
from otp_service.providers.config_parsing import Finding, quoted
from otp_service.settings.api_key_model import ApiKey, key_is_safe_to_publish
from otp_service.settings.caller_checks import (
    api_keys_are_unique,
    captchas_exist,
    clients_have_tenants,
    guard_operators_exist,
    issuers_are_unique,
    tenants_have_callers,
)
from otp_service.settings.cap_checks import spend_caps_have_one_currency, spend_caps_have_prices
from otp_service.settings.checked_values import duplicates, is_valid, valid_items
from otp_service.settings.deployment_model import Audit, Hashing, Keys, Redis, Tokens
from otp_service.settings.field_types import ALL_COUNTRIES
from otp_service.settings.guard_model import Guard
from otp_service.settings.integration_checks import hook_names_are_unique, integrations_have_purposes
from otp_service.settings.model import App, Limits, Policy, Route, Settings, Tenant
from otp_service.settings.route_checks import (
    email_route_is_for_all,
    route_providers_exist,
    route_providers_serve_channel,
    routes_are_unique,
)
from otp_service.settings.text_checks import (
    android_texts_fit,
    app_has_one_line,
    texts_leave_the_last_line,
    transactions_have_purposes,
)

Check = Callable[[Any], Iterator[Finding]]

MIN_CODE_LENGTH: Final = 6
"""NIST SP 800-63B-4, 3.2.2 allows 100 consecutive failed attempts; here they are counted by the day."""
MAX_NUMBERS: Final = 100
MAX_NUMBERS_SECONDS: Final = 3600
SECONDS_PER_DAY: Final = 86400
MIN_HASH_COSTS: Final = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
"""OWASP Password Storage Cheat Sheet, Argon2id: equally strong pairs of memory in KiB and passes, with one lane."""
KIB_PER_LANE: Final = 8
"""Argon2's own minimum (RFC 9106, 3.1)."""


def hash_is_strong(hashing: Hashing) -> Iterator[Finding]:
    """A hash costs at least what OWASP recommends, unless `allow_weak` is set."""
    if hashing.allow_weak:
        return
    memory, passes = hashing.memory_kib, hashing.time_cost
    if not any(memory >= least and passes >= times for least, times in MIN_HASH_COSTS):
        enough = ", ".join(f"{least} with time_cost {times}" for least, times in MIN_HASH_COSTS)
        found = f"{memory} with time_cost {passes} is too weak"
        yield ("memory_kib",), found, f"at least one of {enough}; or allow_weak = true"


def lanes_have_memory(hashing: Hashing) -> Iterator[Finding]:
    """Every lane has the memory that Argon2 requires."""
    least = KIB_PER_LANE * hashing.parallelism
    if hashing.memory_kib < least:
        found = f"{hashing.memory_kib} is too little for parallelism {hashing.parallelism}"
        yield ("memory_kib",), found, f"at least {least}"


def required_audit_has_a_file(audit: Audit) -> Iterator[Finding]:
    """A required audit log is written somewhere."""
    if audit.required and audit.file is None:
        yield ("file",), "missing with required = true", "an absolute path, or stdout"


def current_exists(keys: Keys | Tokens) -> Iterator[Finding]:
    """`current` names a key of the table."""
    if keys.current not in keys.ring:
        yield ("current",), f"{quoted(keys.current)} is not listed", ", ".join(keys.ring)


def index_exists(keys: Keys) -> Iterator[Finding]:
    """`index` names a key of the table."""
    if keys.index not in keys.ring:
        yield ("index",), f"{quoted(keys.index)} is not listed", ", ".join(keys.ring)


def access_matches_url(redis: Redis) -> Iterator[Finding]:
    """Keys for Sentinel and TLS are set only if the URL uses them."""
    scheme = urlsplit(redis.url.reveal()).scheme
    for name in ("sentinel_username", "sentinel_password"):
        if getattr(redis, name) is not None and not scheme.endswith("+sentinel"):
            yield (name,), "not allowed without Sentinels", "a url of redis+sentinel:// or rediss+sentinel://"
    if redis.sentinel_username is not None and redis.sentinel_password is None:
        yield ("sentinel_password",), "missing beside sentinel_username", "env:NAME or file:/path"
    if redis.ca_file is not None and not scheme.startswith("rediss"):
        yield ("ca_file",), "not allowed without TLS", "a url of rediss://, rediss+sentinel:// or rediss+cluster://"


def short_codes_are_allowed(policy: Policy) -> Iterator[Finding]:
    """A code of fewer than 6 digits needs `allow_short_codes`."""
    if policy.code_length < MIN_CODE_LENGTH and not policy.allow_short_codes:
        found = f"{policy.code_length} is not allowed without allow_short_codes = true"
        yield ("code_length",), found, f"{MIN_CODE_LENGTH} to 10"


def lockouts_grow(policy: Policy) -> Iterator[Finding]:
    """The first lockout is not longer than the longest."""
    first, longest = policy.lockout_seconds, policy.max_lockout_seconds
    if first is not None and first > longest:
        yield ("lockout_seconds",), f"{first} is more than max_lockout_seconds", f"at most {longest}"


def channels_are_unique(policy: Policy) -> Iterator[Finding]:
    """A channel is listed once."""
    names = ((("channels", index), (channel,)) for index, channel in valid_items(policy.channels))
    for path, _ in duplicates(names):
        yield path, f"{quoted(policy.channels[int(path[1])])} is listed twice", "each channel once"


def tenant_has_country(tenant: Tenant) -> Iterator[Finding]:
    """At least one country is allowed."""
    if tenant.country is None and not tenant.countries:
        yield ("country",), "missing", "an ISO 3166 alpha-2 code in capitals, such as ID; or a list of countries"


def key_ids_are_unique(tenant: Tenant) -> Iterator[Finding]:
    """An id names one API key of a tenant."""
    ids = ((("api_keys", index, "id"), (key.id,)) for index, key in valid_items(tenant.api_keys))
    for path, _ in duplicates(ids):
        key_id = tenant.api_keys[int(path[1])].id
        yield path, f"{quoted(key_id)} is used twice", "a unique id"


def keys_allow_what_tenant_allows(tenant: Tenant) -> Iterator[Finding]:
    """A key's purposes and countries are among those of its tenant."""
    countries = tenant.countries or (tenant.country,)
    for index, key in valid_items(tenant.api_keys):
        for position, purpose in valid_items(key.purposes) if is_valid(*tenant.purposes) else ():
            if purpose not in tenant.purposes:
                found = f"{quoted(purpose)} is not a purpose of this tenant"
                yield ("api_keys", index, "purposes", position), found, ", ".join(tenant.purposes)
        for position, country in valid_items(key.countries) if is_valid(*countries) else ():
            if country not in countries and ALL_COUNTRIES not in countries:
                found = f"{quoted(country)} is not a country of this tenant"
                yield ("api_keys", index, "countries", position), found, ", ".join(filter(None, countries))


def templates_have_purposes(tenant: Tenant) -> Iterator[Finding]:
    """A template is for a purpose that the tenant has."""
    allowed = tenant.text_keys()
    for locale, texts in tenant.templates.items():
        for purpose in texts if is_valid(texts) and is_valid(*allowed) else ():
            if purpose not in allowed:
                found = f"{quoted(purpose)} is not a purpose of this tenant"
                yield ("templates", locale, purpose), found, ", ".join(allowed)


def links_have_hosts(tenant: Tenant) -> Iterator[Finding]:
    """A template with `{link}` needs allowed hosts: without them no request can fill in an address."""
    for locale, texts in tenant.templates.items() if not tenant.link_hosts else ():
        for purpose, template in texts.items() if is_valid(texts) else ():
            if is_valid(template) and template.has_link:
                path = ("templates", locale, purpose)
                yield path, "{link} without link_hosts", 'link_hosts = ["..."]: the hosts that addresses may lead to'


def route_names_provider_once(route: Route) -> Iterator[Finding]:
    """A route does not name a provider twice."""
    names = ((("providers", index), (target.name,)) for index, target in valid_items(route.providers))
    for path, _ in duplicates(names):
        name = route.providers[int(path[1])].name
        yield path, f"{quoted(name)} is named twice in the route", "each provider once"


def conversion_route_has_no_weights(route: Route) -> Iterator[Finding]:
    """A route by conversion orders its providers by their results alone."""
    for index, target in valid_items(route.providers) if route.strategy == "conversion" else ():
        if target.weight is not None:
            found = 'not allowed on a route with strategy = "conversion"'
            yield ("providers", index, "weight"), found, "a provider without a weight"


def windows_are_unique(limits: Limits) -> Iterator[Finding]:
    """A limit has one count for each number of seconds."""
    for name, windows in limits.named().items():
        seconds = (((name, index), (window.seconds,)) for index, window in valid_items(windows))
        for path, _ in duplicates(seconds):
            found = f"a second window of {windows[int(path[1])].seconds} seconds"
            yield path, found, "one window for each number of seconds"


def failures_are_bounded(limits: Limits) -> Iterator[Finding]:
    """One number can have at most 100 failed attempts a day."""
    if not is_valid(*limits.recipient_failures):
        return
    if (most := most_events(limits.recipient_failures, SECONDS_PER_DAY, 0)) > MAX_ATTEMPTS_PER_DAY:
        yield ("recipient_failures",), f"{most} failures a day are not allowed", f"at most {MAX_ATTEMPTS_PER_DAY} a day"


def guard_windows_are_kept(guard: Guard) -> Iterator[Finding]:
    """Different numbers are counted for at most an hour, and at most 100 of them."""
    allowed = f'"count/seconds" of at most {MAX_NUMBERS} numbers and {MAX_NUMBERS_SECONDS} seconds'
    for name, window in guard.numbers().items():
        if window.seconds > MAX_NUMBERS_SECONDS or window.count > MAX_NUMBERS:
            yield (name,), f"{window.count}/{window.seconds} is too much", allowed


CHECKS: Final[Mapping[type, tuple[Check, ...]]] = {
    Hashing: (hash_is_strong, lanes_have_memory),
    Keys: (current_exists, index_exists),
    Audit: (required_audit_has_a_file,),
    Tokens: (current_exists,),
    Redis: (access_matches_url,),
    Policy: (short_codes_are_allowed, lockouts_grow, channels_are_unique),
    App: (app_has_one_line,),
    ApiKey: (key_is_safe_to_publish,),
    Tenant: (
        tenant_has_country,
        key_ids_are_unique,
        keys_allow_what_tenant_allows,
        templates_have_purposes,
        links_have_hosts,
        integrations_have_purposes,
        transactions_have_purposes,
    ),
    Route: (email_route_is_for_all, route_names_provider_once, conversion_route_has_no_weights),
    Guard: (guard_windows_are_kept,),
    Limits: (windows_are_unique, failures_are_bounded),
    Settings: (
        api_keys_are_unique,
        issuers_are_unique,
        clients_have_tenants,
        guard_operators_exist,
        tenants_have_callers,
        hook_names_are_unique,
        captchas_exist,
        routes_are_unique,
        route_providers_exist,
        route_providers_serve_channel,
        spend_caps_have_prices,
        spend_caps_have_one_currency,
        texts_leave_the_last_line,
        android_texts_fit,
    ),
}
