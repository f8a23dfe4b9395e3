"""Types of providers that installed packages add: entries of the group `otp_service.providers`, each named as its type.

An entry is imported only when a configured provider has its type; then whatever is wrong with it is a mistake of that
provider's `type`. A package that nobody names cannot do harm.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from otp_service.providers.base import Provider
from otp_service.providers.http_client import GatewayClient
from otp_service.settings.forms import OneOf
from otp_service.settings.gateways import BUILT_IN, CommonProvider
from otp_service.settings.mistakes import NotAllowed, quoted

__all__ = ["GROUP", "AnyProvider", "ProviderPlugin", "plugin_of"]

GROUP: Final = "otp_service.providers"
TAG_FIELD: Final = "type"
LONGEST_REASON: Final = 160
_SHAPE: Final = "a ProviderPlugin as otp_service.plugin describes it"

S = TypeVar("S", bound=CommonProvider)


@dataclass(frozen=True, slots=True)
class ProviderPlugin(Generic[S]):
    """What an entry refers to: the struct of its table in the config, and how a provider is made out of one.

    `settings` extends `CommonProvider` and says its type as the built-in ones do: `tag_field="type", tag="acmesms"`.
    `make` gets the provider's name, its table, and a client with the configured timeout, which the provider closes.
    """

    settings: type[S]
    make: Callable[[str, S, GatewayClient], Provider]


def plugin_of(kind: str) -> ProviderPlugin[Any] | None:
    """Import the entry for `type = kind`; None when no package has one. Raises `NotAllowed` for one that is broken."""
    entries = _installed(tuple(sys.path)).get(kind, ())
    if not entries:
        return None
    packages = " and ".join(map(_package, entries))
    if kind in BUILT_IN:
        raise NotAllowed(f"{quoted(kind)} is built in, and {packages} would replace it", "a package with other types")
    if len(entries) > 1:
        raise NotAllowed(f"{quoted(kind)} is offered by {packages}", "one package for each type")
    plugin = _imported(entries[0])
    if flaw := _flaw(kind, plugin):
        raise NotAllowed(f"{quoted(kind)} of {packages} {flaw}", _SHAPE)
    found: ProviderPlugin[Any] = plugin
    return found


@cache
def _installed(_path: tuple[str, ...]) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Read the names of what is installed on a path, once: that takes milliseconds, and imports nothing."""
    found = defaultdict(list)
    for entry in entry_points(group=GROUP):
        found[entry.name].append(entry)
    return {name: tuple(entries) for name, entries in found.items()}


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else f"the module {entry.module}"


def _imported(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as problem:
        reason = quoted(f"{type(problem).__name__}: {problem}", LONGEST_REASON)
        found = f"{quoted(entry.name)} of {_package(entry)} cannot be imported: {reason}"
        raise NotAllowed(found, "a package that can be imported") from None


def _flaw(kind: str, plugin: Any) -> str | None:
    """Say what an entry lacks to be a plug-in for `kind`."""
    if not isinstance(plugin, ProviderPlugin):
        return f"is of type {type(plugin).__name__}"
    settings: Any = plugin.settings  # whatever a package has put there
    make: Any = plugin.make
    if not isinstance(settings, type) or not issubclass(settings, CommonProvider):
        return "has settings that do not extend CommonProvider"
    if (settings.__struct_config__.tag_field, settings.__struct_config__.tag) != (TAG_FIELD, kind):
        return f"has settings without tag_field={quoted(TAG_FIELD)}, tag={quoted(kind)}"
    if not callable(make):
        return "has a make that cannot be called"
    try:
        msgspec.structs.fields(settings)
    except Exception as problem:
        return f"has settings that cannot be read: {quoted(f'{type(problem).__name__}: {problem}', LONGEST_REASON)}"
    return None


def _struct_of(kind: str) -> type[CommonProvider] | None:
    plugin = plugin_of(kind)
    return BUILT_IN.get(kind) if plugin is None else plugin.settings


def _names() -> tuple[str, ...]:
    return (*BUILT_IN, *sorted(_installed(tuple(sys.path)).keys() - BUILT_IN.keys()))


AnyProvider = Annotated[CommonProvider, OneOf(TAG_FIELD, _struct_of, _names)]
"""One table of `[providers.*]`: its `type` says what it is."""
