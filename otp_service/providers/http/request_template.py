"""Templates of requests: their placeholders, where these are allowed, and how a value is escaped there.

A template is text with placeholders, words in braces: facts of the message (`{to}`, `{text}`, ...) and the names of the
provider's `secrets`. It is rendered in one pass, so that an inserted value is never read as a template. Each value is
escaped for its context, so that no value can break out of it:

- in a URL or a form, everything but unreserved characters is percent-encoded (RFC 3986, 2.3);
- in JSON, a placeholder is part of a string, and quotes, backslashes and control characters are escaped (RFC 8259, 7);
- in XML, a placeholder is in text or in a quoted attribute, and markup is written as references (XML 1.0, 4.6);
- in a header, only printable ASCII is allowed, so no line end.

A value that cannot be expressed in its context is not sent at all (`NotRenderable`). In a plain body nothing is
escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from otp_service.domain.secret import Secret
from otp_service.providers.config_parsing import FieldContext, InvalidValue, is_reference, resolve_secret

__all__ = [
    "BODY_ESCAPES",
    "MESSAGE_PLACEHOLDERS",
    "BodyFormat",
    "NotRenderable",
    "Template",
    "TemplateFromReference",
    "body_fault",
    "escape_header",
    "escape_url",
    "parse_template",
    "placeholders",
    "render",
]

MESSAGE_PLACEHOLDERS: Final = (
    "to", "text", "code", "message_id", "sender", "brand", "minutes", "expires_in", "country", "receipt_url",
    "subject", "html",
)  # fmt: skip
"""The facts of a message, as `wire.message_values` fills them in."""

MAX_TEMPLATE_CHARS: Final = 8192

BodyFormat = Literal["json", "form", "xml", "text"]

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NOT_IN_HEADER: Final = re.compile(r"[^\x20-\x7e]")
_NOT_IN_FORM: Final = re.compile(r"[^!-~]")
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_REFERENCES: Final = str.maketrans(
    # Literal line ends and tabs would be normalized by the parser (XML 1.0, 2.11 and 3.3.3)
    {char: f"&#{ord(char)};" for char in "&<>\"'\t\n\r"}
)
_STAND_IN: Final = "x"
"""Stands for a value when a template is checked; it is neither a JSON value nor a part of an escape sequence."""


class NotRenderable(Exception):
    """A value cannot be expressed in its context. The error does not show the value, which may be a code."""


class Template(Secret):
    """A template that is written in the configuration. It is a secret, because it may contain tokens."""

    __slots__ = ()


class TemplateFromReference(Template):
    """A template from a variable or a file. Error texts show nothing of it."""

    __slots__ = ()


def parse_template(raw: Any, context: FieldContext) -> Template:
    """Read a template: text, or a reference to it. Raises `InvalidValue`, which shows nothing of the value."""
    is_hidden = is_reference(raw)
    if not is_hidden and not (isinstance(raw, str) and raw):
        raise InvalidValue("a value that is not text (not shown) is not allowed")
    text = resolve_secret(raw, context) if is_hidden else raw
    if len(text) > MAX_TEMPLATE_CHARS:
        raise InvalidValue("the value (not shown) is too long", f"at most {MAX_TEMPLATE_CHARS} characters")
    return TemplateFromReference(text) if is_hidden else Template(text)


def placeholders(template: Secret) -> set[str]:
    """Return the names of the placeholders of a template."""
    return set(_PLACEHOLDER.findall(template.reveal()))


def render(text: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """Replace each placeholder of a template's text by its escaped value, in one pass.

    Raises:
        NotRenderable: A value cannot be expressed in this context.
    """
    try:
        parts = _PLACEHOLDER.split(text)
        return "".join(escape(values[part]) if index % 2 else part for index, part in enumerate(parts))
    except UnicodeEncodeError:  # a lone surrogate
        raise NotRenderable from None


def escape_url(value: str) -> str:
    """Percent-encode everything but unreserved characters. A value that is a dot segment is refused."""
    if value in (".", ".."):
        raise NotRenderable
    return quote(value, safe="")


def escape_header(value: str) -> str:
    """Return a value that is printable ASCII; refuse any other."""
    if _NOT_IN_HEADER.search(value):
        raise NotRenderable
    return value


def _escape_form(value: str) -> str:
    return quote(value, safe="")


def _escape_json(value: str) -> str:
    return msgspec.json.encode(value).decode()[1:-1]


def _escape_xml(value: str) -> str:
    if _NOT_IN_XML.search(value):
        raise NotRenderable
    return value.translate(_XML_REFERENCES)


def _escape_nothing(value: str) -> str:
    value.encode()  # raises for half a character
    return value


BODY_ESCAPES: Final[Mapping[BodyFormat, Callable[[str], str]]] = MappingProxyType(
    {"json": _escape_json, "form": _escape_form, "xml": _escape_xml, "text": _escape_nothing}
)


def body_fault(text: str, body_format: BodyFormat) -> str | None:
    """Describe why values could not be escaped in this template of a body; None if they can be."""
    if body_format == "json":
        return None if _is_json(_PLACEHOLDER.sub(_STAND_IN, text)) else "not JSON with every placeholder in quotes"
    if body_format == "form" and any(map(_NOT_IN_FORM.search, _literals(text.strip()))):
        return "a character that a form cannot contain; write it as %XX"
    return _xml_fault(text) if body_format == "xml" else None


def _literals(text: str) -> Iterator[str]:
    yield from _PLACEHOLDER.split(text)[::2]


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return True


def _xml_fault(text: str) -> str | None:
    if "<!" in text:
        return "<! (a comment, CDATA or a document type)"
    is_tag, quotation = False, ""
    for index, part in enumerate(_PLACEHOLDER.split(text)):
        if index % 2:
            if is_tag and not quotation:
                return "a placeholder in a tag, outside of a quoted attribute"
            continue
        is_tag, quotation = _xml_state(part, is_tag=is_tag, quotation=quotation)
    return "a tag without an end" if is_tag else None


def _xml_state(literal: str, *, is_tag: bool, quotation: str) -> tuple[bool, str]:
    """Return whether a tag is open after a literal, and with which quotation mark an attribute of it is."""
    for char in literal:
        if quotation:
            quotation = "" if char == quotation else quotation
        elif is_tag and char in "\"'":
            quotation = char
        elif char in "<>":
            is_tag = char == "<"
    return is_tag, quotation
