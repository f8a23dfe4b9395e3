"""Parse and check a request to send a message through WhatsApp's Cloud API."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from otp_service.sandbox.simulators.http_server import Request

__all__ = ["JSON", "InvalidRequest", "SentTemplate", "WhatsappRefused", "parse_message"]

JSON: Final = "application/json"
MAX_CODE_CHARS: Final = 15
"""Longest value of a parameter of an authentication template."""

MAX_CALLBACK_DATA_CHARS: Final = 512

_NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)


class WhatsappRefused(Exception):
    """WhatsApp refuses the request with this error code."""

    def __init__(self, code: int, details: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.details = details


class InvalidRequest(Exception):
    """The request is one that no correct client sends; the text says why."""


class _Parameter(Struct, forbid_unknown_fields=True):
    type: Literal["text"]
    text: Annotated[str, Meta(min_length=1)]


class _Body(Struct, forbid_unknown_fields=True, tag_field="type", tag="body"):
    parameters: list[_Parameter]


class _Button(Struct, forbid_unknown_fields=True, tag_field="type", tag="button"):
    sub_type: Literal["url"]
    index: Literal["0"]
    parameters: list[_Parameter]


class _Language(Struct, forbid_unknown_fields=True):
    code: str


class _Template(Struct, forbid_unknown_fields=True):
    name: str
    language: _Language
    components: list[_Body | _Button]


class _Message(Struct, forbid_unknown_fields=True):
    messaging_product: Literal["whatsapp"]
    recipient_type: Literal["individual"]
    to: str
    type: Literal["template"]
    template: _Template
    biz_opaque_callback_data: Annotated[str, Meta(max_length=MAX_CALLBACK_DATA_CHARS)] = ""


class SentTemplate(Struct, frozen=True):
    """What a request asks for."""

    to: str
    name: str
    language: str
    code: str
    callback_data: str


def parse_message(request: Request) -> SentTemplate:
    """Parse the request of an authentication template.

    Raises:
        InvalidRequest: The body is not JSON with the members that are documented for such a template.
        WhatsappRefused: WhatsApp documents an error code for it.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise InvalidRequest("Send JSON.")
    try:
        message = msgspec.json.decode(request.body, type=_Message)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise InvalidRequest(str(problem)) from None
    if not _NUMBER.fullmatch(message.to):
        raise WhatsappRefused(131009, "to must be a phone number")
    texts = [parameter.text for component in message.template.components for parameter in component.parameters]
    kinds = [type(component) for component in message.template.components]
    if kinds != [_Body, _Button] or len(texts) != 2:
        raise WhatsappRefused(132000, "number of localizable_params does not match the expected number of params")
    if len(set(texts)) != 1 or len(texts[0]) > MAX_CODE_CHARS:
        raise WhatsappRefused(132012, "the parameters of the body and of the button must be the code")
    return SentTemplate(
        message.to, message.template.name, message.template.language.code, texts[0], message.biz_opaque_callback_data
    )
