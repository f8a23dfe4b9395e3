"""Identify the caller: API keys and their scopes, and the client address behind trusted proxies."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.tenant import Tenant

__all__ = [
    "ApiKey",
    "ApiKeys",
    "Network",
    "Principal",
    "UnusableKey",
    "client_address",
    "is_trusted_proxy",
    "network_of",
    "new_api_key",
    "rate_limit_address",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SERVER_PREFIX: Final = "otp_sk_"
PUBLISHABLE_PREFIX: Final = "otp_pk_"
_KEY_BYTES: Final = 32
_PUBLISHABLE_CHARACTERS: Final = len(PUBLISHABLE_PREFIX) + 43
"""32 bytes in base64, without padding, have 43 characters. The length excludes keys of earlier versions."""
_PUBLISHABLE_START: Final = PUBLISHABLE_PREFIX.encode()

_IPV6_PREFIX_BITS = 64
_MAX_ADDRESS_CHARACTERS = 128
"""Longer text is not parsed as an address."""
_MAX_FORWARDED_CHARACTERS = 2048
"""Only this many characters at the end of `X-Forwarded-For` are read: more addresses than any real chain of proxies."""
_MAX_PORT_DIGITS = 5
_COLONS_IN_FULL_IPV6 = 7


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A configured API key. `digest` is its SHA-256 in lower-case hex; the key itself is not stored.

    Attributes:
        id: Its name in the config and in logs.
        digest: The SHA-256 of the key's UTF-8 bytes.
        scopes: What it may do.
        tenant: The tenant that owns it, with the purposes and countries that the key may use.
        expires_at: When it stops being valid, in seconds of Unix time; None: never.
        publishable: It is built into an app or a web page, so anybody may know it.
        allowed_origins: The web origins whose pages may read responses to it.
    """

    id: str
    digest: str
    scopes: frozenset[str]
    tenant: Tenant
    expires_at: float | None = None
    publishable: bool = False
    allowed_origins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of one request. `key_id` names its API key; `publishable`: anybody may know the key."""

    key_id: str
    scopes: frozenset[str]
    tenant: Tenant
    publishable: bool = False
    allowed_origins: frozenset[str] = frozenset()

    def require_scope(self, scope: str) -> None:
        """Raise `Refused` (`scope_missing`) if the key lacks `scope`."""
        if scope not in self.scopes:
            raise Refused(Reason.SCOPE_MISSING, f"Use an API key with the scope `{scope}`.")


class UnusableKey(Refused):
    """A configured API key that is not valid now (`key_invalid`). The log names it, so that its user can be found."""

    def __init__(self, key: ApiKey, detail: str) -> None:
        super().__init__(Reason.KEY_INVALID, detail)
        self.key_id = key.id
        self.tenant_name = key.tenant.name


def new_api_key(*, publishable: bool) -> str:
    """Return a new random API key; its prefix shows people and secret scanners whether it is a secret."""
    return (PUBLISHABLE_PREFIX if publishable else SERVER_PREFIX) + secrets.token_urlsafe(_KEY_BYTES)


class ApiKeys:
    """All configured API keys, found by their digest.

    The time of a lookup does not depend on how similar the sent key is to a configured one.
    """

    def __init__(self, keys: Iterable[ApiKey], now: Callable[[], float] = time.time) -> None:
        """Index `keys` by digest; `now` returns the Unix time in seconds."""
        self._by_digest = {
            key.digest: (key, Principal(key.id, key.scopes, key.tenant, key.publishable, key.allowed_origins))
            for key in keys
        }
        self._now = now

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The web origins that any key allows."""
        return frozenset[str]().union(*(key.allowed_origins for key, _ in self._by_digest.values()))

    def authenticate(self, authorization: bytes) -> Principal:
        """Return the principal of an `Authorization: Bearer <key>` header.

        Args:
            authorization: The value of the header, empty if there is none.

        Raises:
            Refused: `key_missing` or `key_invalid`; `UnusableKey` for a configured key that is not valid now.
        """
        scheme, _, rest = authorization.strip().partition(b" ")
        presented = rest.strip()
        if scheme.lower() != b"bearer" or not presented:
            raise Refused(Reason.KEY_MISSING, "Send `Authorization: Bearer <key>`.")
        digest = hashlib.sha256(presented).hexdigest()
        key, principal = self._by_digest.get(digest, (None, None))
        if key is None or principal is None or not hmac.compare_digest(key.digest, digest):
            raise Refused(Reason.KEY_INVALID, "Send an API key that is configured.")
        if key.expires_at is not None and self._now() >= key.expires_at:
            raise UnusableKey(key, "The API key has expired. Send one that is valid now.")
        has_publishable_form = presented.startswith(_PUBLISHABLE_START) and len(presented) == _PUBLISHABLE_CHARACTERS
        if has_publishable_form and not key.publishable:
            raise UnusableKey(key, "The API key is publishable by its form, but not by its configuration.")
        return principal


