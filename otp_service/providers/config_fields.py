"""The field types and the common keys of `[providers.*]`; `settings` uses the same types for the other tables.

A field is declared by its type and msgspec's `Meta` (bounds, pattern, description), with a `Parse` where TOML does not
have the type. `settings` reads a document along these declarations, and describes them as a JSON Schema.

The module is in this package, below `settings`, because providers and plugins declare their tables with it.
It is not in `domain`, because secrets are read from files and environment variables.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, Struct, field

from otp_service.domain.message import Channel
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.provider_policy import ANY_COUNTRY
from otp_service.domain.secret import Secret
from otp_service.providers.config_parsing import (
    REFERENCE_SYNTAX,
    FieldContext,
    Finding,
    InvalidValue,
    Parse,
    invalid,
    invalid_secret,
    is_reference,
    quoted,
    resolve_secret,
    shown,
    unquoted,
)

__all__ = [
    "COUNTRIES_REF",
    "Account",
    "Base64Key",
    "BaseUrl",
    "CaFile",
    "Caps",
    "ChannelName",
    "CommonProvider",
    "Host",
    "PollSeconds",
    "PriceArea",
    "ReceiptToken",
    "SealingKey",
    "SecretText",
    "Table",
    "Text",
    "country_code",
    "is_web_url",
    "secret",
]

KEY_BYTES: Final = 32
COUNTRIES_REF: Final = "#/$defs/CountryCode"
"""Where the JSON Schema lists every country code once."""

_BASE64: Final = re.compile(r"([A-Za-z0-9+/_-]*)={0,2}")
MIN_RECEIPT_TOKEN_CHARS: Final = 16
_HEXADECIMAL: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * KEY_BYTES}}}")
_MONEY: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_SPACE: Final = re.compile(r"[\s\x00-\x1f\x7f]")


class Base64Key(Secret):
    """A key of 32 bytes, kept as base64."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if len(self.decoded()) != KEY_BYTES:
            raise ValueError(f"the key must have {KEY_BYTES} bytes")

    def decoded(self) -> bytes:
        """Return the bytes."""
        return base64.b64decode(self.reveal(), validate=True)


def _base64_key(text: str) -> Base64Key:
    """Read base64 or base64url, with or without padding."""
    match = _BASE64.fullmatch(unquoted(text))
    if not match:
        raise invalid_secret("is not base64: it has a character outside the alphabet")
    body = match[1].replace("-", "+").replace("_", "/")
    if _HEXADECIMAL.fullmatch(body):
        raise invalid_secret("is hexadecimal, not base64")
    if len(body) % 4 == 1:
        raise invalid_secret("is not base64: it is cut off, or has a character too many")
    body += "=" * (-len(body) % 4)
    if (size := len(base64.b64decode(body))) != KEY_BYTES:
        raise invalid_secret(f"is {size} bytes instead of {KEY_BYTES}")
    return Base64Key(body)


def secret(make: Callable[[str], Secret]) -> Parse:
    """Return the `Parse` of a secret: the text behind its reference, validated and wrapped by `make`."""
    return Parse(
        lambda raw, context: make(resolve_secret(raw, context)), {"type": "string", "pattern": "^(env:|file:/).+"}
    )


def country_code(*others: str) -> Parse:
    """Return the `Parse` of a country code; `others` are allowed, too."""

    def parse(raw: Any, _: FieldContext) -> str:
        if isinstance(raw, str) and (raw in SUPPORTED_COUNTRIES or raw in others):
            return raw
        raise invalid(raw)

    return Parse(
        parse, {"anyOf": [{"$ref": COUNTRIES_REF}, {"enum": list(others)}]} if others else {"$ref": COUNTRIES_REF}
    )


def _price(raw: Any, _: FieldContext) -> Decimal:
    """Read money. TOML numbers are refused, because binary floating point has already changed them."""
    if isinstance(raw, str) and _MONEY.fullmatch(raw):
        return Decimal(raw)
    raise invalid(raw)


def _spend_cap(raw: Any, context: FieldContext) -> Decimal:
    if cap := _price(raw, context):
        return cap
    raise invalid(raw)


def is_web_url(text: str) -> bool:
    """Whether `text` is an http(s) URL with a host, and without user, password, white space and fragment."""
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    return "@" not in parts.netloc and not parts.fragment and not _SPACE.search(text)


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        return parts if parts.port != 0 else None  # reading the port validates it
    except ValueError:
        return None


def _base_url(raw: Any, _: FieldContext) -> str:
    if isinstance(raw, str) and is_web_url(raw) and "?" not in raw:
        return raw.rstrip("/")
    if isinstance(raw, str) and ("@" in raw or "?" in raw):
        raise InvalidValue("a URL with a user, a password or a query (not shown) is not allowed")
    raise invalid(raw)


def _receipt_token(text: str) -> Secret:
    if len(text) < MIN_RECEIPT_TOKEN_CHARS:
        raise invalid_secret(f"has fewer than {MIN_RECEIPT_TOKEN_CHARS} characters")
    return Secret(text)


