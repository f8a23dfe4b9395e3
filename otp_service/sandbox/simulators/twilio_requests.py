"""Parse and check a request to create a message at Twilio."""

from __future__ import annotations

import re
from typing import Final

from otp_service.sandbox.simulators.form_decoding import FORM, InvalidRequest, decode_form
from otp_service.sandbox.simulators.http_server import Request

__all__ = ["FORM", "InvalidRequest", "TwilioRefused", "check_parameters", "parse_form"]

MAX_BODY_CHARS: Final = 1600
MAX_VALIDITY_SECONDS: Final = 36_000
MAX_URL_CHARS: Final = 4000
PARAMETERS: Final = frozenset({"To", "From", "MessagingServiceSid", "Body", "ValidityPeriod", "StatusCallback"})

_E164: Final = re.compile(r"\+[1-9][0-9]{7,14}")
_SERVICE_SID: Final = re.compile(r"MG[0-9a-f]{32}")
_URL: Final = re.compile(r"https?://(?P<host>[A-Za-z0-9.:\[\]-]+)(?:/[!-~]*)?")
_INTEGER: Final = re.compile(r"[0-9]{1,6}")


class TwilioRefused(Exception):
    """Twilio refuses the request with this error code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def parse_form(request: Request) -> dict[str, str]:
    """Parse the form of a request; raise `InvalidRequest` if it is not encoded as it must be."""
    if request.query or request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest("Send a form and no query.")
    fields = decode_form(request.body.decode("latin-1"))
    if unknown := fields.keys() - PARAMETERS:
        raise InvalidRequest(f"Unknown parameters: {', '.join(sorted(unknown))}")
    return fields


def check_parameters(fields: dict[str, str]) -> None:
    """Check the parameters in Twilio's order: recipient, sender, text, then the rest; raise `TwilioRefused`."""
    if not _E164.fullmatch(fields.get("To", "")):
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
    callback = fields.get("StatusCallback")
    if callback is not None and (len(callback) > MAX_URL_CHARS or not _URL.fullmatch(callback)):
        raise TwilioRefused(21609)
