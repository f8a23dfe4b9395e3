"""Results and arguments of commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUMBER, MASKED, DIGITS = "0812-1010-0055", "+62812*****055", "6281210100055"
PRICE = 'price = { ID = "0.015" }\ntimeout_seconds = 2'

KEDA_AND_HTTP = """
[providers.keda]
type = "kedasms"
api_key = "env:GATEWAY_PASSWORD"
encryption_key = "env:KEY_K1"
max_per_second = 2.5
daily_message_cap = 10
[providers.own]
type = "http"
url = "https://sms.example.com/send?to={to}&text={text}"
"""


@dataclass(frozen=True)
class CommandResult:
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str

    @property
    def fields(self) -> dict[str, str]:
        """The labels and values that `send-test` prints."""
        return {line[:12].strip(): line[12:] for line in self.out.splitlines()}


Run = Callable[..., Coroutine[Any, Any, CommandResult]]


def send_test_words(path: Path, *words: str, provider: str = "jakarta") -> tuple[str, ...]:
    """Return the arguments of `send-test`."""
    return ("send-test", "--config", str(path), "--to", NUMBER, "--provider", provider, *words)


async def provider_row(run: Run, path: Path, name: str = "jakarta") -> dict[str, Any]:
    """Run `providers --json`; return the row of a provider."""
    result = await run("providers", "--json", "--config", str(path))
    assert (result.status, result.err) == (0, "")
    [found] = [one for one in json.loads(result.out)["providers"] if one["name"] == name]
    return dict(found)
