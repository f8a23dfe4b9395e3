"""The provider type `smpp` needs an extra: only a provider imports its library, and its absence is a clear error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable

import pytest

from otp_service.providers import registry
from otp_service.settings import ConfigError

FindErrors = Callable[..., Iterable[ConfigError]]
COUNT_IMPORTS = """
import sys
from otp_service.providers.registry import config_struct, make_provider
from otp_service.domain.secret import Secret
struct = config_struct("smpp")
before = "smpp34" in sys.modules
make_provider("smsc", struct(host="h", system_id="a", password=Secret("p"), sender="Acme"))
print(before, "smpp34" in sys.modules)
"""


def test_the_library_is_imported_by_a_provider_only() -> None:
    """A configuration is read without it."""
    done = subprocess.run([sys.executable, "-c", COUNT_IMPORTS], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, find_errors: FindErrors) -> None:
    """The error names the extra to install; a configuration without SMPP is valid."""
    monkeypatch.setattr(registry, "is_installed", lambda: False)
    (error,) = find_errors()

    assert error.path == "providers.smsc.type"
    assert "needs a library that is not installed" in error.found
    assert error.allowed == 'pip install "otp-service[smpp]"'
    assert not [*find_errors(("providers.smsc", None))]


@pytest.mark.parametrize("password", ["p" * 65, "p\x00w", "pässword"])
def test_passwords_that_the_protocol_cannot_carry(find_errors: FindErrors, password: str) -> None:
    """They are refused without being shown."""
    (error,) = find_errors(("providers.smsc.password", "env:SMSC_PASSWORD"), SMSC_PASSWORD=password)

    assert password not in str(error)
