"""Secrets of a config: where they are written, and what they must be.

A secret is written `env:NAME` or `file:/path` (the newline that ends the file is no part of it). A plain value is
refused, so that no config file holds a secret, unless the caller allows it (`otp-service dev`, tests). No mistake
ever repeats a value: only the name of a variable or the path of a file, which tell where to look.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta

from otp_service.domain.secret import Secret
from otp_service.settings.forms import Read
from otp_service.settings.mistakes import NotAllowed, Path, quoted

__all__ = ["Ed25519Pem", "Key32", "RedisUrl", "SealingKey", "SecretText", "Sources", "is_reference", "resolve"]

WHERE: Final = "env:NAME or file:/path"
KEY_BYTES: Final = 32
LONGEST_NAME: Final = 4096
"""A path is shown whole: its end tells the file."""

LONGEST_FILE: Final = 65536
"""Characters. No secret is longer; a path to a device or a dump would be read without end."""

REDIS_KINDS: Final = ("", "cluster", "sentinel")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_DATABASE: Final = re.compile(r"/?|/\d{1,5}/?")
_SENTINEL_PATH: Final = re.compile(r"/[A-Za-z0-9._-]+(?:/\d{1,5})?")
_HIGHEST_PORT: Final = 65535

_S = TypeVar("_S", bound=Secret)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where secrets come from, and whether they may stand in the document itself."""

    environ: Mapping[str, str]
    plain_secrets: bool = False


class Key32(Secret):
    """32 bytes, as base64."""

    __slots__ = ()

    def decoded(self) -> bytes:
        """Hand over the bytes themselves."""
        return base64.b64decode(self.reveal(), validate=True)


def is_reference(raw: object) -> bool:
    """Tell whether `raw` says where its value is, instead of being it."""
    return isinstance(raw, str) and raw.startswith(("env:", "file:"))


def resolve(raw: object, sources: Sources) -> str:
    """Fetch the text that `raw` refers to. Raises `NotAllowed`; an empty secret is a mistake too."""
    if not isinstance(raw, str):
        raise NotAllowed("a value that is not text (not shown) is not allowed")
    if raw.startswith("env:"):
        return _variable(raw.removeprefix("env:"), sources.environ)
    if raw.startswith("file:"):
        return _file(raw.removeprefix("file:"))
    if not sources.plain_secrets:
        raise NotAllowed("a plain value (not shown) is not allowed", WHERE)
    if not raw:
        raise NotAllowed("an empty value is not allowed")
    return raw


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if not _VARIABLE.fullmatch(name):
        raise NotAllowed("env: without the name of a variable (not shown) is not allowed", WHERE)
    text = environ.get(name)
    if not text:
        state = "not set" if text is None else "empty"
        raise NotAllowed(f"the environment variable {name} is {state}", "a variable with a value")
    return text


def _file(name: str) -> str:
    if not name.startswith("/"):
        raise NotAllowed("file: without an absolute path is not allowed", WHERE)
    shown_name = quoted(name, LONGEST_NAME)
    try:
        with FilePath(name).open(encoding="utf-8", newline="") as file:
            text = file.read(LONGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not text in UTF-8"
        raise NotAllowed(f"the file {shown_name} cannot be read: {reason}", "a readable file") from None
    if len(text) > LONGEST_FILE:
        raise NotAllowed(f"the file {shown_name} is too long", f"at most {LONGEST_FILE} characters")
    if not text.strip():
        raise NotAllowed(f"the file {shown_name} is empty", "a file with a value")
    return text.rstrip("\r\n")


def _reader(make: type[_S], judge: Callable[[str], bool]) -> Read:
    """Make a reader that resolves a secret, and refuses one that `judge` does not let pass, without showing it."""

    def read(raw: Any, _: Path, sources: Sources) -> _S:
        text = resolve(raw, sources)
        if not judge(text):
            raise NotAllowed("the value (not shown) is not allowed")
        return make(text)

    return Read(read)


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _is_ed25519(text: str) -> bool:
    try:
        return isinstance(load_pem_private_key(text.encode(), password=None), Ed25519PrivateKey)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        return False


def _is_redis_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if parts.scheme == "unix":
        return parts.path.startswith("/") and parts.path != "/"
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in ("redis", "rediss") or kind not in REDIS_KINDS or parts.scheme.endswith("+"):
        return False
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if len(hosts) > 1 and not kind:
        return False
    path = _SENTINEL_PATH if kind == "sentinel" else _DATABASE
    return all(map(_is_address, hosts)) and path.fullmatch(parts.path) is not None


def _is_address(host: str) -> bool:
    found = _ADDRESS.fullmatch(host)
    return found is not None and 0 < int(found["port"] or 1) <= _HIGHEST_PORT


def _anything(_: str) -> bool:
    return True


SecretText = Annotated[Secret, _reader(Secret, _anything), Meta(description=WHERE)]
"""A password or token, whatever it looks like."""

SealingKey = Annotated[Key32, _reader(Key32, _is_key), Meta(description=f"{WHERE}, with {KEY_BYTES} bytes in base64")]

Ed25519Pem = Annotated[
    Secret, _reader(Secret, _is_ed25519), Meta(description=f"{WHERE}, with an unencrypted Ed25519 private key in PEM")
]

RedisUrl = Annotated[
    Secret,
    _reader(Secret, _is_redis_url),
    Meta(
        description=f"{WHERE}, with redis://host:port, redis+cluster://host:port, redis+sentinel://host:port/master "
        "(rediss for TLS) or unix:///path"
    ),
]
