"""Provider types of installed packages: found by name, imported when used, and validated."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otp_service.providers.config_fields import CommonProvider
from otp_service.providers.registry import plugin_of
from otp_service.settings import ConfigError, Settings, build_json_schema
from tests.settings.complete_config import PASSWORD

FindErrors = Callable[..., tuple[ConfigError, ...]]
Packager = Callable[..., str]

GOOD = """
from otp_service.plugin import CommonProvider, GatewayClient, Provider, ProviderPlugin, SecretText

class Table(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="{kind}"):
    token: SecretText
    user: str | None = None

    def cross_check(self):
        if self.user == "root":
            yield ("user",), "root is nobody", "another user"

def make(name, table, client):
    raise NotImplementedError

PLUGIN = ProviderPlugin(Table, make)
"""

_numbers = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packager]:
    """Return a function that installs a package with a provider type and returns the name of its module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules: list[str] = []

    def install(kind: str, source: str = GOOD, entry: str = "PLUGIN") -> str:
        module = f"added_by_test_{next(_numbers)}"  # a module is imported once in a process, whatever becomes of it
        (tmp_path / f"{module}.py").write_text(source.replace("{kind}", kind))
        folder = tmp_path / f"{module}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[otp_service.providers]\n{kind} = {module}:{entry}\n")
        modules.append(module)
        return module

    yield install
    for module in modules:
        sys.modules.pop(module, None)


def table(kind: str, **keys: Any) -> tuple[str, Any]:
    """Return the change that configures a provider of a type."""
    return ("providers.box", {"type": kind, "token": "env:PASSWORD", **keys})


def test_plugin_table_is_loaded(package: Packager, loaded: Callable[..., Settings]) -> None:
    """A plugin's own keys and the common ones are read, and its secret is hidden."""
    package("added-good")
    provider = loaded(table("added-good", user="me", price={"ID": "0.1"}, max_per_second=2)).providers["box"]

    assert isinstance(provider, CommonProvider)
    assert (provider.type, provider.max_per_second, provider.max_concurrent) == ("added-good", 2, 16)
    assert provider.token.reveal() == PASSWORD  # type: ignore[attr-defined]  # of the plug-in's own type
    assert PASSWORD not in repr(provider)


@pytest.mark.parametrize(
    ("keys", "path", "part"),
    [
        ({"token": PASSWORD}, "token", "a plain value (not shown)"),
        ({"token": "env:NOT_THERE"}, "token", "NOT_THERE is not set"),
        ({"tokn": "x"}, "tokn", 'did you mean "token"?'),
        ({"user": 5}, "user", "5 is not text"),
        ({"user": "root"}, "user", "root is nobody; allowed: another user"),
        ({"timeout_seconds": 31}, "timeout_seconds", "0.5 to 30"),
        ({"price": {"ID": 0.1}}, "price.ID", "in quotes"),
    ],
)
def test_plugin_table_is_validated(
    package: Packager, find_errors: FindErrors, keys: dict[str, Any], path: str, part: str
) -> None:
    """A plugin's own keys, the common keys and its cross-check are validated."""
    package("added-good")
    (error,) = find_errors(table("added-good", **keys))

    assert error.path == f"providers.box.{path}"
    assert part in str(error)
    assert PASSWORD not in str(error)


def test_invalid_value_ends_a_plugin_check(package: Packager, find_errors: FindErrors) -> None:
    """A plugin's cross-check ends at the first value that was refused."""
    package("added-good")
    assert [one.path for one in find_errors(table("added-good", user=5, token="x"))] == [
        "providers.box.token",
        "providers.box.user",
    ]


BROKEN = [
    ("raise RuntimeError('out\\nof order')", "PLUGIN", 'cannot be imported: "RuntimeError: out\\nof order"'),
    ("import no_such_module_at_all", "PLUGIN", "ModuleNotFoundError"),
    ("OTHER = 1", "PLUGIN", "cannot be imported"),
    ("PLUGIN = 1", "PLUGIN", "is of type int"),
    (GOOD, "Table", "is of type StructMeta"),
    (GOOD.replace("(Table, make)", "(dict, make)"), "PLUGIN", "do not extend CommonProvider"),
    (GOOD.replace("(Table, make)", "('Table', make)"), "PLUGIN", "do not extend CommonProvider"),
    (GOOD.replace("(Table, make)", "(CommonProvider, make)"), "PLUGIN", 'without tag_field="type"'),
    (GOOD.replace("{kind}", "another"), "PLUGIN", "tag="),
    (GOOD.replace("(Table, make)", "(Table, 'make')"), "PLUGIN", "a make that cannot be called"),
    (GOOD.replace("user: str | None", "user: 'Nowhere | None'"), "PLUGIN", "cannot be read"),
]


@pytest.mark.parametrize(("source", "entry", "part"), BROKEN)
def test_broken_plugin_is_one_error(
    package: Packager, find_errors: FindErrors, source: str, entry: str, part: str
) -> None:
    """A broken entry point is one error, at `type`, with the name of the package."""
    module = package("added-broken", source, entry)
    (error,) = find_errors(table("added-broken"))

    assert error.path == "providers.box.type"
    assert f"the package {module}" in error.found
    assert part in error.found
    assert "\n" not in str(error)


def test_plugin_cannot_replace_a_built_in_type(package: Packager, find_errors: FindErrors) -> None:
    """A package with the name of a built-in type is refused and not imported."""
    module = package("inbox")
    (error,) = find_errors(("providers.box", {"type": "inbox"}))

    assert (error.path, error.found) == (
        "providers.box.type",
        f'"inbox" is built in, and the package {module} would replace it',
    )
    assert module not in sys.modules


def test_two_packages_with_one_type(package: Packager, find_errors: FindErrors) -> None:
    """Two packages with the same type are refused, and both are named."""
    first, second = package("added-twice"), package("added-twice")
    (error,) = find_errors(table("added-twice"))

    assert "is provided by" in error.found
    assert first in error.found
    assert second in error.found


def test_unused_plugins_are_not_imported(package: Packager, find_errors: FindErrors) -> None:
    """Packages whose types are not configured are not imported, broken or not."""
    unused = [package("added-broken", "raise RuntimeError"), package("added-good"), package("cmpp"), package("eims-2")]

    assert find_errors() == ()
    assert not set(unused) & set(sys.modules)


def test_unknown_type_lists_all_types(package: Packager, find_errors: FindErrors) -> None:
    """The error lists the built-in types and those of packages, without importing them."""
    module = package("added-good")
    (error,) = find_errors(("providers.box", {"type": "cmpp"}))

    assert error.allowed.endswith('"inbox" or "added-good"')
    assert module not in sys.modules


def test_type_without_a_package() -> None:
    """A type that no package registers has no plugin."""
    assert plugin_of("nobody-has-this") is None
    assert plugin_of("eims") is None


def test_schema_has_the_types_of_packages(package: Packager) -> None:
    """The JSON Schema describes the tables of installed packages, and leaves broken packages out."""
    package("added-good")
    package("added-broken", "raise RuntimeError")
    definitions = build_json_schema()["$defs"]

    assert definitions["providers.added-good"]["properties"]["token"]["description"] == "env:NAME or file:/path"
    assert definitions["providers.added-good"]["required"] == ["type", "token"]
    assert "providers.added-broken" not in definitions
