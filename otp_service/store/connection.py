"""Connections for the URL of the config: addresses, credentials, TLS and timeouts.

`rediss+sentinel` uses TLS for the Sentinels as well as for the servers that they name. Sentinels have their own user
and password, or none: those of the servers are never sent to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from otp_service.domain.secret import Secret
from otp_service.store.replies import unavailable

__all__ = ["CONNECT_SECONDS", "Access", "addresses", "cluster_options", "connection_pool", "run_command"]

CONNECT_SECONDS = 1.0
SENTINEL_SECONDS = 0.3
"""For one Sentinel. After three that do not answer, a fourth is still tried within a call's deadline."""

_DRIVER_INFO = DriverInfo()
"""The name and version that connections report. Made once: redis-py reads its package's metadata for each one."""

_NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)
"""redis-py asks servers on TCP for them otherwise, and reads them itself; `ServerConnection` does not."""


@dataclass(frozen=True, slots=True)
class Access:
    """The options of `[redis]` besides the URL.

    Attributes:
        allow_eviction: Accept servers that may evict keys.
        ca_file: Path of the certificate authorities (PEM) that TLS trusts instead of the system's.
        sentinel_username: The user for Sentinels.
        sentinel_password: The password for Sentinels.
    """

    allow_eviction: bool = False
    ca_file: str | None = None
    sentinel_username: str | None = None
    sentinel_password: Secret | None = None


def connection_pool(url: str, access: Access) -> ConnectionPool:
    """Return a pool for one server, or for the primary that Sentinels name."""
    scheme, _, kind = urlsplit(url).scheme.partition("+")
    if kind == "sentinel":
        return _sentinel_pool(url, access, tls=scheme == "rediss")
    tls = _tls_options(access) if scheme == "rediss" else {}
    return ConnectionPool.from_url(url, **_connection_options(), **tls)


def cluster_options(url: str, access: Access) -> dict[str, Any]:
    """Return the options of every connection to a node of a cluster."""
    tls = urlsplit(url).scheme.startswith("rediss")
    return _server_options(url) | ({"connection_class": SSLConnection} | _tls_options(access) if tls else {})


def addresses(netloc: str, default_port: int) -> list[tuple[str, int]]:
    """Parse the comma-separated hosts of a URL: a list of host and port."""
    hosts = netloc.rpartition("@")[2]
    found = []
    for address in hosts.split(","):
        parts = urlsplit(f"//{address}")
        found.append((parts.hostname or "localhost", parts.port or default_port))
    return found


async def run_command(pool: ConnectionPool, words: Sequence[str]) -> Any:
    """Run an administrative command on a server of `pool`.

    Raises:
        Refused: `store_unavailable`.
    """
    client = Redis(connection_pool=pool)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await client.execute_command(*words)
    except (RedisError, OSError, TimeoutError) as error:
        raise unavailable() from error


def _connection_options() -> dict[str, Any]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "decode_responses": False,
        "driver_info": _DRIVER_INFO,
        "maint_notifications_config": _NO_NOTIFICATIONS,
    }


def _tls_options(access: Access) -> dict[str, Any]:
    """Return the TLS options: certificates and host names are always checked."""
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": access.ca_file}


def _server_options(url: str) -> dict[str, Any]:
    """Return the options for the servers of a cluster or behind Sentinels, with the credentials of the URL."""
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
    tls_options = _tls_options(access) if tls else {}
    sentinel = Sentinel(addresses(parts.netloc, 26379), sentinel_kwargs=_sentinel_options(access, tls_options))
    return SentinelConnectionPool(
        service, sentinel, ssl=tls, db=int(database or 0), **_server_options(url), **tls_options
    )


def _sentinel_options(access: Access, tls_options: dict[str, Any]) -> dict[str, Any]:
    options = _connection_options()
    options |= {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
    if access.sentinel_username:
        options["username"] = access.sentinel_username
    if access.sentinel_password:
        options["password"] = access.sentinel_password.reveal()
    return options | ({"ssl": True} | tls_options if tls_options else {})