def client_address(peer: str | None, forwarded: str, trusted: Sequence[Network]) -> str | None:
    """Return the address of the client: the last one in `X-Forwarded-For` that is not a trusted proxy.

    The header is read from its end, for as long as the address that added an entry is a trusted proxy. So a client
    cannot choose its address: what it sends is further left in the header. An entry that is not an IP address ends the
    search: then the client is the proxy that added it, and all clients behind that proxy share one rate limit.

    Args:
        peer: The address of the TCP connection; None on a Unix socket.
        forwarded: The value of `X-Forwarded-For`; its last `_MAX_FORWARDED_CHARACTERS` are read.
        trusted: The networks of trusted proxies.
    """
    address = peer
    hops = [hop for hop in forwarded[-_MAX_FORWARDED_CHARACTERS:].split(",") if hop and not hop.isspace()]
    if len(forwarded) > _MAX_FORWARDED_CHARACTERS:
        del hops[:1]  # it may be cut in two
    while address is not None and hops and is_trusted_proxy(address, trusted):
        hop = _parse_address(hops.pop())
        if hop is None:
            break
        address = str(hop)
    return address


def rate_limit_address(address: str, pointer: str | None = None) -> str:
    """Return what the `client_ip` limit counts: an IPv4 address, or the /64 network of an IPv6 address.

    Args:
        address: An address as a proxy or a caller writes it.
        pointer: The JSON pointer of the address in the body, if it comes from there.

    Raises:
        Refused: `request_malformed`, if `address` is not an IP address.
    """
    parsed = _parse_address(address)
    if parsed is None:
        errors = (FieldError(pointer or "", "Send an IP address, such as 203.0.113.9 or 2001:db8::1."),)
        raise Refused(Reason.REQUEST_MALFORMED, "Send an IP address.", field_errors=errors)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(parsed), _IPV6_PREFIX_BITS), strict=False))
    return str(parsed)


def network_of(address: str | None) -> str:
    """Return the /16 (IPv4) or /32 (IPv6) of an address, to log it without the address itself; "" for none."""
    parsed = _parse_address(address or "")
    if parsed is None:
        return ""
    return str(ipaddress.ip_network((int(parsed), 16 if parsed.version == 4 else 32), strict=False))


def _parse_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address as proxies write it: with quotes, brackets, port or zone. Return None for anything else.

    `::ffff:a.b.c.d`, which is how a dual-stack socket reports an IPv4 address, becomes that IPv4 address.
    """
    if len(address) > _MAX_ADDRESS_CHARACTERS:
        return None
    host = _without_port(address.strip().strip('"').strip())
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _without_port(address: str) -> str:
    """Remove the port and the brackets of an address; return any other text unchanged."""
    if address.startswith("["):
        host, closed, rest = address[1:].partition("]")
        return host if closed and ":" in host and (not rest or _is_port(rest)) else address
    host, colon, port = address.rpartition(":")
    # A shortened IPv6 address without brackets has no port: its last group would look like one.
    may_have_port = "." in host.rpartition(":")[2] or (host.count(":") == _COLONS_IN_FULL_IPV6 and "::" not in host)
    return host if may_have_port and _is_port(colon + port) else address


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[0] == ":" and 0 < len(digits) <= _MAX_PORT_DIGITS and digits.isascii() and digits.isdecimal()


def is_trusted_proxy(address: str, trusted: Sequence[Network]) -> bool:
    """Return whether an address is in one of the `trusted` networks."""
    parsed = _parse_address(address)
    return parsed is not None and any(parsed in network for network in trusted)