def _ca_file(raw: Any, _: FieldContext) -> str:
    """Accept a file only if TLS can use its certificates."""
    if not isinstance(raw, str) or not raw.startswith("/"):
        raise invalid(raw)
    try:
        ssl.create_default_context(cafile=raw)
    except OSError as error:  # ssl.SSLError is a subclass: the file has no certificate
        reason = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror or "unreadable"
        raise InvalidValue(f"the file {shown(raw)} cannot be used: {reason}") from None
    return raw


def _account(raw: Any, context: FieldContext) -> str:
    if is_reference(raw):
        return resolve_secret(raw, context)
    if not isinstance(raw, str) or not raw.strip():
        raise invalid(raw)
    return raw


def _channel(raw: Any, _: FieldContext) -> Channel:
    if raw in tuple(Channel):
        return Channel(raw)
    raise invalid(raw)


ChannelName = Annotated[
    Channel,
    Parse(_channel, {"enum": [channel.value for channel in Channel]}),
    Meta(description=" or ".join(quoted(channel) for channel in Channel)),
]

SecretText = Annotated[Secret, secret(Secret), Meta(description=REFERENCE_SYNTAX)]
"""A password or token. The configuration contains a reference to it, never the value."""

ReceiptToken = Annotated[
    Secret,
    secret(_receipt_token),
    Meta(description=f"{REFERENCE_SYNTAX}, with at least {MIN_RECEIPT_TOKEN_CHARS} characters"),
]
"""The token in the URL to which a gateway without signatures sends the receipts of the whole account."""

SealingKey = Annotated[
    Base64Key, secret(_base64_key), Meta(description=f"{REFERENCE_SYNTAX}, with {KEY_BYTES} bytes in base64")
]

Account = Annotated[str, Parse(_account), Meta(description="text, or env:NAME or file:/path")]
"""An account name or id: not a secret, so it may be written as text or as a reference."""

Text = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=r"\A[^\x00-\x1f\x7f]+\Z", description="1 to 255 characters")
]
BaseUrl = Annotated[
    str,
    Parse(_base_url, {"type": "string", "pattern": "^https?://[^?#@]+$"}),
    Meta(description="http://host or https://host, with or without a port and a path"),
]
Host = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,253}\Z", description="a host name or an address")]
CaFile = Annotated[
    str,
    Parse(_ca_file, {"type": "string", "pattern": "^/"}),
    Meta(description="the absolute path of a file with certificates in PEM"),
]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z", description="an ISO 4217 code, such as USD")]
PriceArea = Annotated[
    str, country_code(ANY_COUNTRY), Meta(description="an ISO 3166 alpha-2 code in capitals, such as ID, or default")
]
_MONEY_SCHEMA: Final = {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$"}
Price = Annotated[Decimal, Parse(_price, _MONEY_SCHEMA), Meta(description='a decimal in quotes, such as "0.015"')]
SpendCap = Annotated[
    Decimal,
    Parse(_spend_cap, {**_MONEY_SCHEMA, "not": {"pattern": "^[0.]+$"}}),
    Meta(description='a decimal above 0 in quotes, such as "200"'),
]
PollSeconds = Annotated[float, Meta(ge=0, le=3600, description="0 to 3600 (0: never)")]
"""When a delivery status is first queried."""


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration. `cross_check` validates fields together."""

    def cross_check(self) -> Iterator[Finding]:
        """Yield a `Finding` for each error of fields that are valid by themselves.

        It ends at the first use of a field that is invalid by itself, which has been reported already.
        """
        yield from ()


class Caps(Table, frozen=True, kw_only=True):
    """The maximum of messages and of money per day (UTC), and the share of it that raises an alert. None: no cap."""

    daily_message_cap: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    daily_spend_cap: SpendCap | None = None
    alert_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.8
    block_on_limit: bool = True
    currency: Currency = "USD"


class CommonProvider(Caps, frozen=True, kw_only=True):
    """The keys that every provider has.

    `price` is that of one segment, by country or `default`; all replicas share `max_per_second` and `max_concurrent`.
    An idle connection to the gateway is closed after `keepalive_seconds`; 0: each request has its own connection.
    """

    timeout_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 8.0
    keepalive_seconds: Annotated[float, Meta(ge=0, le=60)] = 3.0
    max_per_second: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    max_concurrent: Annotated[int, Meta(ge=1, le=1000)] = 16
    price: Mapping[PriceArea, Price] = field(default_factory=lambda: MappingProxyType[str, Decimal]({}))

    @property
    def type(self) -> str:
        """The provider's type, as in the configuration."""
        return str(self.__struct_config__.tag)

    @property
    def channels(self) -> frozenset[Channel]:
        """The channels that the provider serves."""
        return frozenset({Channel.SMS})

    @property
    def reports_delivery(self) -> bool:
        """Whether the gateway says whether messages arrived, in receipts or when it is queried."""
        return True
