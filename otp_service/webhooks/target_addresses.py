"""Which addresses a webhook may be sent to: not those of private networks, this machine or a cloud's metadata service.

A name is resolved once for each connection. Every address that it has is checked, and the connection is made to a
checked address, so a name server that answers differently the second time changes nothing. An IPv6 address that
contains an IPv4 address (mapped, NAT64, 6to4) must be allowed by both.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

__all__ = ["Resolver", "SharedLookup", "TargetRefused", "checked_addresses", "is_address_allowed", "resolve"]

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host and port; raises `OSError` if it has none."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEVER: Final = [
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "fe80::/10", "ff00::/8")
]
"""Unspecified, link-local (with the metadata services of clouds), multicast and reserved: refused in any case."""

_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
"""Metadata services of clouds in other networks: AWS by IPv6, Alibaba Cloud, Oracle Cloud, Azure (WireServer)."""

_PRIVATE: Final = [
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    )
]
"""IPv4 addresses that are not public (IANA's registry of special-purpose addresses)."""

_PUBLIC_V6: Final = ipaddress.ip_network("2000::/3")
_PRIVATE_V6: Final = [ipaddress.ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
"""Parts of 2000::/3 that are not public: protocol assignments with Teredo, documentation, 6to4."""

_LOOKUPS: Final = ThreadPoolExecutor(16, thread_name_prefix="webhook-lookup")
"""A name server that does not reply must not keep the threads in which the hosts of gateways are looked up."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_OTHER_EMBEDDING: Final = [ipaddress.ip_network(text) for text in ("64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")]
"""Local NAT64 (RFC 8215), translated and IPv4-compatible addresses: private, and with an IPv4 address at the end."""
_LOOPBACK_V6: Final = ipaddress.IPv6Address("::1")
_LOW_32_BITS: Final = 0xFFFF_FFFF


class TargetRefused(Exception):
    """The host has an address that webhooks must not be sent to."""


def is_address_allowed(text: str, *, allow_private: bool) -> bool:
    """Return whether a webhook may be sent to an address. Link-local and multicast addresses are always refused."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(_is_allowed(one, allow_private=allow_private) for one in _with_embedded(address))


def _with_embedded(address: _Address) -> Iterable[_Address]:
    """Return the addresses that decide: an IPv4 address in place of, or beside, the IPv6 address that contains it."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (ipaddress.IPv4Address(int(address) & _LOW_32_BITS),)
    if address != _LOOPBACK_V6 and any(address in network for network in _OTHER_EMBEDDING):
        return (address, ipaddress.IPv4Address(int(address) & _LOW_32_BITS))
    return (address, address.sixtofour) if address.sixtofour is not None else (address,)


def _is_allowed(address: _Address, *, allow_private: bool) -> bool:
    if address in _METADATA or any(address in network for network in _NEVER):
        return False
    if allow_private:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _PRIVATE)
    return address in _PUBLIC_V6 and not any(address in network for network in _PRIVATE_V6)


class SharedLookup:
    """A `Resolver` with one lookup at a time, whose result is shared by all callers.

    A name server that does not reply occupies one thread for an endpoint, also when attempts end and others begin
    meanwhile, so that the lookups of other endpoints go on.
    """

    def __init__(self, resolver: Resolver) -> None:
        """Look up with `resolver`, always the same host and port."""
        self._resolver = resolver
        self._running: asyncio.Task[Sequence[str]] | None = None

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses (see `Resolver`); who is cancelled does not end the lookup."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(_addresses_of(self._resolver, host, port))
            self._running.add_done_callback(_note_failure)
        return await asyncio.shield(self._running)

    def close(self) -> None:
        """Stop waiting for a lookup in progress."""
        if self._running is not None:
            self._running.cancel()


async def _addresses_of(resolver: Resolver, host: str, port: int) -> Sequence[str]:
    return await resolver(host, port)


def _note_failure(lookup: asyncio.Task[Sequence[str]]) -> None:
    """Take the exception of a lookup for which nobody waits any more."""
    if not lookup.cancelled():
        lookup.exception()


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host by the system's resolver, in threads of webhooks alone (see `Resolver`)."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_LOOKUPS, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def checked_addresses(host: str, port: int, *, allow_private: bool, resolver: Resolver) -> Sequence[str]:
    """Resolve a host; raise `TargetRefused` if one of its addresses is not allowed, and `OSError` if it has none."""
    addresses = await resolver(host, port)
    if not addresses:
        raise OSError("no address")
    if not all(is_address_allowed(one, allow_private=allow_private) for one in addresses):
        raise TargetRefused
    return addresses
