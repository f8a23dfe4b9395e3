"""The protocol of the Cloud API: a JSON request with a Bearer token, JSON responses.

An accepted message is HTTP 200 with `messages[0].id`. Its `message_status` may be `held_for_quality_assessment` or
`paused`: WhatsApp sends the message later, or drops it and reports that by a webhook. A refusal is a 4xx or 5xx with
`error.code`; Meta asks to build error handling on that code and on no text.

The id of a message (`wamid`) is base64 and contains the recipient's number, so only a hash of it is kept.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final
from urllib.parse import quote

import msgspec

from otp_service.domain.locale_matching import country_language
from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import json_object, parse_integer
from otp_service.providers.responses import is_success, retry_after_seconds, undocumented_response
from otp_service.providers.whatsapp import result_codes
from otp_service.providers.whatsapp.config import WhatsappConfig

__all__ = ["JSON", "hashed_id", "messages_url", "parse_send_response", "send_body"]

JSON: Final = "application/json"
HASH_CHARS: Final = 32


def messages_url(config: WhatsappConfig) -> str:
    """Return the URL to which messages are posted.

    With the app's secret it has the proof that who uses an access token knows that secret (`appsecret_proof`, "Secure
    Graph API Calls"): an app that demands it cannot be used with a stolen token alone.
    """
    url = f"{config.base_url.rstrip('/')}/{config.api_version}/{quote(config.phone_number_id, safe='')}/messages"
    if config.app_secret is None or not config.appsecret_proof:
        return url
    key, token = config.app_secret.reveal().encode(), config.access_token.reveal().encode()
    return f"{url}?appsecret_proof={hmac.new(key, token, hashlib.sha256).hexdigest()}"


def send_body(config: WhatsappConfig, outbound: OutboundMessage) -> bytes:
    """Build the request of a message: the code is the parameter of the text and of its button.

    Without a locale, the template has the language of the number's country, as an SMS has. The same request serves
    templates with a copy-code, a one-tap and a zero-tap button. Webhooks about the message return
    `biz_opaque_callback_data`, which WhatsApp does not process.
    """
    template = config.template_for(outbound.locale or country_language(outbound.country))
    code = [{"type": "text", "text": outbound.code}]
    message = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": outbound.to.removeprefix("+"),
        "type": "template",
        "template": {
            "name": template.name,
            "language": {"code": template.language},
            "components": [
                {"type": "body", "parameters": code},
                {"type": "button", "sub_type": "url", "index": "0", "parameters": code},
            ],
        },
        "biz_opaque_callback_data": outbound.message_id,
    }
    return msgspec.json.encode(message)


def parse_send_response(response: GatewayResponse | Outcome) -> SendResult:
    """Classify the response to a message."""
    if isinstance(response, Outcome):
        return SendResult(response)
    document = json_object(response.body)
    if is_success(response.status):
        message_id = _message_id(document)
        return SendResult(Outcome.ACCEPTED, hashed_id(message_id)) if message_id else SendResult(Outcome.AMBIGUOUS)
    error = document.get("error")
    code = parse_integer(error.get("code")) if isinstance(error, dict) else None
    if code is None or response.status < 400:
        return undocumented_response(response)
    return _refusal(code, response)


def hashed_id(wamid: str) -> str:
    """Return what is kept of WhatsApp's id of a message."""
    return hashlib.sha256(wamid.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARS]


def _message_id(document: dict[str, Any]) -> str:
    messages = document.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    message_id = first.get("id") if isinstance(first, dict) else None
    return message_id if isinstance(message_id, str) else ""


def _refusal(code: int, response: GatewayResponse) -> SendResult:
    """Return the result of an error code. A code that is not listed was refused, unless the server failed."""
    outcome = result_codes.outcome_of(code)
    if code == result_codes.API_UNKNOWN:
        return SendResult(Outcome.AMBIGUOUS)
    if outcome is None:
        is_refused = 400 <= response.status < 500 and response.status not in (401, 408, 429)
        return SendResult.undocumented() if is_refused else undocumented_response(response)
    concerns_account = code in result_codes.ACCOUNT_ERRORS or code in result_codes.PERMISSION_ERRORS
    if outcome is Outcome.CONFIG_ERROR and not concerns_account:
        return SendResult.undocumented()
    pauses_provider = outcome.retryable and code != result_codes.PAIR_RATE_LIMIT
    return SendResult(outcome, retry_after=retry_after_seconds(response.headers) if pauses_provider else None)
