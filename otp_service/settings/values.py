"""The values of a config that are more than a number or a word: places, money, addresses, windows, templates.

Each is an annotated type; a struct only names it. What another layer knows already (numbering plans, templates,
windows) is asked there, so that a config which passes here is one that works there.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta

from otp_service.domain.limits import Window
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.templates import Template, TemplateInvalid, compile_template
from otp_service.settings.forms import HIDDEN, Before, Read
from otp_service.settings.mistakes import NotAllowed, Path, shown
from otp_service.settings.secrets import Sources, is_reference, resolve

__all__ = [
    "Account",
    "BaseUrl",
    "CaFile",
    "Country",
    "Currency",
    "KeyName",
    "Locale",
    "Name",
    "Network",
    "Permitted",
    "Price",
    "PriceArea",
    "Purpose",
    "Sha256",
    "SpendCap",
    "TemplateText",
    "Text",
    "Windowed",
    "is_web_url",
]

ALL: Final = "*"
LONGEST_WINDOW: Final = 2_592_000
"""Seconds: 30 days."""
HIGHEST_COUNT: Final = 1_000_000
LONGEST_TEMPLATE: Final = 480
"""Characters: more than three segments of GSM-7 is no message that carries a code."""

_WINDOW: Final = re.compile(r"(?P<count>[1-9]\d{0,6})/(?P<seconds>[1-9]\d{0,6})", re.ASCII)
_MONEY: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_SPACE: Final = re.compile(r"[\s\x00-\x1f\x7f]")

Network_ = ipaddress.IPv4Network | ipaddress.IPv6Network


def _refused(raw: Any) -> NotAllowed:
    return NotAllowed(f"{shown(raw)} is not allowed")


def _country(*others: str) -> Read:
    def read(raw: Any, _: Path, __: Sources) -> str:
        if isinstance(raw, str) and (raw in SUPPORTED_COUNTRIES or raw in others):
            return raw
        raise _refused(raw)

    return Read(read)


def _money(raw: Any, _: Path, __: Sources) -> Decimal:
    """Read money; a TOML number would have been through binary floating point already."""
    if isinstance(raw, str) and _MONEY.fullmatch(raw):
        return Decimal(raw)
    raise _refused(raw)


def _spend_cap(raw: Any, path: Path, sources: Sources) -> Decimal:
    if cap := _money(raw, path, sources):
        return cap
    raise _refused(raw)


def _window(raw: Any, _: Path, __: Sources) -> Window:
    found = _WINDOW.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        raise _refused(raw)
    window = Window(int(found["count"]), int(found["seconds"]))
    if window.count > HIGHEST_COUNT or window.seconds > LONGEST_WINDOW:
        raise _refused(raw)
    return window


def _network(raw: Any, _: Path, __: Sources) -> Network_:
    if not isinstance(raw, str):
        raise _refused(raw)
    try:
        return ipaddress.ip_network(raw)
    except ValueError as error:
        bits = " (it has host bits set)" if "host bits" in str(error) else ""
        raise NotAllowed(f"{shown(raw)} is not allowed{bits}") from None


def is_web_url(text: str) -> bool:
    """Tell whether it is an http(s) URL with a host, and without a user, a password, spaces or a fragment."""
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    return "@" not in parts.netloc and not parts.fragment and not _SPACE.search(text)


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        return parts if parts.port != 0 else None  # reading the port judges it
    except ValueError:
        return None


def _base_url(raw: Any, _: Path, __: Sources) -> str:
    """Read a URL that paths are put behind: it ends without a slash. One that may hold credentials is not shown."""
    if isinstance(raw, str) and is_web_url(raw) and "?" not in raw:
        return raw.rstrip("/")
    if isinstance(raw, str) and ("@" in raw or "?" in raw):
        raise NotAllowed("a URL with a user, a password or a query (not shown) is not allowed")
    raise _refused(raw)


def _template(raw: Any, _: Path, __: Sources) -> Template:
    if not isinstance(raw, str) or len(raw) > LONGEST_TEMPLATE:
        raise _refused(raw)
    try:
        return compile_template(raw)
    except TemplateInvalid as error:
        raise NotAllowed(str(error).partition("; allowed")[0]) from None


def _account(raw: Any, _: Path, sources: Sources) -> str:
    """Read what identifies an account: not a secret, so it may stand in the file, or where the secrets are."""
    if is_reference(raw):
        return resolve(raw, sources)
    if not isinstance(raw, str) or not raw.strip():
        raise _refused(raw)
    return raw


def _ca_file(raw: Any, _: Path, __: Sources) -> str:
    """Read the path of a file with certificates, and try whether TLS can use them."""
    if not isinstance(raw, str) or not raw.startswith("/"):
        raise _refused(raw)
    try:
        ssl.create_default_context(cafile=raw)
    except OSError as error:  # ssl.SSLError is one: no certificate in it
        reason = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror or "unreadable"
        raise NotAllowed(f"the file {shown(raw)} cannot be used: {reason}") from None
    return raw


def _lower(raw: Any) -> Any:
    return raw.lower() if isinstance(raw, str) else raw


Name = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9][a-z0-9_-]{0,31}\Z",
        description="a name of 1 to 32 of a-z 0-9 _ -, the first a letter or digit",
    ),
]
KeyName = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z",
        description="a name of 1 to 32 of A-Z a-z 0-9 _ -, the first a letter or digit",
    ),
]
Purpose = Annotated[
    str,
    Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z", description="a name of 1 to 32 of a-z 0-9 _, the first a letter"),
]
Locale = Annotated[
    str,
    Meta(pattern=r"\A[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}\Z", description="a locale, such as id or en-GB"),
]
Text = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=r"\A[^\x00-\x1f\x7f]+\Z", description="1 to 255 characters")
]
Sha256 = Annotated[
    str,
    Before(_lower),
    HIDDEN,
    Meta(pattern=r"\A[0-9a-f]{64}\Z", description="the SHA-256 of the key, 64 hexadecimal digits"),
]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z", description="an ISO 4217 code, such as USD")]

_COUNTRY: Final = "an ISO 3166 alpha-2 code in capitals, such as ID"
Country = Annotated[str, _country(), Meta(description=_COUNTRY)]
Permitted = Annotated[str, _country(ALL), Meta(description=f'{_COUNTRY}, or "{ALL}" for all')]
PriceArea = Annotated[str, _country("default"), Meta(description=f"{_COUNTRY}, or default")]

Price = Annotated[Decimal, Read(_money), Meta(description='a decimal in quotes, such as "0.015"')]
SpendCap = Annotated[Decimal, Read(_spend_cap), Meta(description='a decimal above 0 in quotes, such as "200"')]
Network = Annotated[Network_, Read(_network), Meta(description="a network, such as 10.0.0.0/8 or 2001:db8::/32")]
BaseUrl = Annotated[
    str, Read(_base_url), Meta(description="http://host or https://host, with or without a port and a path")
]
TemplateText = Annotated[
    Template,
    Read(_template),
    Meta(description=f"text with {{code}}, and {{brand}} or {{minutes}}, of at most {LONGEST_TEMPLATE} characters"),
]
Account = Annotated[str, Read(_account), Meta(description="text, or env:NAME or file:/path")]
CaFile = Annotated[str, Read(_ca_file), Meta(description="the absolute path of a file with certificates in PEM")]
Windowed = Annotated[
    Window,
    Read(_window),
    Meta(description=f'"count/seconds" with a count of 1 to {HIGHEST_COUNT} and 1 to {LONGEST_WINDOW} seconds'),
]
