"""The SMS Hub protocol: the bodies of a login and of a message, and how their responses are read.

A login returns a JWT in a JSON string. The response to a message is an opaque string: the hub's samples look only at
the HTTP status, so every 2xx is acceptance here. The exception is an HTML page, which the hub never sends: it comes
from a server in front of the hub, which may have forwarded the message.
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import body_text, json_object, json_value
from otp_service.providers.responses import is_html_page, is_success, remove_echoed_message, retry_after_seconds
from otp_service.providers.smshub import result_codes
from otp_service.providers.smshub.config import SmshubConfig

__all__ = [
    "FORM",
    "JSON",
    "Token",
    "login_body",
    "message_body",
    "parse_login_response",
    "parse_send_response",
    "subscriber_body",
]

JSON: Final = "application/json; charset=utf-8"
FORM: Final = "application/x-www-form-urlencoded"

RENEWAL_MARGIN_SECONDS: Final = 300
"""A token is no longer used this long before it expires."""

_PADDING: Final = " \t\r\n\0\ufeff"
_JWT: Final = re.compile(r"[A-Za-z0-9_=-]+\.([A-Za-z0-9_=-]+)\.[A-Za-z0-9_=-]+")


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """The JWT of one login, used until `usable_until` (Unix seconds).

    Tokens are compared by identity, because two logins may return the same JWT.
    """

    jwt: Secret
    usable_until: float


def login_body(config: SmshubConfig, *, as_form: bool) -> bytes:
    """Build the body of a login, as a form or as JSON."""
    fields = {"ProgramSID": config.program_sid.reveal(), "ProgramKey": config.program_key.reveal()}
    return urlencode(fields).encode() if as_form else msgspec.json.encode(fields)


def message_body(config: SmshubConfig, outbound: OutboundMessage) -> bytes:
    """Build the body of a message."""
    message = {"Message": outbound.text, "PhoneNumber": outbound.to.removeprefix("+")}
    if config.program_id:
        message["ProgramId"] = config.program_id
    return msgspec.json.encode(message)


def subscriber_body(to: str) -> bytes:
    """Build the body that ends the opt-out of a number."""
    return msgspec.json.encode({"PhoneNumber": to.removeprefix("+"), "DoNotText": False})


def parse_send_response(response: GatewayResponse | Outcome, message_text: str = "") -> SendResult:
    """Classify the response to a message whose text, `message_text`, an error text may echo."""
    if isinstance(response, Outcome):
        return SendResult(response)
    if is_success(response.status):
        return SendResult(Outcome.AMBIGUOUS if is_html_page(body_text(response.body)) else Outcome.ACCEPTED)
    if response.status in (400, 403):
        return _refusal(response, message_text)
    if 400 <= response.status < 500 and response.status not in result_codes.STATUS_OUTCOMES:
        return SendResult.undocumented()
    outcome = result_codes.STATUS_OUTCOMES.get(response.status, Outcome.AMBIGUOUS)
    if response.status == 503 and "retry-after" in response.headers:  # the sender did not forward the request
        outcome = Outcome.TRANSIENT
    return SendResult(outcome, retry_after=retry_after_seconds(response.headers) if outcome.retryable else None)


def parse_login_response(response: GatewayResponse | Outcome) -> Token | SendResult:
    """Read the token of a login, or classify the failure; a failed login has sent nothing.

    The expiry (`exp`) is read without verifying the token's signature, because it only says when to log in again. A
    token without one is used until the hub refuses it. A 2xx without a token means that the hub does not know the
    program, as its samples show.
    """
    if isinstance(response, Outcome):
        return SendResult(Outcome.TRANSIENT)
    if is_success(response.status):
        jwt = _JWT.fullmatch(_unquoted(response.body))
        if jwt:
            return Token(Secret(jwt[0]), _expiry(jwt[1]) - RENEWAL_MARGIN_SECONDS)
        is_page = is_html_page(body_text(response.body))
        return SendResult.undocumented() if is_page else SendResult(Outcome.CONFIG_ERROR)
    if response.status == 429:
        return SendResult(Outcome.THROTTLED, retry_after=retry_after_seconds(response.headers))
    if response.status == 408 or response.status >= 500:
        return SendResult(Outcome.TRANSIENT, retry_after=retry_after_seconds(response.headers))
    return SendResult(Outcome.CONFIG_ERROR) if response.status == 401 else SendResult.undocumented()


def _refusal(response: GatewayResponse, message_text: str) -> SendResult:
    """Classify a 400 or a 403 by its error text.

    A page comes from a web server and says nothing about the number. Error texts about our program are assumed. Both
    count as failures of the provider, and do not open its circuit at once.
    """
    error_text = remove_echoed_message(body_text(response.body), message_text)
    outcome = result_codes.refusal(response.status, error_text)
    if error_text.startswith("<") or outcome is Outcome.CONFIG_ERROR:
        return SendResult.undocumented()
    return SendResult(outcome)


def _unquoted(body: bytes) -> str:
    """Decode a JSON string; otherwise remove quotes and backslashes, as the hub's C# sample does."""
    text = json_value(body)
    if not isinstance(text, str):
        text = body_text(body)
    return text.replace("\\", "").replace('"', "").strip(_PADDING)


def _expiry(payload: str) -> float:
    """Return `exp` of a JWT's payload in Unix seconds; infinity without one."""
    try:
        claims = json_object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return math.inf
