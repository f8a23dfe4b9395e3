"""Every error of a configuration is one line with its path, and all errors are reported at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otp_service.settings import ConfigError, ConfigInvalid, Settings, load, load_file
from tests.settings.config_error_cases import ONE_ERROR, POLICY

Edit = tuple[str, Any]
FindErrors = Callable[..., tuple[ConfigError, ...]]


@pytest.mark.parametrize(("edit", "path", "part"), ONE_ERROR)
def test_one_error(find_errors: FindErrors, edit: Edit, path: str, part: str) -> None:
    """An error is reported once, at its path, with what was found and what is allowed."""
    found = find_errors(edit)
    assert [error.path for error in found] == [path]
    line = str(found[0])
    assert line.startswith(f"{path}: ")
    assert "; allowed: " in line
    assert part in line
    assert "\n" not in line


def test_valid_config_has_no_errors(find_errors: FindErrors) -> None:
    """The configuration that the other tests change is valid."""
    assert find_errors() == ()


def test_all_errors_at_once(find_errors: FindErrors) -> None:
    """Errors of values, keys, secrets and cross-checks are reported together, in the order of the settings."""
    found = find_errors(
        ("server.port", 65536),
        ("redis.url", "env:NOT_THERE"),
        ("keys.current", "k2"),
        ("hashing.time_cost", 1),
        ("tenants.acme.api_keys.1.sha256", "a" * 64),
        (f"{POLICY}.ttl_seconds", 601),
        (f"{POLICY}.code_length", 4),
        ("providers.jakarta.password", "plain"),
        ("providers.jakarta.acount", "acme"),
        ("routes.1.providers", ["nobody", "keda"]),
        ("limits.prefix", ["x"]),
    )
    assert [error.path for error in found] == [
        "server.port",
        "redis.url",
        "keys.current",
        "hashing.memory_kib",
        f"{POLICY}.ttl_seconds",
        f"{POLICY}.code_length",
        "providers.jakarta.password",
        "providers.jakarta.acount",
        "limits.prefix[0]",
        "tenants.acme.api_keys[1].sha256",
        "routes[1].providers[0]",
    ]


@pytest.mark.parametrize(
    ("edits", "paths"),
    [
        ([(f"{POLICY}.allow_short_codes", "yes"), (f"{POLICY}.code_length", 5)], [f"{POLICY}.allow_short_codes"]),
        ([("providers.keda.api_key", None)], ["providers.keda.api_key"]),
        ([("providers.keda", 5)], ["providers.keda"]),
        ([("tenants.acme.purposes", 5), ("tenants.acme.templates.id.x", "{code}")], ["tenants.acme.purposes"]),
        ([("tenants.acme.purposes", [5]), ("tenants.acme.templates.id.x", "{code}")], ["tenants.acme.purposes[0]"]),
        ([("keys.k1", "env:NOT_THERE")], ["keys.k1"]),
        ([("routes.0.prefix", 5), ("routes.1.prefix", 5)], ["routes[0].prefix", "routes[1].prefix"]),
        ([("limits.recipient_failures", ["200/86400", "x"])], ["limits.recipient_failures[1]"]),
        ([("tenants.acme.api_keys.0", 5), ("tenants.acme.api_keys.1.id", 5)],
         ["tenants.acme.api_keys[0]", "tenants.acme.api_keys[1].id"]),
        ([("tenants.acme.country", None), ("tenants.acme.countries", None)], ["tenants.acme.country"]),
        ([("tenants.acme", 5), ("routes.0", "x")], ["tenants.acme", "routes[0]"]),
    ],
)  # fmt: skip
def test_invalid_values_cause_no_further_errors(find_errors: FindErrors, edits: list[Edit], paths: list[str]) -> None:
    """A value that was refused causes no second error in a cross-check or where it is referred to."""
    assert [error.path for error in find_errors(*edits)] == paths


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = ", "config: not TOML: Invalid value (at end of document); allowed: TOML 1.0"),
        ("\n\n[a\n", "line 3"),
    ],
)
def test_not_toml(environ: dict[str, str], text: str, line: str) -> None:
    """A file that is not TOML has one error, with the line."""
    with pytest.raises(ConfigInvalid) as refusal:
        load(text, environ)
    assert len(refusal.value.errors) == 1
    assert line in str(refusal.value)


def test_unreadable_files(tmp_path: Path, environ: dict[str, str]) -> None:
    """A missing file, and one that is not text, has one error that names it."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name, reason in (("absent.toml", "No such file"), ("binary.toml", "not text in UTF-8"), ("", "directory")):
        with pytest.raises(ConfigInvalid) as refusal:
            load_file(tmp_path / name, environ)
        (error,) = refusal.value.errors
        assert error.path == str(tmp_path / name)
        assert reason in error.found


def test_exception_message_has_all_lines(environ: dict[str, str]) -> None:
    """The message of the exception is the lines of all errors."""
    with pytest.raises(ConfigInvalid) as refusal:
        load("", environ)
    assert str(refusal.value).splitlines() == [str(error) for error in refusal.value.errors]


def test_http_url_may_be_a_path(loaded: Callable[..., Settings]) -> None:
    """The URL of an `http` provider may be a path if there is a base URL."""
    assert loaded(("providers.own.url", "/send?to={to}"), ("providers.own.base_url", "http://localhost:1"))
