"""How many connections the process may have, so that file descriptors are left for the store and the gateways.

A process that has no descriptor left cannot accept, and uvloop then closes the listening socket for ever. So the limit
stands below: what the process needs besides is set aside first, and of the rest a fifth is room for connections that
are accepted together before one of them can be refused (the backlog).
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

from otp_service.observability import LOG

__all__ = ["Descriptors", "raise_limit", "report", "share"]

OWN_DESCRIPTORS: Final = 48
"""Standard streams, event loop, listener, pipes, metrics files (about 20 in all), and connections to the store: 4 for
each server, so 7 servers of a cluster."""

PER_CALL: Final = 2
"""A call to a gateway has a connection, and before that another one for the look-up of its name."""

MAX_BACKLOG: Final = 1024
_FEWEST: Final = 8
_BACKLOG_SHARE: Final = 5


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Of `limit` descriptors: most connections, the backlog, and what is set aside (less than needed if `short`)."""

    limit: int
    connections: int
    backlog: int
    short: bool


def raise_limit(wanted_connections: int, gateway_calls: int) -> int:
    """Raise the soft limit of descriptors as far as it is of use and allowed; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _needed(gateway_calls) + wanted_connections + MAX_BACKLOG
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):  # macOS allows less than it says
        return soft
    return allowed


def share(limit: int, wanted_connections: int, gateway_calls: int) -> Descriptors:
    """Divide `limit` descriptors. With too few for all, connections get a third and gateways what is left."""
    room = max(limit - _needed(gateway_calls), limit // 3)
    backlog = min(MAX_BACKLOG, max(room // _BACKLOG_SHARE, _FEWEST))
    connections = max(_FEWEST, min(wanted_connections, room - backlog))
    return Descriptors(limit, connections, backlog, short=connections < wanted_connections)


def report(descriptors: Descriptors, wanted_connections: int, gateway_calls: int) -> None:
    """Warn if there are fewer connections than were wanted."""
    if descriptors.short:
        LOG.warning(
            "few_file_descriptors",
            limit=descriptors.limit,
            max_connections=descriptors.connections,
            hint=f"ulimit -n {_needed(gateway_calls) + wanted_connections + MAX_BACKLOG} allows {wanted_connections}",
        )


def _needed(gateway_calls: int) -> int:
    return OWN_DESCRIPTORS + PER_CALL * gateway_calls
