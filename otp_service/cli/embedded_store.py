"""What the commands to try the service out have in common: a store of their own, and who may call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from otp_service.cli.options import stop
from otp_service.sandbox.dev_config import API_KEY, TENANT
from otp_service.sandbox.embedded_server import EmbeddedServer, ServerMissing

__all__ = ["CALLER", "own_store"]

CALLER: Final = f"tenant {TENANT}, key {API_KEY}"


@contextlib.contextmanager
def own_store() -> Iterator[str]:
    """Run a server of our own meanwhile: its address. A machine that has none ends the command."""
    try:
        server = EmbeddedServer()
    except ServerMissing as missing:
        stop(str(missing))
    with server:
        yield server.url
