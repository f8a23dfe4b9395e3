"""The API keys of a tenant in the config: their fields, the checks across fields, and warnings before they expire."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from otp_service.providers.config_fields import Table
from otp_service.providers.config_parsing import FieldContext, Finding, Parse, dotted_path, invalid, quoted
from otp_service.settings.field_types import AllowedCountry, KeyName, Name, Purpose, Sha256

__all__ = [
    "DEFAULT_SCOPES",
    "PUBLISHABLE_SCOPES",
    "ApiKey",
    "Scope",
    "expiry_warnings",
    "key_is_safe_to_publish",
    "parse_instant",
]

Scope = Literal["request", "verify", "read", "server", "admin"]

DEFAULT_SCOPES: Final[tuple[Scope, ...]] = ("request", "verify", "read")
PUBLISHABLE_SCOPES: Final[tuple[Scope, ...]] = ("request", "verify")

WARN_BEFORE_DAYS: Final = 30
_SECONDS_PER_DAY: Final = 86400

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
"""A date-time of RFC 3339; `datetime.fromisoformat` accepts more."""

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,31})://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)"
    r"(?P<port>:[1-9]\d{0,4})?",
    re.ASCII,
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}
"""What a browser leaves out of an origin."""


def parse_instant(text: str) -> datetime | None:
    """Return the time of an RFC 3339 date-time in UTC, or None if `text` is not one."""
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC) if _INSTANT.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


def _instant(raw: Any, _: FieldContext) -> datetime:
    """Read text, or a date-time of TOML; both need an offset."""
    found = parse_instant(raw.isoformat() if isinstance(raw, datetime) else raw) if _is_time(raw) else None
    if found is None:
        raise invalid(raw)
    return found


def _is_time(raw: Any) -> bool:
    return isinstance(raw, str | datetime)


def _origin(raw: Any, _: FieldContext) -> str:
    match = _ORIGIN.fullmatch(raw) if isinstance(raw, str) else None
    if match is None or match["port"] == _DEFAULT_PORTS.get(match["scheme"], ""):
        raise invalid(raw)
    if match["scheme"] == "http" and match["host"] not in _LOOPBACK:
        raise invalid(raw)
    return match[0]


Instant = Annotated[
    datetime,
    Parse(_instant, {"type": "string", "format": "date-time"}),
    Meta(description="a time with its offset, such as 2027-01-31T00:00:00Z"),
]
Origin = Annotated[
    str,
    Parse(_origin, {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*://[^/?#]+$"}),
    Meta(
        description="an origin as browsers send it, such as https://app.example.com: in lower case, without a path and "
        "without the default port; http only for localhost"
    ),
]


class ApiKey(Table, frozen=True, kw_only=True):
    """An API key, stored as its hash. The default scopes are those of a login flow, without any privilege.

    From `expires_at` on it is refused. `purposes` and `countries` allow less than the tenant; by default all of it.

    A `publishable` key may be built into a mobile app or a web page, where anybody can read it: it has at most the
    scopes `request` and `verify` (its default), and limits of its own. The pages of `allowed_origins` may call the
    service with it from a browser (CORS).

    `captcha` names the table of `[captcha.*]` for the requests of this key, instead of the one in the tenant's policy:
    the apps of a tenant on iOS and Android, and its web page, have a key and a verifier each.
    """

    id: KeyName
    sha256: Sha256
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, description="at least one scope")] = ()
    expires_at: Instant | None = None
    purposes: tuple[Purpose, ...] = ()
    countries: tuple[AllowedCountry, ...] = ()
    publishable: bool = False
    captcha: Name | None = None
    allowed_origins: Annotated[tuple[Origin, ...], Meta(max_length=32, description="at most 32 origins")] = ()

    def default_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes of a key whose entry names none."""
        return PUBLISHABLE_SCOPES if self.publishable else DEFAULT_SCOPES


def key_is_safe_to_publish(key: ApiKey) -> Iterator[Finding]:
    """A publishable key has no scope that must stay secret, and only such a key is used by web pages."""
    if not key.publishable:
        if key.allowed_origins:
            yield ("allowed_origins",), "not allowed without publishable = true", "a publishable key, or no origins"
        return
    for index, scope in enumerate(key.scopes):
        if scope not in PUBLISHABLE_SCOPES:
            found = f"{quoted(scope)} is not allowed for a publishable key"
            yield ("scopes", index), found, " or ".join(map(quoted, PUBLISHABLE_SCOPES))


def expiry_warnings(tenants: Mapping[str, tuple[ApiKey, ...]], now: float | None = None) -> Iterator[str]:
    """Name each key that has expired or will within 30 days; `now` is in seconds of Unix time.

    The line has no date: the log masks the digits of a text with six or more of them.
    """
    at = time.time() if now is None else now
    for name, keys in tenants.items():
        for index, key in enumerate(keys):
            if key.expires_at is None:
                continue
            left = key.expires_at.timestamp() - at
            if left < WARN_BEFORE_DAYS * _SECONDS_PER_DAY:
                path = dotted_path(("tenants", name, "api_keys", index, "expires_at"))
                days = f"{abs(left) / _SECONDS_PER_DAY:.0f} days"
                ends = f"has expired {days} ago" if left <= 0 else f"expires in {days}"
                yield f"{path}: the API key {quoted(key.id)} {ends}"
