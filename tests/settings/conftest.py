"""A configuration with a provider of every type, loaded with changes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from otp_service.sandbox.simulators.vonage_voice_key import simulated_key_pem
from otp_service.settings import ConfigError, ConfigInvalid, Settings, load
from tests.settings.complete_config import KEY, PASSWORD, Edit, edited_config


@pytest.fixture(scope="session")
def pem() -> str:
    """Return a new Ed25519 private key."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def environ(pem: str) -> dict[str, str]:
    """Return the variables that the configuration refers to."""
    return {
        "REDIS_URL": f"redis://:{PASSWORD}@store:6379/0",
        "KEY": KEY,
        "PEM": pem,
        "RSA_PEM": simulated_key_pem(),
        "PASSWORD": PASSWORD,
        "HOOK_TOKEN": PASSWORD * 2,
        "HOOK_SECRET": "v1,whsec_" + KEY,
        "SHORT": PASSWORD[:15],
    }


@pytest.fixture
def find_errors(environ: dict[str, str]) -> Callable[..., tuple[ConfigError, ...]]:
    """Return a function that loads the configuration with changes and returns its errors."""

    def found(*edits: Edit, **more: str) -> tuple[ConfigError, ...]:
        try:
            load(edited_config(*edits), environ | more)
        except ConfigInvalid as refusal:
            return refusal.errors
        return ()

    return found


@pytest.fixture
def loaded(environ: dict[str, str]) -> Callable[..., Settings]:
    """Return a function that loads the configuration with changes."""

    def settings(*edits: Edit, **more: str) -> Settings:
        return load(edited_config(*edits), environ | more)

    return settings


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """Return the path of a file with a secret and a line end."""
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    return path
