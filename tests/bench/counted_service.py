"""`otp-service` with a counter of the Python calls in its event loop, for `tests.bench.python_calls`.

SIGUSR1 starts to count; SIGUSR2 ends it and writes the counts to the file that `CALL_COUNTS` names.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import signal
import socket
from pathlib import Path
from types import CodeType
from typing import Any

import uvicorn

from otp_service.cli import main

__all__ = ["COUNTS_FILE"]

COUNTS_FILE = "CALL_COUNTS"

_startup = uvicorn.Server.startup


async def _startup_with_counter(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
    await _startup(server, sockets=sockets)
    profile = cProfile.Profile(builtins=False)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, profile.enable)
    loop.add_signal_handler(signal.SIGUSR2, _write, profile)


def _write(profile: cProfile.Profile) -> None:
    profile.disable()
    entries: list[Any] = profile.getstats()
    counts = [[*_place(entry.code), entry.callcount] for entry in entries]
    path = Path(os.environ[COUNTS_FILE])
    path.with_suffix(".part").write_text(json.dumps(counts))
    path.with_suffix(".part").rename(path)


def _place(code: CodeType | str) -> tuple[str, int, str]:
    """Return the file, the line and the name of a function."""
    return ("", 0, code) if isinstance(code, str) else (code.co_filename, code.co_firstlineno, code.co_qualname)


if __name__ == "__main__":
    uvicorn.Server.startup = _startup_with_counter  # type: ignore[method-assign, assignment]  # in this process only
    main()
