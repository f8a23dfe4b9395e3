"""Decode JSON bodies strictly: to the struct of the endpoint, or to an error that says what to send.

msgspec decodes a valid body; one more pass finds members that occur twice. If the body is not valid, this module finds
the wrong member itself. It does not use the text of msgspec's error, which repeats what was sent and so could be chosen
by the sender. All of it takes time proportional to the body, whose size the middleware limits.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeVar, get_args

import msgspec
from msgspec.structs import FieldInfo

from otp_service.api.members import EXPECTED_VALUES
from otp_service.api.schemas import EXACTLY_ONE
from otp_service.domain.errors import FieldError, Reason, Refused

__all__ = ["decode_body"]

Body = TypeVar("Body", bound=msgspec.Struct)

_ANY_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Some clients put it in front of UTF-8; RFC 8259 section 8.1 allows a parser to ignore it."""

_NOT_JSON: Final = "Send a JSON object in UTF-8."
_SEE_SCHEMA: Final = "Send what the document at /schema describes."
_MAX_NAME_CHARACTERS: Final = 32
_MAX_NUMBER_DIGITS: Final = 9
_MAX_NAME_DIGITS: Final = 3
"""A member name with more digits is not repeated in an error: it may contain a phone number or a code."""


@functools.cache
def _decoder(kind: type[Body]) -> msgspec.json.Decoder[Body]:
    return msgspec.json.Decoder(kind)


def decode_body(kind: type[Body], raw: bytes) -> Body:
    """Decode a JSON body to a struct of type `kind`.

    Raises:
        Refused: `request_malformed`, with the pointer of the first wrong member and what to send there.
    """
    raw = raw.removeprefix(_BYTE_ORDER_MARK)
    body: Body | None = None
    try:
        body = _decoder(kind).decode(raw)
    except msgspec.ValidationError:
        pass  # the wrong member is found below
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed("", _NOT_JSON) from None
    if body is not None and (kind not in EXACTLY_ONE or _has_exactly_one(body)) and _has_unique_members(raw):
        return body
    error = _first_error(kind, _members(raw))
    if body is None or error is not None:
        raise _malformed(*(error or ("", _SEE_SCHEMA)))
    return body


def _has_exactly_one(body: msgspec.Struct) -> bool:
    """Return whether the body has one of the members that `EXACTLY_ONE` lists for its type, which is in it."""
    first, second = EXACTLY_ONE[type(body)]
    return (getattr(body, first) is msgspec.UNSET) != (getattr(body, second) is msgspec.UNSET)


def _has_unique_members(raw: bytes) -> bool:
    """Return True if no member of a valid body occurs twice; False if this quick check cannot decide it.

    Nearly all bodies pass: they have no escapes, and no more quotes than their distinct members need.
    """
    if b"\\" in raw:
        return False
    members = _ANY_OBJECT.decode(raw)
    strings = len(members) + list(map(type, members.values())).count(str)
    return raw.count(b'"') == 2 * strings


def _members(raw: bytes) -> tuple[tuple[str, Any], ...]:
    """Return the members of a JSON object in their order, repeated ones included. Raises `Refused`."""
    try:
        members = _PAIRS_DECODER.decode(raw.decode())
    except (ValueError, RecursionError):
        raise _malformed("", _NOT_JSON) from None
    if not isinstance(members, tuple):
        raise _malformed("", "Send a JSON object.")
    return members


def _first_error(
    kind: type[msgspec.Struct], members: tuple[tuple[str, Any], ...], path: str = ""
) -> tuple[str, str] | None:
    """Return pointer and text for the first wrong member, or else for the first missing one; None if all are right.

    `path` is the pointer of the object that has the members.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    seen = set()
    for name, value in members:
        if name not in fields:
            return _pointer(name, path), f"Leave it out: the members are {', '.join(fields)}."
        if name in seen:
            return f"{path}/{name}", "Send it once."
        seen.add(name)
        if isinstance(value, tuple) and (nested := _struct_of(fields[name])):
            if error := _first_error(nested, value, f"{path}/{name}"):
                return error
        elif not _is_valid(value, fields[name]):
            return f"{path}/{name}", EXPECTED_VALUES.get(name, _SEE_SCHEMA)
    return _missing(EXACTLY_ONE.get(kind, ()), fields, seen, path)


def _struct_of(field: FieldInfo) -> type[msgspec.Struct] | None:
    """Return the struct of a member that is an object, None for another member."""
    kinds = (field.type, *get_args(field.type))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)), None)


def _missing(
    one_of: tuple[str, ...], fields: Mapping[str, FieldInfo], seen: set[str], path: str
) -> tuple[str, str] | None:
    given = [name for name in one_of if name in seen]
    if one_of and not given:
        return f"/{one_of[0]}", f"Send this member, or `{one_of[1]}`."
    if len(given) > 1:
        return f"/{given[1]}", f"Leave it out, or leave out `{given[0]}`."
    name = next((name for name, field in fields.items() if field.required and name not in seen), None)
    return None if name is None else (f"{path}/{name}", "Send this member; it is required.")


def _is_valid(value: Any, field: FieldInfo) -> bool:
    try:
        msgspec.convert(value, field.type, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _pointer(name: str, path: str) -> str:
    """Return the pointer of an unknown member, or `path` if its name is not a plain one or may contain a number."""
    is_plain = len(name) <= _MAX_NAME_CHARACTERS and name.isascii() and name.replace("-", "_").isidentifier()
    return f"{path}/{name}" if is_plain and sum(map(str.isdigit, name)) <= _MAX_NAME_DIGITS else path


def _malformed(pointer: str, detail: str) -> Refused:
    return Refused(
        Reason.REQUEST_MALFORMED,
        "Correct the body: `errors` says what to send.",
        field_errors=(FieldError(pointer, detail),),
    )


def _parse_int(digits: str) -> int:
    """Return a number, or 0 for a long one: no member allows it, and parsing it takes time."""
    return int(digits) if len(digits) <= _MAX_NUMBER_DIGITS else 0


def _ignore_float(_digits: str) -> float:
    """Return 0 for every number with a fraction or an exponent: no member is one."""
    return 0.0


def _reject_constant(_name: str) -> NoReturn:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ValueError


_PAIRS_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=_parse_int, parse_float=_ignore_float, parse_constant=_reject_constant
)
"""Decodes objects to tuples of pairs; arrays become lists."""
