"""Changes of the config file of a running service, the reload that follows, and which API keys hold after it."""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.service_config import api_client
from tests.service_process import ServiceProcess
from tests.waits import wait_until

Serve = Callable[..., ServiceProcess]
Workers = pytest.mark.parametrize("workers", [1, 2])
NUMBER = {"phone": "0812-1010-0055"}


def entry(name: str, key: str) -> str:
    """Return the entry of an API key."""
    return f'{{ id = "{name}", sha256 = "{hashlib.sha256(key.encode()).hexdigest()}" }}'


def set_keys(config: Path, *entries: str) -> None:
    """Write a config whose tenant has these API keys, atomically, as an operator's tools do."""
    text = re.sub(r"^api_keys = .*$", f"api_keys = [{', '.join(entries)}]", config.read_text(), flags=re.MULTILINE)
    replace_file(config, text)


def replace_file(config: Path, text: str) -> None:
    """Replace the text of a file atomically."""
    following = config.with_suffix(".next")
    following.write_text(text, encoding="utf-8")
    following.rename(config)


async def reload(service: ServiceProcess, workers: int) -> None:
    """Send SIGHUP, and wait until every process has a new application."""
    before = service.log.count('"config_reloaded"')
    service.send(signal.SIGHUP)
    await wait_until(lambda: service.log.count('"config_reloaded"') == before + workers, 30)


async def statuses(url: str, key: str, times: int = 12) -> set[int]:
    """Return the statuses of calls over new connections, so that every worker answers some of them."""
    found = set()
    for _ in range(times):
        async with api_client(url, key) as client:
            found.add((await client.post("/v1/normalize-phone", json=NUMBER)).status_code)
    return found
