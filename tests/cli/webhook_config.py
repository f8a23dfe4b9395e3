"""A config file with an endpoint of webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.service_config import ConfigWriter
from tests.webhooks.webhook_receiver import SECRET, WebhookReceiver


def write_webhook_config(
    write_config: ConfigWriter, gateway: EimsSimulator, receiver: WebhookReceiver, *lines: str, more: str = ""
) -> Path:
    """Write a config whose tenant `acme` has the endpoint `main`, with a timeout of a second; return its path."""
    path = write_config(gateway=gateway.url)
    secret = path.parent / "webhook-secret"
    secret.write_text(SECRET)
    endpoint = [
        "[tenants.acme.webhooks.main]",
        f'url = "{receiver.url}"',
        f'secret = "file:{secret}"',
        "allow_private_targets = true",
        "timeout_seconds = 1",
        *lines,
    ]
    path.write_text(path.read_text() + "\n".join(endpoint) + "\n" + more)
    return path


def listed_words(path: Path, *words: str) -> tuple[Any, ...]:
    """Return the arguments of `webhooks list --json`."""
    return ("webhooks", "list", "--json", "--config", str(path), *words)
