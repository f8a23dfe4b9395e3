"""The request of an `http` provider as its templates describe it, and what its conditions say about a response."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlsplit

from otp_service.domain.message import Balance, OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.phone import PhoneNumber
from otp_service.providers.http.charge import read_charge
from otp_service.providers.http.conditions import Reply, are_met
from otp_service.providers.http.config import BalanceQuery, HttpConfig
from otp_service.providers.http.json_pointer import MISSING, resolve, scalar_text
from otp_service.providers.http.request_template import (
    BODY_ESCAPES,
    MESSAGE_PLACEHOLDERS,
    BodyFormat,
    escape_header,
    escape_url,
    placeholders,
    render,
)
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.responses import MAX_ID_CHARS, is_success, retry_after_seconds, undocumented_response
from otp_service.providers.sender_ids import sender_for

__all__ = ["GatewayRequest", "balance_request", "build_request", "parse_balance_response", "parse_send_response"]

MAX_AMOUNT_CHARS: Final = 32

_MEDIA_TYPES: Final[Mapping[BodyFormat, str]] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "xml": "application/xml; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}
_AMOUNT: Final = re.compile(r"-?(?:[0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(?:\.[0-9]{1,15})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """A request that is ready to be sent. Its `repr` shows the method only: the rest has credentials and the code."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None

    def __repr__(self) -> str:
        """Show the method."""
        return f"GatewayRequest({self.method})"


def build_request(config: HttpConfig, outbound: OutboundMessage) -> GatewayRequest:
    """Build the request for a message.

    Raises:
        NotRenderable: A value of the message cannot be expressed in its context.
    """
    values = _secret_values(config) | _message_values(config, outbound)
    url = _url(config.base_url, render(config.url.reveal(), values, escape_url))
    for name, template in config.query.items():
        value = render(template.reveal(), values, BODY_ESCAPES["form"])
        url += f"{'&' if '?' in url else '?'}{quote(name, safe='')}={value}"
    headers = {name: render(value.reveal(), values, escape_header) for name, value in config.headers.items()}
    kind = config.kind_of_body
    if config.body is None or kind is None:
        return GatewayRequest(config.method, url, headers | _authorization(config))
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = _MEDIA_TYPES[kind]
    text = config.body.reveal()
    body = render(text.strip() if kind == "form" else text, values, BODY_ESCAPES[kind])
    return GatewayRequest(config.method, url, headers | _authorization(config), body.encode())


def balance_request(config: HttpConfig, balance: BalanceQuery) -> GatewayRequest:
    """Build the request for the balance, with every header that names no fact of a message."""
    values = _secret_values(config)
    url = _url(config.base_url, render(balance.url.reveal(), values, escape_url))
    headers = {
        name: render(value.reveal(), values, escape_header)
        for name, value in config.headers.items()
        if not placeholders(value) & set(MESSAGE_PLACEHOLDERS) and name.lower() != "content-type"
    }
    return GatewayRequest("GET", url, headers | _authorization(config))


def parse_send_response(
    config: HttpConfig, response: GatewayResponse | Outcome, outbound: OutboundMessage
) -> SendResult:
    """Classify the response to a message: by the first rule that it meets, then as an acceptance, then by HTTP."""
    if isinstance(response, Outcome):
        return SendResult(response)
    reply = Reply(response, outbound.text)
    rule = next((rule for rule in config.outcomes if are_met(rule.when, reply)), None)
    outcome = Outcome(rule.outcome) if rule else Outcome.ACCEPTED if _is_accepted(config, reply) else None
    if outcome is None:
        return undocumented_response(response)
    if outcome is Outcome.ACCEPTED:
        charged, currency = read_charge(config.charged, reply.document)
        message_id = _message_id(config, reply, outbound)
        return SendResult(outcome, message_id, charged=charged, charged_currency=currency)
    return SendResult(outcome, retry_after=retry_after_seconds(response.headers) if outcome.retryable else None)


def parse_balance_response(
    config: HttpConfig, balance: BalanceQuery, response: GatewayResponse | Outcome
) -> Balance | Outcome:
    """Read the balance, or classify the failure; a response without a readable amount is ambiguous."""
    if isinstance(response, Outcome):
        return response
    reply = Reply(response)
    amount = _amount(scalar_text(resolve(reply.document, balance.amount))) if is_success(reply.status) else None
    if amount is not None:
        return Balance(amount, balance.currency or "")
    refusal = next((Outcome(rule.outcome) for rule in config.outcomes if are_met(rule.when, reply)), None)
    if refusal is not None and refusal is not Outcome.ACCEPTED:
        return refusal
    return undocumented_response(response).outcome


def _secret_values(config: HttpConfig) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in config.secrets.items()}


def _message_values(config: HttpConfig, outbound: OutboundMessage) -> dict[str, str]:
    """Return the value of every placeholder of `MESSAGE_PLACEHOLDERS`."""
    return {
        "to": _recipient(config.to_format, outbound),
        "text": outbound.text,
        "code": outbound.code,
        "message_id": outbound.message_id,
        "sender": sender_for(config.sender, config.sender_ids, outbound) or "",
        "brand": outbound.brand,
        "minutes": str(outbound.minutes),
        "expires_in": str(outbound.expires_in),
        "country": outbound.country,
        "receipt_url": outbound.receipt_url,
        "subject": outbound.subject,
        "html": outbound.html,
    }


def _recipient(to_format: str, outbound: OutboundMessage) -> str:
    """Write the number as the gateway expects it: +62812..., 62812..., 0812... or 812..."""
    match to_format:
        case "digits":
            return outbound.to.removeprefix("+")
        case "national_digits":
            return outbound.national_digits
        case "national":
            number = PhoneNumber(outbound.to, outbound.country, outbound.national_digits, "")
            return "".join(char for char in number.national if char in "0123456789")
    return outbound.to


def _url(base_url: str | None, url: str) -> str:
    """Put `base_url` before a path, or replace the scheme and host of a URL by it."""
    if base_url is None:
        return url
    if not url.startswith("/"):
        parts = urlsplit(url)
        url = url[len(f"{parts.scheme}://{parts.netloc}") :]
    return base_url.rstrip("/") + url


def _authorization(config: HttpConfig) -> dict[str, str]:
    """Return the header of Basic (RFC 7617) or Bearer (RFC 6750) authentication, if one is configured."""
    if config.bearer_token is not None:
        return {"Authorization": f"Bearer {config.bearer_token.reveal()}"}
    if config.username is not None and config.password is not None:
        pair = f"{config.username}:{config.password.reveal()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _is_accepted(config: HttpConfig, reply: Reply) -> bool:
    if config.accepted_when is not None:
        return are_met(config.accepted_when, reply)
    has_id = config.message_id is None or scalar_text(resolve(reply.document, config.message_id)) not in (None, "null")
    return is_success(reply.status) and not reply.is_page and has_id


def _message_id(config: HttpConfig, reply: Reply, outbound: OutboundMessage) -> str:
    """Return the gateway's id of the message; "" without one, or if it contains the number, which is not stored."""
    value: Any = MISSING if config.message_id is None else resolve(reply.document, config.message_id)
    text = scalar_text(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if text is None or (outbound.national_digits and outbound.national_digits in text):
        return ""
    return text[:MAX_ID_CHARS]


def _amount(text: str | None) -> Decimal | None:
    """Read an amount of money, with or without commas between thousands; None if it is not one."""
    if text is None or len(text) > MAX_AMOUNT_CHARS:
        return None
    text = text.strip()
    return Decimal(text.replace(",", "")) if _AMOUNT.fullmatch(text) else None
