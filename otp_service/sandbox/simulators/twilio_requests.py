"""Parse and check a request to create a message at Twilio; calls are checked with the same parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from otp_service.sandbox.simulators.form_decoding import FORM, InvalidRequest, decode_form
from otp_service.sandbox.simulators.http_server import Request

__all__ = [
    "FORM",
    "InvalidRequest",
    "TwilioRefused",
    "check_callback_url",
    "check_parameters",
    "form_text",
    "is_number",
    "parse_form",
    "refuse_unknown",
]

MAX_BODY_CHARS: Final = 1600
MAX_VALIDITY_SECONDS: Final = 36_000
MAX_URL_CHARS: Final = 4000
PARAMETERS: Final = frozenset(
    {"To", "From", "MessagingServiceSid", "Body", "ValidityPeriod", "StatusCallback", "ProvideFeedback"}
)

_E164: Final = re.compile(r"\+[1-9][0-9]{7,14}")
_SERVICE_SID: Final = re.compile(r"MG[0-9a-f]{32}")
_URL: Final = re.compile(r"https?://(?P<host>[A-Za-z0-9.:\[\]-]+)(?:/[!-~]*)?")
_INTEGER: Final = re.compile(r"[0-9]{1,6}")


class TwilioRefused(Exception):
    """Twilio refuses the request with this error code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def is_number(text: str) -> bool:
    """Whether a text is a number in E.164."""
    return _E164.fullmatch(text) is not None


def form_text(request: Request) -> str:
    """Return the encoded form of a request; raise `InvalidRequest` if it is not one."""
    if request.query or request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest("Send a form and no query.")
    return request.body.decode("latin-1")


def parse_form(request: Request) -> dict[str, str]:
    """Parse the form of a request; raise `InvalidRequest` if it is not encoded as it must be."""
    fields = decode_form(form_text(request))
    refuse_unknown(fields, PARAMETERS)
    return fields


def refuse_unknown(names: Iterable[str], known: frozenset[str]) -> None:
    """Raise `InvalidRequest` if there is a parameter that is not known."""
    if unknown := set(names) - known:
        raise InvalidRequest(f"Unknown parameters: {', '.join(sorted(unknown))}")


def check_parameters(fields: dict[str, str]) -> None:
    """Check the parameters in Twilio's order: recipient, sender, text, then the rest; raise `TwilioRefused`."""
    if not is_number(fields.get("To", "")):
        raise TwilioRefused(21211)
    if not fields.get("From") and "MessagingServiceSid" not in fields:
        raise TwilioRefused(21603)
    if "MessagingServiceSid" in fields and not _SERVICE_SID.fullmatch(fields["MessagingServiceSid"]):
        raise TwilioRefused(21705)
    if not fields.get("Body"):
        raise TwilioRefused(21602)
    if len(fields["Body"]) > MAX_BODY_CHARS:
        raise TwilioRefused(21617)
    validity = fields.get("ValidityPeriod", str(MAX_VALIDITY_SECONDS))
    if not _INTEGER.fullmatch(validity) or not 1 <= int(validity) <= MAX_VALIDITY_SECONDS:
        raise TwilioRefused(21624)
    check_callback_url(fields.get("StatusCallback"))
    if fields.get("ProvideFeedback", "true") not in ("true", "false"):
        raise InvalidRequest("ProvideFeedback must be true or false.")


def check_callback_url(url: str | None) -> None:
    """Raise `TwilioRefused` for a `StatusCallback` that Twilio cannot call."""
    if url is not None and (len(url) > MAX_URL_CHARS or not _URL.fullmatch(url)):
        raise TwilioRefused(21609)
