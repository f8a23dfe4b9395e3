"""Settings: the configuration (TOML and secrets) as one frozen tree, or every error in it at once.

`model` declares the tables, `field_types` the values that are more than a number or a word, and each provider package
its own table. `load` reads a document along these declarations, `cross_checks` validates values together, `warnings`
reports what is valid but probably unintended, and `json_schema` describes the configuration for editors.
"""

from otp_service.settings.json_schema import build_json_schema
from otp_service.settings.load import ConfigError, ConfigInvalid, api_key_errors, load, load_file, parse, parse_file
from otp_service.settings.model import Settings
from otp_service.settings.warnings import config_warnings, unused_keys

__all__ = [
    "ConfigError",
    "ConfigInvalid",
    "Settings",
    "api_key_errors",
    "build_json_schema",
    "config_warnings",
    "load",
    "load_file",
    "parse",
    "parse_file",
    "unused_keys",
]
