"""Conditions on a gateway's response, as the configuration states them, and the outcome rules that consist of them.

A condition is about the value at a JSON pointer, the HTTP status (`status`) or the text of the body (`text`,
`text_contains`). Several conditions are met if each of them is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from otp_service.providers.config_fields import Table
from otp_service.providers.config_parsing import FieldContext, InvalidValue, Parse, invalid, shown
from otp_service.providers.http.json_pointer import MAX_POINTER_CHARS, MISSING, POINTER, resolve, scalar_text
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import body_text, json_value
from otp_service.providers.responses import is_html_page, remove_echoed_message

__all__ = ["Condition", "Conditions", "OutcomeRule", "Reply", "are_met"]

MAX_CONDITIONS: Final = 16
MAX_VALUES: Final = 64
MAX_VALUE_CHARS: Final = 255

_POINTER: Final = re.compile(POINTER)
_STATUS: Final = re.compile(r"[1-5](?:xx|[0-9]{2})", re.ASCII)


class Reply:
    """A response that conditions are about.

    Attributes:
        status: The HTTP status.
        document: The body as decoded JSON; `MISSING` if it is not JSON.
        text: The first 1,000 characters of the body, without white space around them and without the message's own
            text, which some gateways echo.
        is_page: Whether the body is an HTML page, which no gateway's API writes.
    """

    def __init__(self, response: GatewayResponse, message_text: str = "") -> None:
        """Read a response to the message with this text."""
        self.status = response.status
        decoded = json_value(response.body)
        self.document = MISSING if decoded is None else decoded
        body = body_text(response.body)
        self.text = remove_echoed_message(body, message_text).strip()
        self.is_page = is_html_page(body)


class Condition(Struct, frozen=True):
    """A condition on a response.

    Attributes:
        subject: A JSON pointer, or one of `status`, `text` and `text_contains`.
        allowed: The values that meet it; a number, true, false and null are written as JSON. Without any, a value at
            the pointer meets it that is neither false nor null.
    """

    subject: str
    allowed: tuple[str, ...] = ()

    def is_met(self, reply: Reply) -> bool:
        """Whether a response meets the condition."""
        match self.subject:
            case "status":
                return str(reply.status) in self.allowed or f"{reply.status // 100}xx" in self.allowed
            case "text":
                return reply.text in self.allowed
            case "text_contains":
                return any(fragment in reply.text for fragment in self.allowed)
        value = resolve(reply.document, self.subject)
        if not self.allowed:
            return value is not MISSING and value is not None and value is not False
        return scalar_text(value) in self.allowed


def are_met(conditions: tuple[Condition, ...], reply: Reply) -> bool:
    """Whether a response meets every condition."""
    return all(condition.is_met(reply) for condition in conditions)


def _conditions(raw: Any, _: FieldContext) -> tuple[Condition, ...]:
    """Read `"/result"`, `"/status=0"`, a list of these, or a table `{ status = 200, "/code" = [0, 1] }`."""
    if isinstance(raw, Mapping):
        conditions = tuple(_condition_of_member(subject, value) for subject, value in raw.items())
    else:
        conditions = tuple(map(_condition_of_text, raw if isinstance(raw, list | tuple) else [raw]))
    if not 0 < len(conditions) <= MAX_CONDITIONS:
        raise invalid(raw)
    return conditions


def _condition_of_text(raw: Any) -> Condition:
    if not isinstance(raw, str):
        raise invalid(raw)
    pointer, equals, text = raw.partition("=")
    allowed = (_bounded(text.lstrip("=").strip()),) if equals else ()
    return Condition(_pointer(pointer.strip()), allowed)


def _condition_of_member(subject: Any, raw: Any) -> Condition:
    values = raw if isinstance(raw, list | tuple) else [raw]
    if not 0 < len(values) <= MAX_VALUES:
        raise invalid(raw)
    read = _SUBJECTS.get(subject, _value)
    return Condition(subject if subject in _SUBJECTS else _pointer(subject), tuple(map(read, values)))


def _pointer(raw: Any) -> str:
    if isinstance(raw, str) and len(raw) <= MAX_POINTER_CHARS and _POINTER.fullmatch(raw):
        return raw
    raise InvalidValue(f"the pointer {shown(raw)} is not allowed", "a JSON pointer, such as /data/id")


def _value(raw: Any) -> str:
    if isinstance(raw, str):
        return _bounded(raw)
    if isinstance(raw, int | float):
        return json.dumps(raw)
    raise invalid(raw)


def _status(raw: Any) -> str:
    if isinstance(raw, int | str) and _STATUS.fullmatch(str(raw)):
        return str(raw)
    raise InvalidValue(f"the status {shown(raw)} is not allowed", 'an HTTP status, such as 400 or "4xx"')


def _fragment(raw: Any) -> str:
    if isinstance(raw, str) and raw.strip():
        return _bounded(raw)
    raise invalid(raw)


def _bounded(text: str) -> str:
    if len(text) > MAX_VALUE_CHARS:
        raise InvalidValue("the value is too long", f"at most {MAX_VALUE_CHARS} characters")
    return text


_SUBJECTS: Final[Mapping[str, Callable[[Any], str]]] = {
    "status": _status,
    "text": _fragment,
    "text_contains": _fragment,
}
"""What a condition may be about besides a pointer, and how its values are read."""

Conditions = Annotated[
    tuple[Condition, ...],
    Parse(_conditions, {"type": ["string", "array", "object"]}),
    Meta(
        description='a JSON pointer, "/pointer=value", or a table of pointers, status, text or text_contains and their '
        "values"
    ),
]

OutcomeName = Literal[
    "accepted", "recipient_invalid", "recipient_blocked", "destination_unsupported", "content_rejected",
    "config_error", "funds", "throttled", "transient", "ambiguous",
]  # fmt: skip


class OutcomeRule(Table, frozen=True, kw_only=True):
    """A response that meets `when` has this outcome."""

    when: Conditions
    outcome: OutcomeName
