"""The commands. Options stand after the verb; a mistake in a config ends with status 2."""

from __future__ import annotations

import click

from otp_service import __version__
from otp_service.cli.config_commands import check_config, config_schema, new_key, normalize
from otp_service.cli.provider_commands import providers, send_test
from otp_service.cli.sandbox_command import sandbox
from otp_service.cli.serve_command import dev, serve
from otp_service.cli.unlock_command import unlock

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="otp-service")
def main() -> None:
    """Prove that a person holds a phone number."""


for _command in (dev, sandbox, serve, check_config, config_schema, new_key, send_test, providers, normalize, unlock):
    main.add_command(_command)
