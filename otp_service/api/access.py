"""Who calls: API keys, their scopes, and the address behind trusted proxies."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from otp_service.domain.errors import FieldMistake, Reason, Refused
from otp_service.domain.policy import Tenant

__all__ = ["ApiKey", "Keys", "Network", "Principal", "client_address", "counted_address"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_IPV6_PREFIX = 64


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
            raise Refused(Reason.KEY_MISSING, "Say Authorization: Bearer and the key.")
        digest = hashlib.sha256(presented.strip()).hexdigest()
        key = self._by_digest.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise Refused(Reason.KEY_INVALID, "No such key.")
        return Principal(key.id, key.scopes, key.tenant)


def client_address(peer: str | None, forwarded: str | None, trusted: Sequence[Network]) -> str | None:
    """Find who called: the last address of `X-Forwarded-For` that a trusted proxy did not add itself.

    The header counts only as far as the chain of trusted proxies reaches from `peer` inwards; whatever a client
    wrote into it stands before that.
    """
    address = peer
    hops = [hop.strip() for hop in (forwarded or "").split(",") if hop.strip()]
    while address is not None and hops and _is_trusted(address, trusted):
        address = hops.pop()
    return address if address is not None and _parsed(address) else peer


def counted_address(address: str, pointer: str | None = None) -> str:
    """Name the subject of the `client_ip` limit: an IPv4 address, or the /64 of an IPv6 one.

    Raises `Refused` (`request_malformed`, at `pointer`) for what is no address.
    """
    parsed = _parsed(address)
    if parsed is None:
        mistakes = (FieldMistake(pointer or "", "is not an IP address"),)
        raise Refused(Reason.REQUEST_MALFORMED, "The address is not one.", mistakes=mistakes)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
    return str(parsed)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address; an IPv4 one that a dual-stack socket tells as `::ffff:a.b.c.d` is an IPv4 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)
