"""The account of the simulated EIMS gateways, and a config that routes messages to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from otp_service.sandbox.simulators.eims import EimsSimulator

ACCOUNT = "acme & sons"
PASSWORD = "p%s+w&rd=100% ü"
TIMEOUT_SECONDS = 0.5

GatewayFactory = Callable[..., Awaitable[EimsSimulator]]


def route_through(*gateways: EimsSimulator, timeout: float = TIMEOUT_SECONDS, **delivery: float) -> dict[str, Any]:
    """Return a config with `gateways` as the providers `first`, `second` and `third`, and without limits."""
    names = ("first", "second", "third")[: len(gateways)]
    providers = {
        name: {
            "type": "eims",
            "base_url": gateway.url,
            "account": ACCOUNT,
            "password": PASSWORD,
            "timeout_seconds": timeout,
            "report_poll_seconds": 0,
        }
        for name, gateway in zip(names, gateways, strict=True)
    }
    return {
        "providers": providers,
        "routes": [{"providers": list(names)}],
        "delivery": delivery,
        "limits": {"client_ip": [], "recipient": [], "prefix": []},
    }
