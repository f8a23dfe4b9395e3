"""Requests are read strictly and once: from bytes to the struct of the route, or to what is wrong with them.

A good body is read by msgspec alone, but for one look at whether a member stands twice in it. What is wrong with
another one is found out here, member by member, and never read out of the words of msgspec's error: they repeat what
was sent, so whoever sends it could write them. All of it takes time in proportion to the body, which the edge bounds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeVar, cast

import msgspec
from litestar import Request
from msgspec.structs import FieldInfo

from otp_service.api.auth import Principal
from otp_service.api.middleware import FACTS
from otp_service.api.schemas import WANTED
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.service import OtpService

__all__ = ["StrictRequest", "read_body", "reads"]

Body = TypeVar("Body", bound=msgspec.Struct)

_BODY: Final = "body"
_DECODERS: Final[dict[type[Any], msgspec.json.Decoder[Any]]] = {}
_ANY: Final = msgspec.json.Decoder(dict[str, Any])
_BOM: Final = b"\xef\xbb\xbf"
"""Some writers put it in front of their UTF-8; RFC 8259 section 8.1 lets a reader pass over it."""

_NO_JSON: Final = "Send a JSON object in UTF-8."
_UNSAID: Final = "Send what the document at /schema says."
_MEMBER_CHARACTERS: Final = 32
_MEMBER_DIGITS: Final = 3
"""Digits in a member's name that is told again: more may be a part of a number or a code."""


def reads(body: type[Any]) -> dict[str, Any]:
    """Make the `opt` of a route whose body is `body`."""
    _DECODERS.setdefault(body, msgspec.json.Decoder(body))
    return {_BODY: body}


class StrictRequest(Request[Any, Any, Any]):
    """A request as the edge has judged it: its body is in memory and small, its key is known."""

    @property
    def _edge(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.scope)

    @property
    def service(self) -> OtpService:
        """The use cases."""
        return cast("OtpService", self.app.state.service)

    @property
    def principal(self) -> Principal:
        """Who calls."""
        return cast("Principal", self._edge["otp.principal"])

    @property
    def client_address(self) -> str | None:
        """Where the call comes from, behind trusted proxies."""
        return cast("str | None", self._edge["otp.client"])

    @property
    def request_id(self) -> str:
        """The id that the reply carries too."""
        return cast("str", self._edge.get("otp.request_id", ""))

    @property
    def facts(self) -> dict[str, Any]:
        """What the request's log line will say."""
        return cast("dict[str, Any]", self._edge[FACTS])

    @property
    def raw_body(self) -> bytes:
        """The bytes that the edge has read, whatever they are."""
        return cast("bytes", self._edge.get("otp.body", b""))

    async def body(self) -> bytes:
        """Give the bytes that the edge has read and measured."""
        return self.raw_body or b" "  # Litestar would not decode an empty body

    async def json(self) -> Any:
        """Decode as the route's body; raises `Refused` (`request_malformed`)."""
        return read_body(self.route_handler.opt[_BODY], self.raw_body)


def read_body(kind: type[Body], raw: bytes) -> Body:
    """Decode `raw` as a `kind` that `reads` was told of; raises `Refused` (`request_malformed`)."""
    raw = raw.removeprefix(_BOM)
    body: Body | None = None
    try:
        body = _DECODERS[kind].decode(raw)
    except msgspec.ValidationError:
        pass  # why is found out below
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed("", _NO_JSON) from None
    if body is not None and _surely_once(raw):
        return body
    members = _members(raw)
    if body is None or len(dict(members)) != len(members):
        raise _malformed(*_mistake(kind, members))
    return body


def _surely_once(raw: bytes) -> bool:
    """Say of a good body whether its quotes are just those of distinct members: the cheap look that nearly all pass."""
    if b"\\" in raw:
        return False
    members = _ANY.decode(raw)
    strings = len(members) + list(map(type, members.values())).count(str)
    return raw.count(b'"') == 2 * strings


def _members(raw: bytes) -> tuple[tuple[str, Any], ...]:
    """List the members of an object as they stand there, doubled ones too; raises `Refused` for anything else."""
    try:
        members = _PAIRS.decode(raw.decode())
    except (ValueError, RecursionError):
        raise _malformed("", _NO_JSON) from None
    if not isinstance(members, tuple):
        raise _malformed("", "Send a JSON object.")
    return members


def _mistake(kind: type[msgspec.Struct], members: tuple[tuple[str, Any], ...]) -> tuple[str, str]:
    """Find the first member that is wrong, or else the first that is missing: its pointer and what to send."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    seen = set()
    for name, value in members:
        if name not in fields:
            return _pointer(name), f"Leave it out: the members are {', '.join(fields)}."
        if name in seen:
            return f"/{name}", "Send it once."
        seen.add(name)
        if not _fits(value, fields[name]):
            return f"/{name}", WANTED.get(name, _UNSAID)
    return _missing(fields, seen)


def _missing(fields: Mapping[str, FieldInfo], seen: set[str]) -> tuple[str, str]:
    name = next((name for name, field in fields.items() if field.required and name not in seen), None)
    return ("", _UNSAID) if name is None else (f"/{name}", "is required")


def _fits(value: Any, field: FieldInfo) -> bool:
    try:
        msgspec.convert(value, field.type, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _pointer(name: str) -> str:
    """Point at a member that is not ours, unless its name may hold a number or anything but a name."""
    harmless = len(name) <= _MEMBER_CHARACTERS and name.isascii() and name.replace("-", "_").isidentifier()
    return f"/{name}" if harmless and sum(map(str.isdigit, name)) <= _MEMBER_DIGITS else ""


def _malformed(pointer: str, detail: str) -> Refused:
    return Refused(
        Reason.REQUEST_MALFORMED,
        "Correct the body: `errors` says what to send.",
        mistakes=(FieldError(pointer, detail),),
    )


def _number(_written: str) -> int:
    """Stand for any number: no member takes one, and reading it would take its time."""
    return 0


def _no_number(_written: str) -> NoReturn:
    """Refuse NaN and Infinity, which are no JSON."""
    raise ValueError


_PAIRS: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=_number, parse_float=_number, parse_constant=_no_number
)
"""Gives objects as tuples of pairs; arrays stay lists."""
