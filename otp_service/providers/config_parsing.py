"""How a field of the configuration is parsed: the annotation `Parse`, its errors, and references to secrets.

A secret is written as a reference, `env:NAME` or `file:/path`. Invisible characters at both ends of its value (a byte
order mark, line ends, white space) are removed. A plain value is refused unless the caller allows it (`otp-service
dev`, tests). Errors name the variable or the file, never the value.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

from otp_service.domain.typed_text import strip_invisible

__all__ = [
    "REFERENCE_SYNTAX",
    "FieldContext",
    "Finding",
    "InvalidValue",
    "Parse",
    "Path",
    "decode_utf8",
    "dotted_path",
    "invalid",
    "invalid_secret",
    "is_reference",
    "lower_case",
    "quoted",
    "resolve_secret",
    "shown",
    "unquoted",
]

Path = tuple[str | int, ...]
"""Where a value is in the document: keys, and indexes in lists."""

Finding = tuple[Path, str, str]
"""An error that a cross-check found: the path below its table, what was found, what is allowed."""

REFERENCE_SYNTAX: Final = "env:NAME or file:/path"
MAX_SHOWN_CHARS: Final = 60
MAX_PATH_CHARS: Final = 4096
"""The path of a file is shown in full: its end identifies the file."""

MAX_FILE_BYTES: Final = 65536
"""No secret is longer; a path to a device or a dump would be read without end."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OTHER_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class InvalidValue(Exception):
    """A value is refused."""

    def __init__(self, found: str, allowed: str | None = None) -> None:
        """Describe the value.

        Args:
            found: What was found, as a clause. Never contains a value that may be a secret.
            allowed: What to write instead; None: the description of the field's type.
        """
        super().__init__(found)
        self.found = found
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class FieldContext:
    """The field that is parsed, and where the secrets of this configuration come from."""

    path: Path
    environ: Mapping[str, str]
    plain_secrets: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Parse:
    """Marks a field type whose raw value goes through `function` first; it raises `InvalidValue`.

    A result that is text, a table or the unchanged raw value is then validated as the type declares; any other result
    is the value. `schema` is the JSON Schema of the raw value.
    """

    function: Callable[[Any, FieldContext], Any]
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


def dotted_path(path: Path) -> str:
    """Write `("routes", 0, "providers")` as `routes[0].providers`; unusual keys are quoted, as in TOML."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return "".join(parts).removeprefix(".") or "config"


def _key(part: str) -> str:
    return part if _BARE_KEY.fullmatch(part) else json.dumps(part)


def quoted(text: str, max_chars: int = MAX_SHOWN_CHARS) -> str:
    """Return `text` in quotes, on one line, in ASCII, cut to `max_chars`."""
    return json.dumps(text if len(text) <= max_chars else text[: max_chars - 3] + "...")


def shown(raw: Any) -> str:
    """Describe a raw value for an error text: TOML syntax for a scalar, only the size of a container."""
    match raw:
        case bool():
            return "true" if raw else "false"
        case int() | float():
            return str(raw)
        case str():
            return quoted(raw)
        case Mapping():
            return "a table" if raw else "an empty table"
        case list() | tuple():
            return f"a list of {len(raw)}" if raw else "an empty list"
    return f"a {type(raw).__name__}"


def invalid(raw: Any) -> InvalidValue:
    """Return the error for a value that may be shown."""
    return InvalidValue(f"{shown(raw)} is not allowed")


def invalid_secret(reason: str) -> InvalidValue:
    """Return the error for a value that must not be shown; `reason` continues "the value (not shown)"."""
    return InvalidValue(f"the value (not shown) {reason}")


def unquoted(text: str) -> str:
    """Remove the quotes that some env files keep around a value."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in ('"', "'"):
        return strip_invisible(text[1:-1])
    return text


def lower_case(raw: Any, _: FieldContext) -> Any:
    """Accept text in upper case as well."""
    return raw.lower() if isinstance(raw, str) else raw


def decode_utf8(data: bytes) -> str:
    """Decode UTF-8 with or without a byte order mark.

    Raises:
        ValueError: It is another encoding. The text of the error shows nothing of the data.
    """
    for mark, encoding in _OTHER_ENCODINGS:
        if data.startswith(mark):
            raise ValueError(f"not text in UTF-8: it is {encoding}")
    if b"\x00" in data:
        raise ValueError("not text in UTF-8: it has NUL bytes, as UTF-16 has")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8") from None


def is_reference(raw: object) -> bool:
    """Whether `raw` refers to a variable or a file."""
    return isinstance(raw, str) and raw.startswith(("env:", "file:"))


def resolve_secret(raw: object, context: FieldContext) -> str:
    """Return the text that a reference refers to, or a plain secret where those are allowed; it is not empty."""
    if not isinstance(raw, str):
        raise InvalidValue("a value that is not text (not shown) is not allowed")
    if raw.startswith("env:"):
        return _read_variable(raw.removeprefix("env:"), context.environ)
    if raw.startswith("file:"):
        return _read_file(raw.removeprefix("file:"))
    if not context.plain_secrets:
        raise InvalidValue("a plain value (not shown) is not allowed", REFERENCE_SYNTAX)
    if not raw:
        raise InvalidValue("an empty value is not allowed")
    return raw


def _read_variable(name: str, environ: Mapping[str, str]) -> str:
    if not _VARIABLE.fullmatch(name):
        raise InvalidValue("env: without the name of a variable (not shown) is not allowed", REFERENCE_SYNTAX)
    text = environ.get(name)
    if text is None:
        raise InvalidValue(f"the environment variable {name} is not set", "a variable with a value")
    if any("\ud800" <= char <= "\udfff" for char in text):  # bytes that Python could not decode
        raise InvalidValue(f"the environment variable {name} is not text in UTF-8", "text in UTF-8")
    if value := strip_invisible(text):
        return value
    raise InvalidValue(f"the environment variable {name} is empty", "a variable with a value")


def _read_file(name: str) -> str:
    if not name.startswith("/"):
        raise InvalidValue("file: without an absolute path is not allowed", REFERENCE_SYNTAX)
    shown_name = quoted(name, MAX_PATH_CHARS)
    try:
        with FilePath(name).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = decode_utf8(data) if len(data) <= MAX_FILE_BYTES else ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidValue(f"the file {shown_name} cannot be read: {reason}", "a readable file") from None
    if len(data) > MAX_FILE_BYTES:
        raise InvalidValue(f"the file {shown_name} is too long", f"at most {MAX_FILE_BYTES} bytes")
    if value := strip_invisible(text):
        return value
    raise InvalidValue(f"the file {shown_name} is empty", "a file with a value")
