"""`--write-config`: TOML that is read back unchanged, and secrets in private files."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otp_service.sandbox.config_writer import to_toml, write_config
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import load, load_file

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_written_toml_is_read_back_unchanged(document: dict[str, Any]) -> None:
    """Any names, strings, tables and lists of tables survive writing and reading."""
    assert tomllib.loads(to_toml(document)) == document


def test_secrets_go_to_files_and_references_stay(tmp_path: Path) -> None:
    """Secrets of a merged file also go to files, and the settings are the same after reading, also if written twice."""
    over = {
        "keys": {"k2": "env:KEY_K2"},
        "providers": {
            "other": {
                "type": "http",
                "url": "https://sms.example.com/t0ken",
                "headers": {"X-Key": "hidden"},
                "body": "{to} {text}",
                "body_format": "text",
            }
        },
    }
    document = merged(dev_config("redis://user:hunter2@127.0.0.1:6379/0"), over)
    document["tokens"]["dev"] = document["tokens"][
        "dev"
    ].rstrip()  # the line end of a secret file is not part of the secret
    environ = {"KEY_K2": "Zm9yIHRlc3RzIG9ubHksIGFuZCAzMiBieXRlcyBsb24="}
    settings = load(document, environ, plain_secrets=True)
    path = tmp_path / "otp.toml"
    folder = write_config(path, document, settings, "One.\n\nTwo.")
    assert write_config(path, document, settings, "One.\n\nTwo.") == folder

    text = path.read_text()
    assert text.startswith("# One.\n#\n# Two.\n\n")
    assert 'k2 = "env:KEY_K2"' in text
    for secret in ("hunter2", "t0ken", "hidden", "PRIVATE KEY", document["keys"]["dev"]):
        assert secret not in text
    assert {file.name for file in folder.iterdir()} >= {
        "redis.url", "keys.dev", "tokens.dev", "providers.other.url", "providers.other.headers.X-Key"
    }  # fmt: skip
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert load_file(path, environ) == settings
