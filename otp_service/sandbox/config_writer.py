"""A config of ours written down: TOML that `serve` takes, with every secret in a file of its own beside it.

What is a secret is asked of the settings that the config was loaded as, so that none is forgotten: whatever they hide
goes into a file that only this user can read, and the config says `file:` and where. What refers to a variable or a
file already stays as it is.
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

__all__ = ["toml", "write_config"]

Steps = tuple[str | int, ...]
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_UNFIT_FOR_A_FILE: Final = re.compile(r"[^A-Za-z0-9._-]")
_RING: Final = "ring"
"""In the tree, what a config has in the table itself."""


def write_config(path: Path, document: Mapping[str, Any], settings: Settings, comment: str) -> Path:
    """Write `document` to `path`, and its secrets into the folder that is given back. Raises OSError."""
    folder = path.absolute().with_name(path.name + ".secrets")
    folder.mkdir(mode=0o700, exist_ok=True)
    public: dict[str, Any] = copy.deepcopy(dict(document))
    for steps, secret in _secrets(settings, ()):
        table: Any = public
        for step in steps[:-1]:
            table = table[step]
        if not is_reference(table[steps[-1]]):
            file = folder / _UNFIT_FOR_A_FILE.sub("_", ".".join(map(str, steps)))
            _write_for_us(file, secret.reveal())
            table[steps[-1]] = f"file:{file}"
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    path.write_text("\n".join([*lines, "", toml(public)]), encoding="utf-8")
    return folder


def toml(document: Mapping[str, Any]) -> str:
    """Write a config as TOML: its tables as tables, and what stands deeper than a list within its line."""
    return "\n".join(_table(document, ())).lstrip("\n") + "\n"


def _secrets(value: Any, at: Steps) -> Iterator[tuple[Steps, Secret]]:
    """Find every secret of a tree, with where its config has it."""
    if isinstance(value, Secret):
        yield at, value
    elif isinstance(value, Struct):
        for name, written in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            yield from _secrets(getattr(value, name), at if name == _RING else (*at, written))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _secrets(item, (*at, name))
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from _secrets(item, (*at, place))


def _write_for_us(file: Path, text: str) -> None:
    """Write a file that nobody else may read, from its first moment on."""
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text if text.endswith("\n") else text + "\n")


def _table(table: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[str]:
    below = {name: value for name, value in table.items() if isinstance(value, Mapping) or _is_tables(value, at)}
    yield from (f"{_key(name)} = {_value(value)}" for name, value in table.items() if name not in below)
    for name, value in below.items():
        inner = (*at, _key(name))
        if isinstance(value, Mapping):
            head = (
                [] if value and all(isinstance(item, Mapping) for item in value.values()) else ["", _head("[]", inner)]
            )
            yield from (*head, *_table(value, inner))
            continue
        for one in value:
            yield from ("", _head("[[]]", inner), *_table(one, inner))


def _head(brackets: str, at: tuple[str, ...]) -> str:
    half = len(brackets) // 2
    return brackets[:half] + ".".join(at) + brackets[half:]


def _is_tables(value: Any, at: tuple[str, ...]) -> bool:
    """Tell a list of tables at the top (routes) from one that goes into a line (a tenant's keys)."""
    return not at and isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    """Write a string as JSON has it, which TOML reads but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
