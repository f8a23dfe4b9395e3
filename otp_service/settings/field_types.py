"""The field types that only tables outside `[providers.*]` use: names, limits, networks, templates, keys, URLs.

A value that another layer understands (a template, a store URL, a signing key) is validated by that layer, so that a
configuration that loads also works.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final

from msgspec import Meta

from otp_service.crypto.pem import InvalidPem, ed25519_pem
from otp_service.domain.limits import Window
from otp_service.domain.opt_out import normalize_word
from otp_service.domain.secret import Secret
from otp_service.domain.templates import Template, TemplateInvalid, compile_template
from otp_service.providers.config_fields import ChannelName, country_code, secret
from otp_service.providers.config_parsing import (
    REFERENCE_SYNTAX,
    FieldContext,
    InvalidValue,
    Parse,
    invalid,
    invalid_secret,
    shown,
    unquoted,
)
from otp_service.store.redis_url import InvalidRedisUrl, validate_redis_url

ALL_COUNTRIES: Final = "*"
MAX_WINDOW_SECONDS: Final = 30 * 86400
MAX_WINDOW_COUNT: Final = 1_000_000
MAX_WORD_CHARS: Final = 32
MAX_BRAND_CHARS: Final = 30
MAX_TEMPLATE_CHARS: Final = 480
"""More than three segments of GSM-7 are not a message that contains a code."""

_WINDOW: Final = re.compile(r"(?P<count>[1-9]\d{0,6})/(?P<seconds>[1-9]\d{0,6})", re.ASCII)
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _window(raw: Any, _: FieldContext) -> Window:
    match = _WINDOW.fullmatch(raw) if isinstance(raw, str) else None
    window = match and Window(int(match["count"]), int(match["seconds"]))
    if window is None or window.count > MAX_WINDOW_COUNT or window.seconds > MAX_WINDOW_SECONDS:
        raise invalid(raw)
    return window


def _network(raw: Any, _: FieldContext) -> AnyNetwork:
    if not isinstance(raw, str):
        raise invalid(raw)
    try:
        return ipaddress.ip_network(raw)
    except ValueError as error:
        hint = " (it has host bits set)" if "host bits" in str(error) else ""
        raise InvalidValue(f"{shown(raw)} is not allowed{hint}") from None


def _template(raw: Any, _: FieldContext) -> Template:
    if not isinstance(raw, str) or len(raw) > MAX_TEMPLATE_CHARS:
        raise invalid(raw)
    try:
        return compile_template(raw)
    except TemplateInvalid as error:
        raise InvalidValue(str(error).partition("; allowed")[0]) from None


def _opt_out_word(raw: Any, _: FieldContext) -> str:
    if isinstance(raw, str) and 0 < len(raw) <= MAX_WORD_CHARS and normalize_word(raw) and len(raw.split()) == 1:
        return raw
    raise invalid(raw)


def _sha256(raw: Any, _: FieldContext) -> str:
    """Read a hash in either case. It is not shown, because it may be the key itself."""
    if isinstance(raw, str) and _SHA256.fullmatch(raw.lower()):
        return raw.lower()
    raise invalid_secret("is not allowed")


def _redis_url(text: str) -> Secret:
    try:
        return Secret(validate_redis_url(unquoted(text)))
    except InvalidRedisUrl as error:
        raise invalid_secret(str(error)) from None


def _ed25519_pem(text: str) -> Secret:
    try:
        return Secret(ed25519_pem(unquoted(text)))
    except InvalidPem as error:
        raise invalid_secret(str(error)) from None


def _name(pattern: str, description: str) -> Meta:
    return Meta(pattern=rf"\A{pattern}\Z", description=description)


Name = Annotated[
    str, _name(r"[a-z0-9][a-z0-9_-]{0,31}", "a name of 1 to 32 of a-z 0-9 _ -, the first a letter or digit")
]
KeyName = Annotated[
    str, _name(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", "a name of 1 to 32 of A-Z a-z 0-9 _ -, the first a letter or digit")
]
Purpose = Annotated[str, _name(r"[a-z][a-z0-9_]{0,31}", "a name of 1 to 32 of a-z 0-9 _, the first a letter")]
Locale = Annotated[str, _name(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}", "a locale, such as id or en-GB")]
AppDomain = Annotated[
    str,
    Meta(max_length=253),
    _name(rf"(?:{_LABEL}\.)*(?=[a-z]){_LABEL}", "a host name in lower case, such as login.example.com, without port"),
]
AppHash = Annotated[str, _name(r"[A-Za-z0-9+/]{11}", "the 11 characters of the app's hash, such as FA+9qCX9VSu")]
Prefix = Annotated[str, _name(r"\+[1-9][0-9]{0,14}", "+ and 1 to 15 digits")]
Brand = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_BRAND_CHARS,
        pattern=r"\A[^\x00-\x1f\x7f\x85\u2028\u2029]+\Z",
        description=f"1 to {MAX_BRAND_CHARS} characters",
    ),
]

_COUNTRY: Final = "an ISO 3166 alpha-2 code in capitals, such as ID"
Country = Annotated[str, country_code(), Meta(description=_COUNTRY)]
AllowedCountry = Annotated[
    str, country_code(ALL_COUNTRIES), Meta(description=f'{_COUNTRY}, or "{ALL_COUNTRIES}" for all')
]
Sha256 = Annotated[
    str,
    Parse(_sha256, {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}),
    Meta(description="the SHA-256 of the key, 64 hexadecimal digits"),
]
Network = Annotated[AnyNetwork, Parse(_network), Meta(description="a network, such as 10.0.0.0/8 or 2001:db8::/32")]
TemplateText = Annotated[
    Template,
    Parse(_template, {"type": "string", "maxLength": MAX_TEMPLATE_CHARS, "pattern": r"\{code\}"}),
    Meta(
        description=f"at most {MAX_TEMPLATE_CHARS} characters with {{code}}, and {{brand}}, {{minutes}}, {{link}}, or "
        "{amount}, {currency} and {payee}"
    ),
]
LinkHost = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z",
        description="a host name in lower case, such as account.example.com",
    ),
]
OptOutWord = Annotated[
    str,
    Parse(_opt_out_word, {"type": "string", "minLength": 1, "maxLength": MAX_WORD_CHARS, "pattern": r"^\S+$"}),
    Meta(description=f"one word of at most {MAX_WORD_CHARS} characters"),
]
OptOutWordList = Annotated[tuple[OptOutWord, ...], Meta(max_length=64, description="at most 64 words")]
Channels = Annotated[tuple[ChannelName, ...], Meta(min_length=1, description="at least one channel")]
RateWindow = Annotated[
    Window,
    Parse(_window, {"type": "string", "pattern": "^[1-9][0-9]{0,6}/[1-9][0-9]{0,6}$"}),
    Meta(description=f'"count/seconds" with a count of 1 to {MAX_WINDOW_COUNT} and 1 to {MAX_WINDOW_SECONDS} seconds'),
]
Ed25519Pem = Annotated[
    Secret,
    secret(_ed25519_pem),
    Meta(description=f"{REFERENCE_SYNTAX}, with an unencrypted Ed25519 private key in PEM"),
]
RedisUrl = Annotated[
    Secret,
    secret(_redis_url),
    Meta(
        description=f"{REFERENCE_SYNTAX}, with redis://host:port, redis+cluster://host:port, "
        "redis+sentinel://host:port/master (rediss for TLS) or unix:///path; user and password percent-encoded"
    ),
]
