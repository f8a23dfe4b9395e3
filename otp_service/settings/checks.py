"""The cross-checks: what no single value is to blame for.

Each check looks at one struct and yields what is wrong below it. It is written as if all its values were sound: the
walker ends it at the first one that is not. Only a check over many items has to step past a broken one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from otp_service.domain.limits import Window
from otp_service.settings.gateways import CommonProvider, Http, Sendcloud, Twilio
from otp_service.settings.mistakes import Finding, dotted, quoted
from otp_service.settings.prices import spend_caps_have_prices
from otp_service.settings.tree import Hashing, Keys, Limits, Policy, Redis, Route, Settings, Tenant, Tokens
from otp_service.settings.values import is_web_url
from otp_service.settings.walk import Check, is_sound

__all__ = ["CHECKS", "most_in_a_day"]

LEAST_CODE_LENGTH: Final = 6
MOST_FAILURES_A_DAY: Final = 100
"""NIST SP 800-63B-4, 3.2.2: no more than 100 consecutive failed attempts; ours come back by the day."""
DAY: Final = 86400

EQUALLY_STRONG: Final = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
"""OWASP Password Storage Cheat Sheet, Argon2id: memory in KiB and passes, with one lane."""
MEMORY_PER_LANE: Final = 8
"""KiB: Argon2's own minimum (RFC 9106, 3.1)."""


def strong_hash(hashing: Hashing) -> Iterator[Finding]:
    """A hash costs what OWASP asks for, unless the config says that less is wanted."""
    if hashing.allow_weak:
        return
    memory, passes = hashing.memory_kib, hashing.time_cost
    if not any(memory >= least and passes >= times for least, times in EQUALLY_STRONG):
        enough = ", ".join(f"{least} with time_cost {times}" for least, times in EQUALLY_STRONG)
        found = f"{memory} with time_cost {passes} is too weak"
        yield ("memory_kib",), found, f"at least one of {enough}; or allow_weak = true"


def lanes_fit(hashing: Hashing) -> Iterator[Finding]:
    """Every lane has the memory that Argon2 needs."""
    least = MEMORY_PER_LANE * hashing.parallelism
    if hashing.memory_kib < least:
        found = f"{hashing.memory_kib} is too little for parallelism {hashing.parallelism}"
        yield ("memory_kib",), found, f"at least {least}"


def current_is_listed(keys: Keys | Tokens) -> Iterator[Finding]:
    """New things are made under a key that exists."""
    yield from _listed("current", keys.current, keys.ring)


def index_is_listed(keys: Keys) -> Iterator[Finding]:
    """Recipients are named by a key that exists."""
    yield from _listed("index", keys.index, keys.ring)


def _listed(role: str, name: str, ring: Mapping[str, object]) -> Iterator[Finding]:
    if name not in ring:
        yield (role,), f"{quoted(name)} is not listed", ", ".join(ring)


def access_fits_the_url(redis: Redis) -> Iterator[Finding]:
    """Nothing is configured that the way to the store does not use."""
    scheme = urlsplit(redis.url.reveal()).scheme
    for name in ("sentinel_username", "sentinel_password"):
        if getattr(redis, name) is not None and not scheme.endswith("+sentinel"):
            yield (name,), "not allowed without Sentinels", "a url of redis+sentinel:// or rediss+sentinel://"
    if redis.sentinel_username is not None and redis.sentinel_password is None:
        yield ("sentinel_password",), "missing beside sentinel_username", "env:NAME or file:/path"
    if redis.ca_file is not None and not scheme.startswith("rediss"):
        yield ("ca_file",), "not allowed without TLS", "a url of rediss://, rediss+sentinel:// or rediss+cluster://"


def short_codes(policy: Policy) -> Iterator[Finding]:
    """A short code is no accident."""
    if policy.code_length < LEAST_CODE_LENGTH and not policy.allow_short_codes:
        found = f"{policy.code_length} is not allowed without allow_short_codes = true"
        yield ("code_length",), found, f"{LEAST_CODE_LENGTH} to 10"


