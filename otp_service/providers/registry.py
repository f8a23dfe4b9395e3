"""The registry of provider types: each type of `[providers.*]` with its struct and its factory function.

Built-in types and those of installed packages are registered alike, as a `ProviderPlugin`. A package registers an entry
point in the group `otp_service.providers`, named after its type. An entry point is imported only if a configured
provider has its type, so a broken package that no provider uses has no effect.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

import msgspec

from otp_service.providers.base import Provider
from otp_service.providers.config_fields import CommonProvider
from otp_service.providers.config_parsing import InvalidValue, quoted
from otp_service.providers.eims.adapter import Eims
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.http.adapter import make_http_provider
from otp_service.providers.http.config import HttpConfig
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.inbox import Inbox, InboxConfig
from otp_service.providers.kedasms.adapter import Kedasms
from otp_service.providers.kedasms.config import KedasmsConfig
from otp_service.providers.sendcloud.adapter import Sendcloud
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.providers.smpp.config import EXTRA, SmppConfig, is_installed
from otp_service.providers.smshub.adapter import Smshub
from otp_service.providers.smshub.config import SmshubConfig
from otp_service.providers.smtp.config import SmtpConfig
from otp_service.providers.twilio.adapter import Twilio
from otp_service.providers.twilio.config import TwilioConfig
from otp_service.providers.twilio_voice.adapter import TwilioVoice
from otp_service.providers.twilio_voice.config import TwilioVoiceConfig
from otp_service.providers.vonage.adapter import Vonage
from otp_service.providers.vonage.config import VonageConfig
from otp_service.providers.vonage_voice.adapter import VonageVoice
from otp_service.providers.vonage_voice.config import VonageVoiceConfig
from otp_service.providers.whatsapp.adapter import Whatsapp
from otp_service.providers.whatsapp.config import WhatsappConfig

__all__ = [
    "BUILT_IN",
    "TYPE_KEY",
    "ProviderPlugin",
    "config_struct",
    "make_provider",
    "plugin_of",
    "provider_types",
]

ENTRY_POINT_GROUP: Final = "otp_service.providers"
TYPE_KEY: Final = "type"
MAX_REASON_CHARS: Final = 160
PROVIDER_MEMBERS: Final = ("name", "idempotent_send", "reports_delivery", "timeout_seconds", "send", "close")
_EXPECTED_PLUGIN: Final = "a ProviderPlugin as otp_service.plugin describes it"
_EXPECTED_PROVIDER: Final = "a provider as otp_service.plugin describes it"

C = TypeVar("C", bound=CommonProvider)


@dataclass(frozen=True, slots=True)
class ProviderPlugin(Generic[C]):
    """A type of provider: the struct of its table in the configuration, and the function that makes the provider.

    `settings` extends `CommonProvider` and declares its type: `tag_field="type", tag="acmesms"`. `make` gets the
    provider's name, its table, and a client with the configured timeout, which the provider closes.
    """

    settings: type[C]
    make: Callable[[str, C, GatewayClient], Provider]


def _make_smpp(name: str, config: SmppConfig, client: GatewayClient) -> Provider:
    """Import the adapter only here: its library is an extra."""
    from otp_service.providers.smpp.adapter import Smpp  # noqa: PLC0415 - an extra that may be absent

    return Smpp(name, config, client)


def _make_smtp(name: str, config: SmtpConfig, client: GatewayClient) -> Provider:
    """Import the adapter only here: its library takes 20 ms, which most processes do not need."""
    from otp_service.providers.smtp.adapter import Smtp  # noqa: PLC0415 - an extra that may be absent

    return Smtp(name, config, client)


def _make_inbox(name: str, _config: InboxConfig, _client: GatewayClient) -> Inbox:
    return Inbox(name)


_PLUGINS: Final[tuple[ProviderPlugin[Any], ...]] = (
    ProviderPlugin(KedasmsConfig, Kedasms),
    ProviderPlugin(EimsConfig, Eims),
    ProviderPlugin(SendcloudConfig, Sendcloud),
    ProviderPlugin(SmshubConfig, Smshub),
    ProviderPlugin(TwilioConfig, Twilio),
    ProviderPlugin(TwilioVoiceConfig, TwilioVoice),
    ProviderPlugin(VonageConfig, Vonage),
    ProviderPlugin(WhatsappConfig, Whatsapp),
    ProviderPlugin(VonageVoiceConfig, VonageVoice),
    ProviderPlugin(SmtpConfig, _make_smtp),
    ProviderPlugin(HttpConfig, make_http_provider),
    ProviderPlugin(SmppConfig, _make_smpp),
    ProviderPlugin(InboxConfig, _make_inbox),
)
BUILT_IN: Final[Mapping[str, ProviderPlugin[Any]]] = MappingProxyType(
    {str(plugin.settings.__struct_config__.tag): plugin for plugin in _PLUGINS}
)
"""The built-in types."""


def provider_types() -> tuple[str, ...]:
    """Return every type that a table may have: the built-in ones, then those of packages, sorted."""
    ours = (*(name for name in BUILT_IN if name != "inbox"), "inbox")
    return (*ours, *sorted(_entry_points(tuple(sys.path)).keys() - set(ours)))


def config_struct(provider_type: str) -> type[CommonProvider] | None:
    """Return the struct of the tables with `type = provider_type`; None if there is no such type.

    Raises:
        InvalidValue: The package that adds the type is broken, or the library that it needs is not installed.
    """
    plugin = plugin_of(provider_type) or BUILT_IN.get(provider_type)
    if plugin is not None and plugin.settings is SmppConfig and not is_installed():
        raise InvalidValue(f"{quoted(provider_type)} needs a library that is not installed", f'pip install "{EXTRA}"')
    return None if plugin is None else plugin.settings


def make_provider(name: str, config: CommonProvider) -> Provider:
    """Make the provider of a table.

    Raises:
        InvalidValue: A package does not make a provider. The text of its own error is not included, because the
            package has the secrets of the table.
    """
    plugin = BUILT_IN.get(config.type) or plugin_of(config.type)
    if plugin is None:
        raise InvalidValue(f"no installed package provides {config.type}", _EXPECTED_PROVIDER)
    try:
        provider = plugin.make(name, config, GatewayClient(config.timeout_seconds, config.keepalive_seconds))
    except Exception as error:
        raise InvalidValue(
            f"the provider {config.type} cannot be created: {type(error).__name__}", _EXPECTED_PROVIDER
        ) from None
    if missing := [member for member in PROVIDER_MEMBERS if not hasattr(provider, member)]:
        raise InvalidValue(
            f"the provider that {config.type} creates has no {', no '.join(missing)}", _EXPECTED_PROVIDER
        )
    return provider


def plugin_of(provider_type: str) -> ProviderPlugin[Any] | None:
    """Import what an installed package registers for a type; None if no package does.

    Raises:
        InvalidValue: The entry point is broken, replaces a built-in type, or there are two.
    """
    entries = _entry_points(tuple(sys.path)).get(provider_type, ())
    if not entries:
        return None
    packages = " and ".join(map(_package, entries))
    if provider_type in BUILT_IN:
        found = f"{quoted(provider_type)} is built in, and {packages} would replace it"
        raise InvalidValue(found, "a package with other types")
    if len(entries) > 1:
        raise InvalidValue(f"{quoted(provider_type)} is provided by {packages}", "one package for each type")
    plugin = _import(entries[0])
    if flaw := _flaw(provider_type, plugin):
        raise InvalidValue(f"{quoted(provider_type)} of {packages} {flaw}", _EXPECTED_PLUGIN)
    found_plugin: ProviderPlugin[Any] = plugin
    return found_plugin


@cache
def _entry_points(_path: tuple[str, ...]) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Read the metadata of what is installed on a path, once: it takes milliseconds, and imports nothing."""
    found = defaultdict(list)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        found[entry.name].append(entry)
    return {name: tuple(entries) for name, entries in found.items()}


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else f"the module {entry.module}"


def _import(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        reason = quoted(f"{type(error).__name__}: {error}", MAX_REASON_CHARS)
        found = f"{quoted(entry.name)} of {_package(entry)} cannot be imported: {reason}"
        raise InvalidValue(found, "a package that can be imported") from None


def _flaw(provider_type: str, plugin: Any) -> str | None:
    """Describe what keeps the object of an entry point from being a plugin; None if it is one."""
    if not isinstance(plugin, ProviderPlugin):
        return f"is of type {type(plugin).__name__}"
    config: Any = plugin.settings  # a package may have put anything here
    make: Any = plugin.make
    if not isinstance(config, type) or not issubclass(config, CommonProvider):
        return "has settings that do not extend CommonProvider"
    if (config.__struct_config__.tag_field, config.__struct_config__.tag) != (TYPE_KEY, provider_type):
        return f"has settings without tag_field={quoted(TYPE_KEY)}, tag={quoted(provider_type)}"
    if not callable(make):
        return "has a make that cannot be called"
    try:
        msgspec.structs.fields(config)
    except Exception as error:
        return f"has settings that cannot be read: {quoted(f'{type(error).__name__}: {error}', MAX_REASON_CHARS)}"
    return None
