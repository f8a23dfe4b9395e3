"""The config of a running service: reading its file again, and rebuilding the application.

A file with errors changes nothing: its errors are logged, as `serve` prints them. Settings that need a new process (the
address, the limits of connections, the store, the cost of hashes) keep their values, and are named in the log.
Variables of the environment do not change while a process runs; files to which secrets refer are read again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar.types import ASGIApp

from otp_service.bootstrap.application import build_app
from otp_service.bootstrap.process_resources import ProcessResources, build_resources
from otp_service.bootstrap.settings_mapping import plugin_errors
from otp_service.domain import phone
from otp_service.observability import LOG, METRICS
from otp_service.observability.audit import AUDIT
from otp_service.settings import ConfigInvalid, Settings, config_warnings, load, load_file, parse_file, unused_keys

__all__ = ["CONFIG_VARIABLE", "ConfigFile", "ReloadableService", "log_config_warnings", "preload_countries"]

CONFIG_VARIABLE: Final = "OTP_CONFIG"
"""The environment variable with the path of the configuration file."""

RELOADABLE_OF_SERVER: Final = frozenset({"public_url", "trusted_proxies"})
FIXED_TABLES: Final = ("redis", "hashing")


class ConfigFile:
    """A configuration file, and the settings that were valid when it was read last."""

    def __init__(self, path: str, settings: Settings) -> None:
        """Start with `settings`, which were read from the file at `path`."""
        self.path = path
        self.settings = settings

    @classmethod
    def from_environment(cls) -> ConfigFile:
        """Read the file in `OTP_CONFIG`, which `serve` has checked before."""
        path = os.environ[CONFIG_VARIABLE]
        return cls(path, load_file(path, os.environ))

    def reload(self, *, warns: bool = True) -> bool:
        """Read the file again, and return whether it is valid; if not, log its errors and keep the settings.

        Args:
            warns: Whether to log what is valid but probably unintended, and the keys that need a restart.
        """
        try:
            document = parse_file(self.path)
            settings = load(document, os.environ)
            if errors := plugin_errors(settings):
                raise ConfigInvalid(errors)
        except ConfigInvalid as invalid:
            for error in invalid.errors:
                LOG.error("config_reload_refused", error=str(error))
            if warns:
                AUDIT.record("config_reload", actor="SIGHUP", result="refused")
            return False
        kept, changed = _keep_fixed(self.settings, settings)
        if warns:
            log_config_warnings(kept, document)
            if changed:
                LOG.warning("config_reload_ignored", keys=", ".join(changed), hint="These need a restart of serve.")
            AUDIT.record("config_reload", actor="SIGHUP", result="reloaded", changed=changed_keys(self.settings, kept))
        AUDIT.configure(kept.audit.file, required=kept.audit.required)
        self.settings = kept
        return True


class ReloadableService:
    """Builds the application of a process for the current config, over the resources that it keeps."""

    def __init__(self, config: ConfigFile, *, warns: bool) -> None:
        """Build from `config`; `warns`: no other process logs the warnings about it."""
        self._config = config
        self._warns = warns
        self._expiring: frozenset[tuple[str, str]] = frozenset()
        self.resources: ProcessResources = build_resources(config.settings)
        audit = config.settings.audit
        AUDIT.configure(audit.file, required=audit.required)

    def build(self) -> ASGIApp:
        """Build the application for the current settings, and set the metric of when its API keys expire."""
        self._report_expiries()
        return build_app(self._config.settings, resources=self.resources)

    def rebuild(self) -> ASGIApp | None:
        """Read the config again and build the application for it; None if the file has errors. Called in a thread."""
        if not self._config.reload(warns=self._warns):
            return None
        preload_countries(self._config.settings)
        return self.build()

    def _report_expiries(self) -> None:
        tenants = self._config.settings.tenants.items()
        expiries = {
            (name, key.id): key.expires_at.timestamp()
            for name, tenant in tenants
            for key in tenant.api_keys
            if key.expires_at is not None
        }
        for labels in self._expiring | expiries.keys():
            METRICS.api_key_expiry.labels(*labels).set(expiries.get(labels, math.inf))
        self._expiring = frozenset(expiries)


def changed_keys(old: object, new: object, path: str = "") -> list[str]:
    """Return the paths of the keys whose values differ; never the values."""
    before, after = _members(old), _members(new)
    if before is None or after is None:
        return [] if old == new else [path]
    names = (name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name))
    return [
        found
        for name in names
        for found in changed_keys(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    ]


def _members(table: object) -> Mapping[str, object] | None:
    if isinstance(table, msgspec.Struct):
        return {name: getattr(table, name) for name in _names(table)}
    return {str(name): value for name, value in table.items()} if isinstance(table, Mapping) else None


def log_config_warnings(settings: Settings, document: dict[str, Any]) -> None:
    """Log what is valid but probably unintended in the settings and in the document that they were read from."""
    for key in unused_keys(document):
        LOG.warning("config_key_without_effect", key=key)
    for warning in config_warnings(settings):
        LOG.warning("config_warning", warning=warning)


def preload_countries(settings: Settings) -> None:
    """Load the numbering plans of the tenants' countries, so that no request does."""
    phone.preload(
        country for tenant in settings.tenants.values() for country in (tenant.country or "", *tenant.countries)
    )


def _keep_fixed(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """Return `new` with the values of `old` where a running process cannot change, and the keys that differ there."""
    server = {name: getattr(old.server, name) for name in _names(old.server) if name not in RELOADABLE_OF_SERVER}
    changed = [f"server.{name}" for name, value in server.items() if getattr(new.server, name) != value]
    for table in FIXED_TABLES:
        before, after = getattr(old, table), getattr(new, table)
        changed += [f"{table}.{name}" for name in _names(before) if getattr(before, name) != getattr(after, name)]
    kept = {table: getattr(old, table) for table in FIXED_TABLES}
    return msgspec.structs.replace(new, server=msgspec.structs.replace(new.server, **server), **kept), changed


def _names(table: msgspec.Struct) -> tuple[str, ...]:
    return table.__struct_fields__