def lockouts_grow(policy: Policy) -> Iterator[Finding]:
    """The first wait is not longer than the longest one."""
    first, longest = policy.lockout_seconds, policy.max_lockout_seconds
    if first is not None and first > longest:
        yield ("lockout_seconds",), f"{first} is more than max_lockout_seconds", f"at most {longest}"


def countries_are_known(tenant: Tenant) -> Iterator[Finding]:
    """Some country is allowed."""
    if tenant.country is None and not tenant.countries:
        yield ("country",), "missing", "an ISO 3166 alpha-2 code in capitals, such as ID; or a list of countries"


def key_ids_differ(tenant: Tenant) -> Iterator[Finding]:
    """An id names one key of the tenant."""
    seen: set[str] = set()
    for place, key in enumerate(tenant.api_keys):
        if is_sound(key) and is_sound(key.id):
            if key.id in seen:
                yield ("api_keys", place, "id"), f"{quoted(key.id)} stands twice", "an id of its own"
            seen.add(key.id)


def texts_have_readers(tenant: Tenant) -> Iterator[Finding]:
    """A text is for a purpose that the tenant has."""
    allowed = tenant.text_keys()
    for locale, texts in tenant.templates.items():
        for purpose in texts if is_sound(texts) else ():
            if all(map(is_sound, allowed)) and purpose not in allowed:
                found = f"{quoted(purpose)} is no purpose of this tenant"
                yield ("templates", locale, purpose), found, ", ".join(allowed)


def no_mistakes_of_its_own(provider: CommonProvider) -> Iterator[Finding]:
    """A package knows what may stand together in its table."""
    yield from provider.mistakes()


def template_is_named(provider: Sendcloud) -> Iterator[Finding]:
    """In template mode there is a template."""
    if provider.mode == "template" and provider.template_id is None:
        yield ("template_id",), "missing", 'the number of an approved template; or mode = "text"'


def template_gets_the_code(provider: Sendcloud) -> Iterator[Finding]:
    """In template mode one of the variables is the code."""
    if provider.mode == "template" and not any("{code}" in value for value in provider.variables.values()):
        yield ("variables",), "no variable has {code}", 'such as { code = "{code}" }'


def twilio_has_a_sender(provider: Twilio) -> Iterator[Finding]:
    """Twilio is told from whom."""
    if provider.sender is None and provider.messaging_service_sid is None:
        yield ("from",), "missing", "a sender; or messaging_service_sid"


def http_has_an_address(provider: Http) -> Iterator[Finding]:
    """The URL is one, or a path behind the base URL."""
    url = provider.url.reveal()
    if url.startswith("/"):
        if provider.base_url is None:
            yield ("url",), "a path without base_url is not allowed", "an http(s) URL; or a path with base_url"
    elif not is_web_url(url) or "{" in urlsplit(url).netloc:
        yield ("url",), "the value (not shown) is not allowed", "http://host or https://host, with path and query"


def http_says_what_to_whom(provider: Http) -> Iterator[Finding]:
    """The request names the recipient and has the text or the code."""
    body = () if provider.body is None else (provider.body,)
    request = "\n".join(part.reveal() for part in (provider.url, *body, *provider.headers.values()))
    if "{to}" not in request:
        yield ("body",), "{to} stands nowhere in url, headers and body", "a request with {to}"
    if "{text}" not in request and "{code}" not in request:
        yield ("body",), "neither {text} nor {code} stands in url, headers and body", "a request with one of them"


def targets_differ(route: Route) -> Iterator[Finding]:
    """A route names a provider once."""
    seen: set[str] = set()
    for place, target in enumerate(route.providers):
        if is_sound(target) and is_sound(target.name):
            if target.name in seen:
                yield ("providers", place), f"{quoted(target.name)} stands twice in the route", "each provider once"
            seen.add(target.name)


