"""Secrets of a config: where they are written, and what they must be.

A secret is written `env:NAME` or `file:/path`. Of both, what nobody sees at the ends is no part of the value: a BOM,
line ends, white space, zero-width characters; what stands inside stays. A plain value is refused, so that no config
file holds a secret, unless the caller allows it (`otp-service dev`, tests). No mistake ever repeats a value: only the
name of a variable or the path of a file, which tell where to look.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, TypeVar

from msgspec import Meta

from otp_service.domain.secret import Secret
from otp_service.domain.typed_text import strip_invisible
from otp_service.settings.files import decode_utf8
from otp_service.settings.forms import Read
from otp_service.settings.key_material import KEY_BYTES, ed25519_pem, key_base64
from otp_service.settings.mistakes import NotAllowed, Path, quoted
from otp_service.settings.redis_url import redis_url

__all__ = ["Ed25519Pem", "Key32", "RedisUrl", "SealingKey", "SecretText", "Sources", "is_reference", "resolve"]

WHERE: Final = "env:NAME or file:/path"
LONGEST_NAME: Final = 4096
"""A path is shown whole: its end tells the file."""

LONGEST_FILE: Final = 65536
"""Bytes. No secret is longer; a path to a device or a dump would be read without end."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

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
    if text is None:
        raise NotAllowed(f"the environment variable {name} is not set", "a variable with a value")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise NotAllowed(f"the environment variable {name} is not text in UTF-8", "text in UTF-8")
    if value := strip_invisible(text):
        return value
    raise NotAllowed(f"the environment variable {name} is empty", "a variable with a value")


def _file(name: str) -> str:
    if not name.startswith("/"):
        raise NotAllowed("file: without an absolute path is not allowed", WHERE)
    shown_name = quoted(name, LONGEST_NAME)
    try:
        with FilePath(name).open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
        text = decode_utf8(data) if len(data) <= LONGEST_FILE else ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NotAllowed(f"the file {shown_name} cannot be read: {reason}", "a readable file") from None
    if len(data) > LONGEST_FILE:
        raise NotAllowed(f"the file {shown_name} is too long", f"at most {LONGEST_FILE} bytes")
    if value := strip_invisible(text):
        return value
    raise NotAllowed(f"the file {shown_name} is empty", "a file with a value")


def _reader(make: type[_S], form: Callable[[str], str] = str) -> Read:
    """Make a reader that resolves a secret and gives it the form in which it is used; `form` raises NotAllowed."""

    def read(raw: Any, _: Path, sources: Sources) -> _S:
        return make(form(resolve(raw, sources)))

    return Read(read)


SecretText = Annotated[Secret, _reader(Secret), Meta(description=WHERE)]
"""A password or token, whatever it looks like."""

SealingKey = Annotated[
    Key32, _reader(Key32, key_base64), Meta(description=f"{WHERE}, with {KEY_BYTES} bytes in base64")
]

Ed25519Pem = Annotated[
    Secret, _reader(Secret, ed25519_pem), Meta(description=f"{WHERE}, with an unencrypted Ed25519 private key in PEM")
]

RedisUrl = Annotated[
    Secret,
    _reader(Secret, redis_url),
    Meta(
        description=f"{WHERE}, with redis://host:port, redis+cluster://host:port, redis+sentinel://host:port/master "
        "(rediss for TLS) or unix:///path; user and password percent-encoded"
    ),
]
