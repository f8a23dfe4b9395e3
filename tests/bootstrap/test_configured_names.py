"""Gauges of providers and endpoints after a reload: those of what is not configured any more are reset."""

from __future__ import annotations

import math
from typing import Any

from otp_service.bootstrap import build_app
from otp_service.bootstrap.process_resources import build_resources
from otp_service.observability import METRICS
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.settings import Settings, load
from tests.running_service import CHEAP_HASH, lifespan

SECRET = "whsec_" + "A" * 32


def settings_with(url: str, *names: str) -> Settings:
    """Return settings with a provider and an endpoint of each name."""
    config: dict[str, Any] = {
        "hashing": CHEAP_HASH,
        "providers": {name: {"type": "inbox"} for name in names},
        "webhooks": {name: {"url": "https://hooks.example.com/", "secret": SECRET} for name in names},
    }
    return load(merged(dev_config(url), config), {}, plain_secrets=True)


def gauges(name: str) -> list[float]:
    """Return the gauges of a provider and of an endpoint."""
    of_provider = (METRICS.circuit_open, METRICS.provider_balance)
    children = [gauge.labels(name) for gauge in (*of_provider, METRICS.webhook_waiting, METRICS.webhook_disabled)]
    return [child._value.get() for child in (*children, METRICS.destination_circuit_open.labels(name, "ID"))]


async def test_gauges_of_removed_names_are_reset(server: EmbeddedServer) -> None:
    """The gauges of what only the ended application had are reset; those of names that another one has stay."""
    before, after = settings_with(server.url, "kept", "gone"), settings_with(server.url, "kept")
    resources = build_resources(before)
    async with resources.lifespan(), lifespan(build_app(after, resources=resources)):
        async with lifespan(build_app(before, resources=resources)):
            for name in ("kept", "gone"):
                for gauge in (METRICS.circuit_open, METRICS.provider_balance, METRICS.webhook_disabled):
                    gauge.labels(name).set(1)
                METRICS.webhook_waiting.labels(name).set(1)
                METRICS.destination_circuit_open.labels(name, "ID").set(1)
        circuit, balance, *others = gauges("gone")
        assert (circuit, math.isnan(balance), others) == (0, True, [0, 0, 0])
        assert gauges("kept")[:2] == [1, 1]
