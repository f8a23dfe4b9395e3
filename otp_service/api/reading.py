"""Requests are read strictly and once: from bytes to the struct of the route, or to what is wrong with them."""

from __future__ import annotations

import re
from typing import Any, Final, cast

import msgspec
from litestar import Request

from otp_service.api.access import Principal
from otp_service.api.edge import FACTS
from otp_service.domain.errors import FieldMistake, Reason, Refused
from otp_service.observability import redact
from otp_service.service import OtpService

__all__ = ["StrictRequest", "malformed", "reads"]

_AT: Final = re.compile(r" - at `(?P<path>.*)`$")
_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")
_NAMED: Final = re.compile(r"(?:missing required|unknown) field `(?P<name>.*)`", re.DOTALL)
_VALUE: Final = re.compile(r"Invalid enum value .*")
_NAME_CHARACTERS: Final = 64
_BODY: Final = "body"
_DECODERS: Final[dict[type[Any], msgspec.json.Decoder[Any]]] = {}


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
        """Decode by the route's decoder; raises `Refused` (`request_malformed`)."""
        try:
            return _DECODERS[self.route_handler.opt[_BODY]].decode(await self.body())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise malformed(problem) from None


def malformed(problem: Exception) -> Refused:
    """Say where a body is wrong. What was found there is not repeated: it may be a number or a code."""
    if not isinstance(problem, msgspec.ValidationError):
        return Refused(Reason.REQUEST_MALFORMED, "The body is not JSON.", mistakes=(FieldMistake("", "is not JSON"),))
    text = str(problem)
    at = _AT.search(text)
    pointer = "".join(f"/{name or index}" for name, index in _STEP.findall(at["path"] if at else ""))
    detail = _VALUE.sub("is not one of the values that are allowed", _AT.sub("", text))
    if named := _NAMED.search(detail):
        pointer += "/" + redact(named["name"][:_NAME_CHARACTERS]).replace("~", "~0").replace("/", "~1")
        detail = "is required" if "required" in detail else "is not known here"
    return Refused(
        Reason.REQUEST_MALFORMED, "The body is not as it should be.", mistakes=(FieldMistake(pointer, detail),)
    )
