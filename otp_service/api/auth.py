"""Who calls: API keys, their scopes, and the address behind trusted proxies."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.tenant import Tenant

__all__ = [
    "ApiKey",
    "Keys",
    "Network",
    "Principal",
    "client_address",
    "counted_address",
    "is_trusted",
    "network_of",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_IPV6_PREFIX = 64
_ADDRESS_CHARACTERS = 128
"""The longest text that is read as an address; the longest address of use is well below."""
_FORWARDED_CHARACTERS = 2048
"""The end of X-Forwarded-For that is looked at: more proxies than stand in it are not behind one another."""
_PORT_DIGITS = 5
_IPV6_COLONS = 7


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A configured key: only its SHA-256 is known. `digest` in lower-case hex."""

    id: str
    digest: str
    scopes: frozenset[str]
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request."""

    key_id: str
    scopes: frozenset[str]
    tenant: Tenant

    def need(self, scope: str) -> None:
        """Raise `Refused` when the key lacks `scope`."""
        if scope not in self.scopes:
            raise Refused(Reason.SCOPE_MISSING, f"This needs a key with the scope {scope}.")


class Keys:
    """All keys, found by their digest: the time of a look-up says nothing about a key that is close."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        """Index `keys`."""
        self._by_digest = {key.digest: key for key in keys}

    def principal(self, authorization: bytes) -> Principal:
        """Read `Authorization: Bearer <key>` as it was sent; raises `Refused` (`key_missing`, `key_invalid`)."""
        scheme, _, presented = authorization.strip().partition(b" ")
        if scheme.lower() != b"bearer" or not presented.strip():
            raise Refused(Reason.KEY_MISSING, "Send `Authorization: Bearer <key>`.")
        digest = hashlib.sha256(presented.strip()).hexdigest()
        key = self._by_digest.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise Refused(Reason.KEY_INVALID, "Send a key that is configured.")
        return Principal(key.id, key.scopes, key.tenant)


def client_address(peer: str | None, forwarded: str, trusted: Sequence[Network]) -> str | None:
    """Find who called: the last address of `X-Forwarded-For` that a trusted proxy did not add itself.

    The header counts only as far as the chain of trusted proxies reaches from `peer` inwards; whatever a client
    wrote into it stands before that. Only its last `_FORWARDED_CHARACTERS` are looked at. A hop that is no address ends
    the chain: the proxy that told of it is who called, and all behind it share one budget.
    """
    address = peer
    hops = [hop for hop in forwarded[-_FORWARDED_CHARACTERS:].split(",") if hop and not hop.isspace()]
    if len(forwarded) > _FORWARDED_CHARACTERS:
        del hops[:1]  # cut in two, perhaps
    while address is not None and hops and is_trusted(address, trusted):
        hop = _parsed(hops.pop())
        if hop is None:
            break
        address = str(hop)
    return address


def counted_address(address: str, pointer: str | None = None) -> str:
    """Name the subject of the `client_ip` limit: an IPv4 address, or the /64 of an IPv6 one.

    Raises `Refused` (`request_malformed`, at `pointer`) for what is no address.
    """
    parsed = _parsed(address)
    if parsed is None:
        mistakes = (FieldError(pointer or "", "Send an IP address, such as 203.0.113.9 or 2001:db8::1."),)
        raise Refused(Reason.REQUEST_MALFORMED, "Send an IP address.", mistakes=mistakes)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
    return str(parsed)


def network_of(address: str | None) -> str:
    """Name the network of a peer, which tells an operator enough and nobody's address; "" for none."""
    parsed = _parsed(address or "")
    if parsed is None:
        return ""
    return str(ipaddress.ip_network((int(parsed), 16 if parsed.version == 4 else 32), strict=False))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address as proxies write it: in quotes, in brackets, with a port, with a zone; None for anything else.

    An IPv4 one that a dual-stack socket tells as `::ffff:a.b.c.d` is an IPv4 one.
    """
    if len(address) > _ADDRESS_CHARACTERS:
        return None
    host = _without_port(address.strip().strip('"').strip())
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _without_port(address: str) -> str:
    """Take a port off, and brackets; what is not written like either stays, and is no address then."""
    if address.startswith("["):
        host, closed, rest = address[1:].partition("]")
        return host if closed and ":" in host and (not rest or _is_port(rest)) else address
    host, colon, port = address.rpartition(":")
    # a shortened IPv6 address without brackets has no port: its last group would read like one
    whole = "." in host.rpartition(":")[2] or (host.count(":") == _IPV6_COLONS and "::" not in host)
    return host if whole and _is_port(colon + port) else address


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[0] == ":" and 0 < len(digits) <= _PORT_DIGITS and digits.isascii() and digits.isdecimal()


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Say whether an address is one of a trusted proxy."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)
