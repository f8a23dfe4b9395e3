"""What one process allows its connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_CONNECTIONS", "ServerLimits"]

MAX_CONNECTIONS: Final = 4096
"""Connections of one process where neither the config nor the descriptor limit says less: about 32 MiB when idle."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Deadlines in seconds, and how many connections there may be.

    `head_seconds` counts from the opening of the connection, or from the first byte of a later request;
    `body_seconds` from the end of the head; both to the last byte, so that a trickle gains nothing. `write_seconds` is
    how long a response may wait for its reader, `keep_alive_seconds` how long a connection may be idle between
    requests. `backlog` is how many connections the kernel may hold that are not accepted yet.
    """

    head_seconds: float = 10.0
    body_seconds: float = 10.0
    write_seconds: float = 10.0
    keep_alive_seconds: float = 75.0
    max_connections: int = MAX_CONNECTIONS
    backlog: int = 1024
