"""The composition root: from settings to a running application. The only place where adapters meet ports.

`application` builds the service, `provider_set` the providers with their limits, `hash_capacity` the hash pool,
`settings_mapping` the objects that follow from the settings alone.
"""

from __future__ import annotations

from otp_service.bootstrap.application import (
    CONFIG_VARIABLE,
    METRICS_VARIABLE,
    Middleware,
    build_app,
    build_app_from_environment,
    build_topology,
)
from otp_service.bootstrap.hash_capacity import log_hash_rate

__all__ = [
    "CONFIG_VARIABLE",
    "METRICS_VARIABLE",
    "Middleware",
    "build_app",
    "build_app_from_environment",
    "build_topology",
    "log_hash_rate",
]
