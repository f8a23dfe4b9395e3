"""Provider types that the configuration accepts and that have no adapter yet: `http`.

Their tables are validated, and the service names each such provider at start: it sends nothing.

In an `http` table, `url`, `headers` and `body` are templates with `{to}`, `{text}`, `{code}` and `{message_id}`. Other
braces are kept, because JSON has many; a single word in braces that is not a placeholder is an
error. All three are `Secret`s, because tokens are written there. They may be plain or references, but a header whose
name says that it contains a credential must be a reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, field

from otp_service.domain.secret import Secret
from otp_service.providers.config_fields import BaseUrl, CommonProvider, is_web_url
from otp_service.providers.config_parsing import (
    REFERENCE_SYNTAX,
    FieldContext,
    Finding,
    InvalidValue,
    Parse,
    invalid,
    is_reference,
    resolve_secret,
    shown,
)

__all__ = ["Condition", "HttpConfig"]

PLACEHOLDERS: Final = ("to", "text", "code", "message_id")

_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_WORD: Final = re.compile(r"\{([A-Za-z_]+)\}")
_CREDENTIAL: Final = re.compile(r"authorization|cookie|key|token|secret|password|signature", re.IGNORECASE)
_LINE_END: Final = re.compile(r"[\r\n\x00]")


class Condition(msgspec.Struct, frozen=True):
    """A condition that a response meets if it is an acceptance.

    The value at `pointer` (RFC 6901) is neither false nor null; or, with `equals`, it is this text (for anything but a
    string, its JSON).
    """

    pointer: str
    equals: str | None = None


def _template(raw: Any, context: FieldContext) -> Secret:
    is_hidden = is_reference(raw)
    if not is_hidden and not (isinstance(raw, str) and raw):
        raise InvalidValue("a value that is not text (not shown) is not allowed")
    text = resolve_secret(raw, context) if is_hidden else raw
    if unknown := [word for word in _WORD.findall(text) if word not in PLACEHOLDERS]:
        found = "an unknown placeholder (not shown)" if is_hidden else f"unknown placeholder {{{unknown[0]}}}"
        raise InvalidValue(found, ", ".join(f"{{{word}}}" for word in PLACEHOLDERS))
    return Secret(text)


def _header(raw: Any, context: FieldContext) -> Secret:
    is_plain = isinstance(raw, str) and not is_reference(raw) and not _WORD.search(raw)
    if is_plain and _CREDENTIAL.search(str(context.path[-1])) and not context.plain_secrets:
        raise InvalidValue("a plain value (not shown) is not allowed", REFERENCE_SYNTAX)
    value = _template(raw, context)
    if _LINE_END.search(value.reveal()):
        raise InvalidValue("a value of several lines (not shown) is not allowed")
    return value


def _conditions(raw: Any, _: FieldContext) -> tuple[Condition, ...]:
    """Read `"/result"`, `"/status=0"`, a list of these, or a table `{ "/status" = 0 }`."""
    if isinstance(raw, Mapping):
        conditions = tuple(Condition(_pointer(pointer), _json_text(value)) for pointer, value in raw.items())
    else:
        conditions = tuple(map(_condition, raw if isinstance(raw, list | tuple) else [raw]))
    if not conditions:
        raise invalid(raw)
    return conditions


def _condition(raw: Any) -> Condition:
    if not isinstance(raw, str):
        raise invalid(raw)
    pointer, equals, text = raw.partition("=")
    return Condition(_pointer(pointer.strip()), text.lstrip("=").strip() if equals else None)


def _pointer(raw: Any) -> str:
    if isinstance(raw, str) and _POINTER.fullmatch(raw):
        return raw
    raise InvalidValue(f"the pointer {shown(raw)} is not allowed", "a JSON pointer, such as /data/id")


def _json_text(raw: Any) -> str:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, int | float):
        return json.dumps(raw)
    raise invalid(raw)


RequestTemplate = Annotated[Secret, Parse(_template), Meta(description="text, or env:NAME or file:/path")]
HeaderName = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z", description="the name of an HTTP header")
]
HeaderValue = Annotated[Secret, Parse(_header), Meta(description="one line of text, or env:NAME or file:/path")]
Conditions = Annotated[
    tuple[Condition, ...],
    Parse(_conditions, {"type": ["string", "array", "object"]}),
    Meta(description='a JSON pointer, "/pointer=value", or a table of pointers and values'),
]


class HttpConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """Any gateway that takes one request for one message.

    `base_url` replaces the scheme and host of `url`, or is put before a `url` that is a path. Without `accepted_when`,
    every 2xx is an acceptance.
    """

    base_url: BaseUrl | None = None
    method: Annotated[
        Literal["GET", "POST", "PUT"],
        Parse(
            lambda raw, _: raw.upper() if isinstance(raw, str) else raw,
            {"enum": ["GET", "POST", "PUT", "get", "post", "put"]},
        ),
    ] = "POST"
    url: RequestTemplate
    headers: Mapping[HeaderName, HeaderValue] = field(default_factory=lambda: MappingProxyType({}))
    body: RequestTemplate | None = None
    accepted_when: Conditions | None = None
    message_id: (
        Annotated[
            str,
            Meta(pattern=r"\A(?:/(?:[^~/]|~[01])*)+\Z", description='a JSON pointer, such as "/data/id"'),
        ]
        | None
    ) = None

    def cross_check(self) -> Iterator[Finding]:
        """Require a complete URL, and a request that contains the recipient and the text or the code."""
        url = self.url.reveal()
        if url.startswith("/"):
            if self.base_url is None:
                yield ("url",), "a path without base_url is not allowed", "an http(s) URL; or a path with base_url"
        elif not is_web_url(url) or "{" in urlsplit(url).netloc:
            yield ("url",), "the value (not shown) is not allowed", "http://host or https://host, with path and query"
        body = () if self.body is None else (self.body,)
        request = "\n".join(part.reveal() for part in (self.url, *body, *self.headers.values()))
        if "{to}" not in request:
            yield ("body",), "{to} is missing from url, headers and body", "a request with {to}"
        if "{text}" not in request and "{code}" not in request:
            yield (
                ("body",),
                "{text} and {code} are missing from url, headers and body",
                "a request with {text} or {code}",
            )
