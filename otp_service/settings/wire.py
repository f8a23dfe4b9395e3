"""The values of an `http` provider: templates of a request, and pointers into the reply.

A template is text with `{to}`, `{text}`, `{code}` and `{message_id}`. Other braces stay as they are (a JSON body is
full of them); only a lone word in braces is taken for a misspelt placeholder. URL, headers and body are `Secret`s:
that is where gateways want their tokens. They may be written plainly or as `env:NAME` or `file:/path`, except for a
header that by its name carries a credential.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from otp_service.domain.secret import Secret
from otp_service.settings.forms import Before, Read
from otp_service.settings.mistakes import NotAllowed, Path, quoted, shown
from otp_service.settings.secrets import WHERE, Sources, is_reference, resolve

__all__ = ["Accepted", "Condition", "Headers", "HttpMethod", "Placeholder", "Pointer", "WireText"]

PLACEHOLDERS: Final = ("to", "text", "code", "message_id")
VARIABLES: Final = ("brand", "code", "minutes")
LONGEST_VARIABLE: Final = 32
"""Characters that SendCloud takes as the value of one variable."""

_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_WORD: Final = re.compile(r"\{([A-Za-z_]+)\}")
_CREDENTIAL: Final = re.compile(r"authorization|cookie|key|token|secret|password|signature", re.IGNORECASE)
_LINE_END: Final = re.compile(r"[\r\n\x00]")


class Condition(msgspec.Struct, frozen=True):
    """What the reply must hold to be an acceptance.

    At `pointer` (RFC 6901) stands something other than false and null; or, with `equals`, what has this text in JSON
    (a string without its quotes).
    """

    pointer: str
    equals: str | None = None


def _wire(raw: Any, _: Path, sources: Sources) -> Secret:
    known = is_reference(raw)
    if not known and not (isinstance(raw, str) and raw):
        raise NotAllowed("a value that is not text (not shown) is not allowed")
    text = resolve(raw, sources) if known else raw
    strange = [word for word in _WORD.findall(text) if word not in PLACEHOLDERS]
    if strange:
        name = "an unknown placeholder (not shown)" if known else f"unknown placeholder {{{strange[0]}}}"
        raise NotAllowed(name, ", ".join(f"{{{word}}}" for word in PLACEHOLDERS))
    return Secret(text)


def _header(raw: Any, path: Path, sources: Sources) -> Secret:
    """Read a header's value. One without a placeholder in a header of credentials is a credential."""
    plain = isinstance(raw, str) and not is_reference(raw) and not _WORD.search(raw)
    if plain and _CREDENTIAL.search(str(path[-1])) and not sources.plain_secrets:
        raise NotAllowed("a plain value (not shown) is not allowed", WHERE)
    value = _wire(raw, path, sources)
    if _LINE_END.search(value.reveal()):
        raise NotAllowed("a value of several lines (not shown) is not allowed")
    return value


def _placeholder(raw: Any, _: Path, __: Sources) -> str:
    if not isinstance(raw, str) or not 0 < len(raw) <= LONGEST_VARIABLE:
        raise NotAllowed(f"{shown(raw)} is not allowed")
    if strange := [word for word in _WORD.findall(raw) if word not in VARIABLES]:
        raise NotAllowed(f"unknown placeholder {{{strange[0]}}}", ", ".join(f"{{{word}}}" for word in VARIABLES))
    return raw


def _accepted(raw: Any, _: Path, __: Sources) -> tuple[Condition, ...]:
    """Read `"/result"`, `"/status=0"`, a list of such, or a table `{ "/status" = 0 }`; all of them must hold."""
    if isinstance(raw, Mapping):
        found = [Condition(_pointer_of(at), _json_text(value)) for at, value in raw.items()]
    else:
        found = [_condition(item) for item in (raw if isinstance(raw, list | tuple) else [raw])]
    if not found:
        raise NotAllowed(f"{shown(raw)} is not allowed")
    return tuple(found)


def _condition(raw: Any) -> Condition:
    if not isinstance(raw, str):
        raise NotAllowed(f"{shown(raw)} is not allowed")
    at, equals, text = raw.partition("=")
    return Condition(_pointer_of(at.strip()), text.lstrip("=").strip() if equals else None)


def _pointer_of(raw: Any) -> str:
    if isinstance(raw, str) and _POINTER.fullmatch(raw):
        return raw
    raise NotAllowed(f"the pointer {shown(raw)} is not allowed", "a JSON pointer, such as /data/id")


def _json_text(raw: Any) -> str:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, int | float):
        return json.dumps(raw)
    raise NotAllowed(f"{shown(raw)} is not allowed")


HttpMethod = Annotated[Literal["GET", "POST", "PUT"], Before(lambda raw: raw.upper() if isinstance(raw, str) else raw)]
WireText = Annotated[Secret, Read(_wire), Meta(description="text, or env:NAME or file:/path")]
Placeholder = Annotated[
    str,
    Read(_placeholder),
    Meta(description=f"1 to {LONGEST_VARIABLE} characters with {{code}}, {{brand}} or {{minutes}}"),
]
Pointer = Annotated[
    str,
    Meta(pattern=r"\A(?:/(?:[^~/]|~[01])*)+\Z", description=f"a JSON pointer, such as {quoted('/data/id')}"),
]
Accepted = Annotated[
    tuple[Condition, ...],
    Read(_accepted),
    Meta(description='a JSON pointer, "/pointer=value", or a table of pointers and values'),
]
HeaderName = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z", description="the name of an HTTP header")
]
HeaderValue = Annotated[Secret, Read(_header), Meta(description="one line of text, or env:NAME or file:/path")]
Headers = Mapping[HeaderName, HeaderValue]
