"""Divide the file descriptors of a process among HTTP connections, the store and the calls to gateways.

A process without a free descriptor cannot accept connections, and uvloop then closes the listening socket permanently.
So the limit of connections is lower than the limit of descriptors: the descriptors for everything else are reserved
first, and a fifth of the rest is for the backlog, whose connections are accepted together before one can be refused.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

from otp_service.observability import LOG

__all__ = ["Descriptors", "divide", "raise_limit", "warn_if_short"]

OWN_DESCRIPTORS: Final = 48
"""Standard streams, event loop, listener, pipes and metrics files (about 20), and 4 connections to each server of the
store, enough for a cluster of 7."""

DESCRIPTORS_PER_CALL: Final = 2
"""A call to a gateway needs a socket for the DNS lookup and one for the connection."""

MAX_BACKLOG: Final = 1024
_MIN_CONNECTIONS: Final = 8
_BACKLOG_DIVISOR: Final = 5


@dataclass(frozen=True, slots=True)
class Descriptors:
    """How the descriptors of a process are divided.

    Attributes:
        limit: The soft limit of descriptors.
        connections: How many HTTP connections may be open.
        backlog: How many connections the kernel may hold that are not accepted yet.
        is_short: Whether this is fewer connections than wanted.
    """

    limit: int
    connections: int
    backlog: int
    is_short: bool


def raise_limit(wanted_connections: int, gateway_calls: int) -> int:
    """Raise the soft limit of descriptors as far as needed and allowed, and return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _needed(gateway_calls) + wanted_connections + MAX_BACKLOG
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):  # macOS allows less than the hard limit that it reports
        return soft
    return allowed


def divide(limit: int, wanted_connections: int, gateway_calls: int) -> Descriptors:
    """Divide `limit` descriptors. If they are too few for all, connections get at least a third."""
    available = max(limit - _needed(gateway_calls), limit // 3)
    backlog = min(MAX_BACKLOG, max(available // _BACKLOG_DIVISOR, _MIN_CONNECTIONS))
    connections = max(_MIN_CONNECTIONS, min(wanted_connections, available - backlog))
    return Descriptors(limit, connections, backlog, is_short=connections < wanted_connections)


def warn_if_short(descriptors: Descriptors, wanted_connections: int, gateway_calls: int) -> None:
    """Log a warning if fewer connections are possible than wanted."""
    if descriptors.is_short:
        LOG.warning(
            "few_file_descriptors",
            limit=descriptors.limit,
            max_connections=descriptors.connections,
            hint=f"ulimit -n {_needed(gateway_calls) + wanted_connections + MAX_BACKLOG} allows {wanted_connections}",
        )


def _needed(gateway_calls: int) -> int:
    return OWN_DESCRIPTORS + DESCRIPTORS_PER_CALL * gateway_calls