def windows_differ(limits: Limits) -> Iterator[Finding]:
    """A limit has one count for each span."""
    for name, windows in limits.named().items():
        seen: set[int] = set()
        for place, window in enumerate(windows if is_sound(windows) else ()):
            if is_sound(window):
                if window.seconds in seen:
                    yield (name, place), f"a second window of {window.seconds} seconds", "one count for each span"
                seen.add(window.seconds)


def few_failures(limits: Limits) -> Iterator[Finding]:
    """Nobody has more than 100 guesses a day at one number."""
    if not all(map(is_sound, limits.recipient_failures)):
        return
    if (most := most_in_a_day(limits.recipient_failures)) > MOST_FAILURES_A_DAY:
        yield ("recipient_failures",), f"{most} failures a day are not allowed", f"at most {MOST_FAILURES_A_DAY} a day"


def most_in_a_day(windows: tuple[Window, ...]) -> int:
    """Most events that sliding windows together let through in any 86400 seconds, rounded up where they interlock.

    In a day there are at most ceil(86400 / seconds) spans of a window one behind the other, each with at most
    `count` events; a window longer than a day may be used up in one. All windows hold at once, so the smallest
    of their bounds is a bound of them all.
    """
    return min(window.count * -(-DAY // window.seconds) for window in windows)


def hashes_differ(settings: Settings) -> Iterator[Finding]:
    """A key opens one tenant: it is found by its hash alone."""
    seen: dict[str, str] = {}
    for name, tenant in settings.tenants.items():
        api_keys = tenant.api_keys if is_sound(tenant) else ()
        for place, key in enumerate(api_keys if is_sound(api_keys) else ()):
            if is_sound(key) and is_sound(key.sha256):
                path = ("tenants", name, "api_keys", place)
                if first := seen.get(key.sha256):
                    yield (*path, "sha256"), f"the same hash as that of {first}", "a key of its own"
                seen.setdefault(key.sha256, dotted(path))


def routes_differ(settings: Settings) -> Iterator[Finding]:
    """What serves a number is decided by one route."""
    seen: dict[tuple[str | None, str | None], int] = {}
    for place, route in enumerate(settings.routes):
        if is_sound(route) and is_sound(route.country, route.prefix):
            area = (route.country, route.prefix)
            if area in seen:
                found = f"the same country and prefix as routes[{seen[area]}]"
                yield ("routes", place), found, "one route for each country and prefix"
            seen.setdefault(area, place)


def targets_exist(settings: Settings) -> Iterator[Finding]:
    """A route names providers that are configured, also when those have mistakes."""
    providers: Mapping[str, CommonProvider] = settings.providers
    names = ", ".join(providers) or "none is configured"
    for place, route in enumerate(settings.routes):
        targets = route.providers if is_sound(route) else ()
        for rank, target in enumerate(targets if is_sound(targets) else ()):
            if is_sound(target) and is_sound(target.name) and target.name not in providers:
                yield ("routes", place, "providers", rank), f"{quoted(target.name)} is not a provider", names


CHECKS: Final[Mapping[type, tuple[Check, ...]]] = {
    Hashing: (strong_hash, lanes_fit),
    Keys: (current_is_listed, index_is_listed),
    Tokens: (current_is_listed,),
    Redis: (access_fits_the_url,),
    Policy: (short_codes, lockouts_grow),
    Tenant: (countries_are_known, key_ids_differ, texts_have_readers),
    CommonProvider: (no_mistakes_of_its_own,),
    Sendcloud: (template_is_named, template_gets_the_code),
    Twilio: (twilio_has_a_sender,),
    Http: (http_has_an_address, http_says_what_to_whom),
    Route: (targets_differ,),
    Limits: (windows_differ, few_failures),
    Settings: (hashes_differ, routes_differ, targets_exist, spend_caps_have_prices),
}
