"""From a file or a mapping to `Settings`, or to every mistake at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any, NoReturn

import msgspec

from otp_service.settings.checks import CHECKS
from otp_service.settings.files import decode_utf8
from otp_service.settings.mistakes import ConfigInvalid, Mistake, quoted
from otp_service.settings.secrets import Sources
from otp_service.settings.tree import Settings, Tenant
from otp_service.settings.walk import Walker

__all__ = ["load", "load_file", "parse", "parse_file"]


def load(source: str | Mapping[str, Any], environ: Mapping[str, str], *, plain_secrets: bool = False) -> Settings:
    """Make the tree from TOML text, or from what `parse` gave; secrets come from `environ` and from files.

    Raises ConfigInvalid with every mistake. `plain_secrets` lets secrets stand in the document itself.
    """
    document = parse(source) if isinstance(source, str) else source
    walker = Walker(CHECKS, Sources(environ, plain_secrets))
    settings: Settings = walker.value(Settings, document, ())
    if walker.mistakes:
        raise ConfigInvalid(tuple(walker.mistakes))
    return _settled(settings)


def load_file(path: str | FilePath, environ: Mapping[str, str], *, plain_secrets: bool = False) -> Settings:
    """`load` the file at `path`; one that cannot be read, or is no TOML, is one mistake."""
    return load(parse_file(path), environ, plain_secrets=plain_secrets)


def parse(text: str, name: str = "config") -> dict[str, Any]:
    """Read TOML; raises ConfigInvalid with the line where it ends to be TOML. `name` is what the mistake calls it."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        _refuse(name, f"not TOML: {_first_line(error)}", "TOML 1.0")


def parse_file(path: str | FilePath) -> dict[str, Any]:
    """Read the TOML file at `path`."""
    try:
        text = decode_utf8(FilePath(path).read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _refuse(str(path), f"cannot be read: {reason}", "a readable file in UTF-8")
    return parse(text, str(path))


def _refuse(path: str, found: str, allowed: str) -> NoReturn:
    name = path if path.isprintable() else quoted(path)
    raise ConfigInvalid((Mistake(name, found, allowed),)) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _settled(settings: Settings) -> Settings:
    """Fill in the defaults that follow from other values."""
    tenants = {name: _settled_tenant(name, tenant) for name, tenant in settings.tenants.items()}
    return msgspec.structs.replace(settings, tenants=MappingProxyType(tenants))


def _settled_tenant(name: str, tenant: Tenant) -> Tenant:
    own = () if tenant.country is None else (tenant.country,)
    return msgspec.structs.replace(tenant, brand=tenant.brand or name[:30], countries=tenant.countries or own)
