"""The composition root: from settings to a running application. The only place where adapters meet ports.

`application` builds the service, `provider_set` the providers with their limits, `hash_capacity` the hash pool,
`settings_mapping` the objects that depend on the settings alone. `config_reload` rebuilds the service while it runs;
`process_resources` stay the same.
"""

from __future__ import annotations

from otp_service.bootstrap.application import Middleware, build_app
from otp_service.bootstrap.config_reload import (
    CONFIG_VARIABLE,
    ConfigFile,
    ReloadableService,
    log_config_warnings,
    preload_countries,
)
from otp_service.bootstrap.hash_capacity import log_hash_rate
from otp_service.bootstrap.process_resources import METRICS_VARIABLE, build_topology

__all__ = [
    "CONFIG_VARIABLE",
    "METRICS_VARIABLE",
    "ConfigFile",
    "Middleware",
    "ReloadableService",
    "build_app",
    "build_topology",
    "log_config_warnings",
    "log_hash_rate",
    "preload_countries",
]
