"""TOML and environment become one frozen tree, or a list of every mistake.

`load_file` (or `load`) gives `Settings`; it raises `ConfigInvalid`, one line per mistake: where, what was found, what
is allowed. Read by the composition root and the command line only: no other room knows that there is a config.

The structs of `tree` and `gateways` say what a config is, and `plugins` finds those that installed packages add. `walk`
goes through it along them, `values`, `secrets` and `wire` read what is more than a number or a word, `checks` judge
what stands together, `unused` says what nothing acts on yet, and `proposals` which limits the caps suggest.
"""

from otp_service.settings.gateways import (
    CommonProvider,
    Eims,
    Http,
    Inbox,
    Kedasms,
    Sendcloud,
    Smshub,
    Twilio,
    Vonage,
)
from otp_service.settings.loading import load, load_file, parse, parse_file
from otp_service.settings.mistakes import ConfigInvalid, Mistake
from otp_service.settings.plugins import ProviderPlugin, plugin_of
from otp_service.settings.proposals import proposed_limits
from otp_service.settings.tree import (
    ApiKey,
    Delivery,
    Hashing,
    Keys,
    Limits,
    Policy,
    Redis,
    Route,
    Server,
    Settings,
    Target,
    Tenant,
    Tokens,
)
from otp_service.settings.unused import NOT_SERVED, cautions, unused_keys

__all__ = [
    "NOT_SERVED",
    "ApiKey",
    "CommonProvider",
    "ConfigInvalid",
    "Delivery",
    "Eims",
    "Hashing",
    "Http",
    "Inbox",
    "Kedasms",
    "Keys",
    "Limits",
    "Mistake",
    "Policy",
    "ProviderPlugin",
    "Redis",
    "Route",
    "Sendcloud",
    "Server",
    "Settings",
    "Smshub",
    "Target",
    "Tenant",
    "Tokens",
    "Twilio",
    "Vonage",
    "cautions",
    "load",
    "load_file",
    "parse",
    "parse_file",
    "plugin_of",
    "proposed_limits",
    "unused_keys",
]
