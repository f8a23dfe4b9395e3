"""Types of providers that installed packages add: found by their names, imported when they are used, never trusted."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otp_service.providers.config_fields import CommonProvider
from otp_service.providers.registry import plugin_of
from otp_service.settings import ConfigError, Settings
from tests.settings.complete_config import PASSWORD

Mistakes = Callable[..., tuple[ConfigError, ...]]
Packager = Callable[..., str]

GOOD = """
from otp_service.plugin import CommonProvider, GatewayClient, Provider, ProviderPlugin, SecretText

class Table(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="{kind}"):
    token: SecretText
    user: str | None = None

    def mistakes(self):
        if self.user == "root":
            yield ("user",), "root is nobody", "another user"

def make(name, table, client):
    raise NotImplementedError

PLUGIN = ProviderPlugin(Table, make)
"""

_numbers = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packager]:
    """Install a package that offers a type, as an installer leaves it; the name of its module."""
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
    """Configure a provider of an added type."""
    return ("providers.box", {"type": kind, "token": "env:PASSWORD", **keys})


def test_an_added_table_is_loaded(package: Packager, loaded: Callable[..., Settings]) -> None:
    """Its own keys and the common ones are read, its secret is one, and its type is known."""
    package("added-good")
    provider = loaded(table("added-good", user="me", price={"ID": "0.1"}, max_per_second=2)).providers["box"]

    assert isinstance(provider, CommonProvider)
    assert (provider.type, provider.max_per_second, provider.max_concurrent) == ("added-good", 2, 16)
    assert provider.token.reveal() == PASSWORD  # type: ignore[attr-defined]
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
def test_an_added_table_has_its_mistakes_named(
    package: Packager, mistakes: Mistakes, keys: dict[str, Any], path: str, part: str
) -> None:
    """As one of ours: its keys, the common keys, and what stands together."""
    package("added-good")
    (mistake,) = mistakes(table("added-good", **keys))

    assert mistake.path == f"providers.box.{path}"
    assert part in str(mistake)
    assert PASSWORD not in str(mistake)


def test_a_broken_value_ends_a_packages_own_check(package: Packager, mistakes: Mistakes) -> None:
    """A check that comes upon a value that was refused reports nothing that follows from it."""
    package("added-good")
    assert [one.path for one in mistakes(table("added-good", user=5, token="x"))] == [
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
def test_a_broken_entry_is_one_mistake(
    package: Packager, mistakes: Mistakes, source: str, entry: str, part: str
) -> None:
    """One line, at the `type` that asked for it, with the package's name."""
    module = package("added-broken", source, entry)
    (mistake,) = mistakes(table("added-broken"))

    assert mistake.path == "providers.box.type"
    assert f"the package {module}" in mistake.found
    assert part in mistake.found
    assert "\n" not in str(mistake)


def test_a_package_does_not_replace_a_built_in_type(package: Packager, mistakes: Mistakes) -> None:
    """Whoever installs a package does not mean to send elsewhere what goes to a known gateway."""
    module = package("inbox")
    (mistake,) = mistakes(("providers.box", {"type": "inbox"}))

    assert (mistake.path, mistake.found) == (
        "providers.box.type",
        f'"inbox" is built in, and the package {module} would replace it',
    )
    assert module not in sys.modules


def test_two_packages_with_one_type(package: Packager, mistakes: Mistakes) -> None:
    """Nobody chooses between them, and both are named."""
    first, second = package("added-twice"), package("added-twice")
    (mistake,) = mistakes(table("added-twice"))

    assert "is offered by" in mistake.found
    assert first in mistake.found
    assert second in mistake.found


def test_what_nobody_uses_is_not_imported(package: Packager, mistakes: Mistakes) -> None:
    """A broken package, and one with a built-in name, are ignored by a config that has no provider of their types."""
    unused = [package("added-broken", "raise RuntimeError"), package("added-good"), package("smpp"), package("eims-2")]

    assert mistakes() == ()
    assert not set(unused) & set(sys.modules)


def test_an_unknown_type_is_told_what_there_is(package: Packager, mistakes: Mistakes) -> None:
    """The built-in types, then those of packages, none of them imported."""
    module = package("added-good")
    (mistake,) = mistakes(("providers.box", {"type": "smpp"}))

    assert mistake.allowed.endswith('"inbox" or "added-good"')
    assert module not in sys.modules


def test_a_type_of_no_package() -> None:
    """There is nothing to import."""
    assert plugin_of("nobody-has-this") is None
    assert plugin_of("eims") is None
