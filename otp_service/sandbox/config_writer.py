"""Write a configuration as TOML that `serve` accepts, with every secret in a file of its own.

The loaded settings decide what is a secret: each value of type `Secret` goes to a file that only this user can read,
and the TOML refers to it with `file:PATH`. References to variables and files (`env:`, `file:`) are kept.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from otp_service.domain.secret import Secret
from otp_service.providers.config_parsing import is_reference
from otp_service.settings import Settings

__all__ = ["to_toml", "write_config"]

KeyPath = tuple[str | int, ...]
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")
_RING: Final = "ring"
"""The attribute of the settings whose members are in the table itself in TOML: `[keys] k1`, not `[keys.ring] k1`."""


def write_config(path: Path, document: Mapping[str, Any], settings: Settings, comment: str) -> Path:
    """Write `document` to `path` and its secrets to a folder next to it; return that folder.

    Args:
        path: The TOML file; the folder is `<path>.secrets`.
        document: The configuration as parsed TOML, with plain secrets.
        settings: The settings that were loaded from `document`.
        comment: Lines for the head of the file, without `#`.

    Raises:
        OSError: A file or the folder cannot be written.
    """
    folder = path.absolute().with_name(path.name + ".secrets")
    folder.mkdir(mode=0o700, exist_ok=True)
    public: dict[str, Any] = copy.deepcopy(dict(document))
    for keys, secret in _find_secrets(settings, ()):
        table: Any = public
        for key in keys[:-1]:
            table = table[key]
        if not is_reference(table[keys[-1]]):
            file = folder / _NOT_IN_FILE_NAMES.sub("_", ".".join(map(str, keys)))
            _write_private_file(file, secret.reveal())
            table[keys[-1]] = f"file:{file}"
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    path.write_text("\n".join([*lines, "", to_toml(public)]), encoding="utf-8")
    return folder


def to_toml(document: Mapping[str, Any]) -> str:
    """Format a configuration as TOML: tables as tables, and everything inside a list as an inline value."""
    return "\n".join(_format_table(document, ())).lstrip("\n") + "\n"


def _find_secrets(value: Any, at: KeyPath) -> Iterator[tuple[KeyPath, Secret]]:
    """Yield every secret with the keys that lead to it in the TOML document."""
    if isinstance(value, Secret):
        yield at, value
    elif isinstance(value, Struct):
        for name, written in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            yield from _find_secrets(getattr(value, name), at if name == _RING else (*at, written))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _find_secrets(item, (*at, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _find_secrets(item, (*at, index))


def _write_private_file(file: Path, text: str) -> None:
    """Create the file with mode 0600, so that no other user can read it at any time."""
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text if text.endswith("\n") else text + "\n")


def _format_table(table: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[str]:
    below = {name: value for name, value in table.items() if isinstance(value, Mapping) or _is_tables(value, at)}
    yield from (f"{_format_key(name)} = {_format_value(value)}" for name, value in table.items() if name not in below)
    for name, value in below.items():
        inner = (*at, _format_key(name))
        if isinstance(value, Mapping):
            has_only_tables = bool(value) and all(isinstance(item, Mapping) for item in value.values())
            header = [] if has_only_tables else ["", _format_header("[]", inner)]
            yield from (*header, *_format_table(value, inner))
            continue
        for one in value:
            yield from ("", _format_header("[[]]", inner), *_format_table(one, inner))


def _format_header(brackets: str, at: tuple[str, ...]) -> str:
    half = len(brackets) // 2
    return brackets[:half] + ".".join(at) + brackets[half:]


def _is_tables(value: Any, at: tuple[str, ...]) -> bool:
    """Return True for a top-level list of tables (`[[routes]]`); deeper ones are inline (a tenant's API keys)."""
    return not at and isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _format_value(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_format_key(name)} = {_format_value(item)}" for name, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_format_value, value))}]"
    if isinstance(value, str):
        return _format_string(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _format_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _format_string(name)


def _format_string(text: str) -> str:
    """Format a string as JSON; TOML accepts that except for DEL, which it wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
