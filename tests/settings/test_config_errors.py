"""Every mistake of a config is one line, with its path, and all of them come at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otp_service.settings import ConfigError, ConfigInvalid, Settings, load, load_file
from tests.settings.config_error_cases import ONE_ERROR, POLICY

Edit = tuple[str, Any]
Mistakes = Callable[..., tuple[ConfigError, ...]]


@pytest.mark.parametrize(("edit", "path", "part"), ONE_ERROR)
def test_one_mistake(mistakes: Mistakes, edit: Edit, path: str, part: str) -> None:
    """A mistake is reported once, at its path, with what was found and what is allowed."""
    found = mistakes(edit)
    assert [mistake.path for mistake in found] == [path]
    line = str(found[0])
    assert line.startswith(f"{path}: ")
    assert "; allowed: " in line
    assert part in line
    assert "\n" not in line


def test_the_good_config_is_good(mistakes: Mistakes) -> None:
    """What the others break has no mistake of its own."""
    assert mistakes() == ()


def test_every_mistake_at_once(mistakes: Mistakes) -> None:
    """Mistakes of values, of keys, of what stands together and of secrets come in one go, in the config's order."""
    found = mistakes(
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
    assert [mistake.path for mistake in found] == [
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
def test_no_mistake_follows_from_another(mistakes: Mistakes, edits: list[Edit], paths: list[str]) -> None:
    """What could not be read makes no second mistake, neither in a check nor where it is referred to."""
    assert [mistake.path for mistake in mistakes(*edits)] == paths


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = ", "config: not TOML: Invalid value (at end of document); allowed: TOML 1.0"),
        ("\n\n[a\n", "line 3"),
    ],
)
def test_no_toml(environ: dict[str, str], text: str, line: str) -> None:
    """What is no TOML is one mistake, with the line."""
    with pytest.raises(ConfigInvalid) as refusal:
        load(text, environ)
    assert len(refusal.value.errors) == 1
    assert line in str(refusal.value)


def test_files_that_cannot_be_read(tmp_path: Path, environ: dict[str, str]) -> None:
    """A file that is not there, or is no text, is one mistake that names it."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name, reason in (("absent.toml", "No such file"), ("binary.toml", "not text in UTF-8"), ("", "directory")):
        with pytest.raises(ConfigInvalid) as refusal:
            load_file(tmp_path / name, environ)
        (mistake,) = refusal.value.errors
        assert mistake.path == str(tmp_path / name)
        assert reason in mistake.found


def test_text_of_the_exception(environ: dict[str, str]) -> None:
    """The exception's text is its lines."""
    with pytest.raises(ConfigInvalid) as refusal:
        load("", environ)
    assert str(refusal.value).splitlines() == [str(mistake) for mistake in refusal.value.errors]


def test_a_path_with_base_url(loaded: Callable[..., Settings]) -> None:
    """The URL of an `http` provider may be a path behind its base URL."""
    assert loaded(("providers.own.url", "/send?to={to}"), ("providers.own.base_url", "http://localhost:1"))
