"""From the config's URL to connections: addresses, credentials, TLS and time-outs.

`rediss+sentinel` speaks TLS to the Sentinels as well as to the servers that they name. Sentinels have a user and a
password of their own, or none: those of the servers are never sent to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from otp_service.domain.secret import Secret

__all__ = ["CONNECT_SECONDS", "Access", "addresses", "cluster_options", "pool_of"]

CONNECT_SECONDS = 1.0
SENTINEL_SECONDS = 0.3
"""For one Sentinel: three that hang still leave time to ask a fourth within a call's deadline."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the config says beside the URL.

    `allow_eviction` accepts servers that may forget; `ca_file` holds the authorities (PEM) that TLS trusts instead of
    the system's; the Sentinels' own user and password.
    """

    allow_eviction: bool = False
    ca_file: str | None = None
    sentinel_username: str | None = None
    sentinel_password: Secret | None = None


def pool_of(url: str, access: Access) -> ConnectionPool:
    """Make the connections to one server, or to the primary that Sentinels name."""
    scheme, _, kind = urlsplit(url).scheme.partition("+")
    if kind == "sentinel":
        return _sentinel_pool(url, access, tls=scheme == "rediss")
    tls = _trust(access) if scheme == "rediss" else {}
    return ConnectionPool.from_url(url, **_connection_options(), **tls)


def cluster_options(url: str, access: Access) -> dict[str, Any]:
    """Say how every node of a cluster is connected to."""
    tls = urlsplit(url).scheme.startswith("rediss")
    return _options(url) | ({"connection_class": SSLConnection} | _trust(access) if tls else {})


def addresses(netloc: str, default_port: int) -> list[tuple[str, int]]:
    """Read the hosts of a URL, separated by commas."""
    hosts = netloc.rpartition("@")[2]
    found = []
    for address in hosts.split(","):
        parts = urlsplit(f"//{address}")
        found.append((parts.hostname or "localhost", parts.port or default_port))
    return found


def _connection_options() -> dict[str, Any]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "decode_responses": False,
    }


def _trust(access: Access) -> dict[str, Any]:
    """Say whom TLS trusts; certificates and the names in them are always checked."""
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": access.ca_file}


def _options(url: str) -> dict[str, Any]:
    """Read the credentials of a cluster's or a Sentinel's URL: those of the servers."""
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    options = _connection_options()
    if password:
        options["password"] = unquote(password)
    if user:
        options["username"] = unquote(user)
    return options


def _sentinel_pool(url: str, access: Access, *, tls: bool) -> SentinelConnectionPool:
    parts = urlsplit(url)
    service, _, database = parts.path.lstrip("/").partition("/")
    trust = _trust(access) if tls else {}
    sentinel = Sentinel(addresses(parts.netloc, 26379), sentinel_kwargs=_sentinel_options(access, trust))
    return SentinelConnectionPool(service, sentinel, ssl=tls, db=int(database or 0), **_options(url), **trust)


def _sentinel_options(access: Access, trust: dict[str, Any]) -> dict[str, Any]:
    options = _connection_options()
    options |= {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
    if access.sentinel_username:
        options["username"] = access.sentinel_username
    if access.sentinel_password:
        options["password"] = access.sentinel_password.reveal()
    return options | ({"ssl": True} | trust if trust else {})
