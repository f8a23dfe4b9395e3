"""Commands of the operator that run to their end in a process of their own, and what they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUMBER, MASKED, DIGITS = "0812-1010-0055", "+62812*****055", "6281210100055"


PRICE = 'price = { ID = "0.015" }\ntimeout_seconds = 2'


KEDA_AND_TWILIO = """
[providers.keda]
type = "kedasms"
api_key = "env:GATEWAY_PASSWORD"
encryption_key = "env:KEY_K1"
max_per_second = 2.5
daily_message_cap = 10
[providers.later]
type = "twilio"
account_sid = "AC1"
auth_token = "env:GATEWAY_PASSWORD"
from = "Acme"
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, str]:
        """What stands behind each word of `send-test`."""
        return {line[:12].strip(): line[12:] for line in self.out.splitlines()}


Run = Callable[..., Coroutine[Any, Any, Ran]]


def to(path: Path, *words: str, provider: str = "jakarta") -> tuple[str, ...]:
    """Say whom to send a test to, and through whom."""
    return ("send-test", "--config", str(path), "--to", NUMBER, "--provider", provider, *words)


async def row(run: Run, path: Path, name: str = "jakarta") -> dict[str, Any]:
    """Ask how a provider stands."""
    result = await run("providers", "--json", "--config", str(path))
    assert (result.status, result.err) == (0, "")
    [found] = [one for one in json.loads(result.out)["providers"] if one["name"] == name]
    return dict(found)
