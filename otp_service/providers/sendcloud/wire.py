"""The protocol of `/smsapi/send`: form parameters, the signature, and how a response is read.

A request is for one number. Its success is what `result`, `statusCode` and the counts agree on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import MAX_ERROR_TEXT_CHARS, json_object, parse_integer
from otp_service.providers.responses import (
    MAX_ID_CHARS,
    describes_unsupported_destination,
    parse_echoed_number,
    retry_after_seconds,
    undocumented_response,
)
from otp_service.providers.sendcloud import result_codes
from otp_service.providers.sendcloud.config import MAX_VARIABLE_CHARS, SendcloudConfig

__all__ = [
    "FORM",
    "parse_send_response",
    "rejects_timestamp",
    "send_body",
    "signature",
    "sms_id_without_number",
]

FORM: Final = "application/x-www-form-urlencoded"
MSG_TYPE_INTERNATIONAL: Final = "2"

_MAX_ITEMS: Final = 16
"""Items of a response that are examined: one message was sent."""

_TRUE: Final = ("true", "1")
_PLACEHOLDER: Final = re.compile(r"\{(code|brand|minutes)\}")


def send_body(config: SendcloudConfig, outbound: OutboundMessage, timestamp: str) -> bytes | None:
    """Build the form of a send; a space is `%20`.

    Args:
        config: The account, and the variant of the request (`mode`, `auth`).
        outbound: The message.
        timestamp: The time for a signed request.

    Returns:
        The body; None if the value of a template variable is too long, or if the message has an address, which no
        variable may contain.
    """
    message = _message_parameters(config, outbound)
    if message is None or (outbound.link and config.mode == "template"):
        return None
    if config.auth == "signature":
        parameters = _signed_parameters(config, message, timestamp)
    else:
        parameters = {"smsUser": config.sms_user, "smsKey": config.sms_key.reveal(), **message}
    return urlencode(parameters, quote_via=quote, safe="").encode()


def signature(parameters: Mapping[str, str], key: Secret) -> str:
    """Sign the parameters: the MD5 of `key&name=value&...&key`, sorted by name, with values that are not encoded."""
    pairs = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    secret = key.reveal()
    return hashlib.md5(f"{secret}&{pairs}&{secret}".encode(), usedforsecurity=False).hexdigest()


def rejects_timestamp(response: GatewayResponse | Outcome) -> bool:
    """Whether a request was refused because of its timestamp."""
    if isinstance(response, Outcome):
        return False
    return parse_integer(json_object(response.body).get("statusCode")) == result_codes.TIMESTAMP_ERROR


def parse_send_response(response: GatewayResponse | Outcome, to: str, country: str = "") -> SendResult:
    """Classify the response to a message for the number `to` (E.164) of `country`."""
    if isinstance(response, Outcome):
        return SendResult(response)
    document = json_object(response.body)
    code = parse_integer(document.get("statusCode"))
    if code is None:
        return undocumented_response(response)
    if code in (result_codes.SUCCESS, result_codes.PARTIAL, result_codes.NONE_SENT):
        denied = str(document.get("result", True)).strip().lower() not in _TRUE  # Aurora's schema has no `result`
        found = document.get("info")
        info = found if isinstance(found, dict) else {}
        refusal = _refusal_of_number(info.get("items"), to, country)
        return _counted_result(code, info, refusal, contradictory=denied or response.status >= 300)
    outcome = result_codes.STATUS_OUTCOMES.get(code, result_codes.unlisted_status(code))
    if outcome is Outcome.CONFIG_ERROR and describes_unsupported_destination(_bounded_text(document.get("message"))):
        return SendResult(Outcome.DESTINATION_UNSUPPORTED)
    if outcome is Outcome.CONFIG_ERROR and code not in result_codes.ACCOUNT_ERRORS:
        return SendResult.undocumented()
    is_throttled = outcome is Outcome.THROTTLED
    return SendResult(outcome, retry_after=retry_after_seconds(response.headers) if is_throttled else None)


def sms_id_without_number(sms_id: str) -> str:
    """Remove the phone number from the end of a message id (`<time>_<user>_...$<number>`)."""
    return sms_id.partition("$")[0][:MAX_ID_CHARS]


def _message_parameters(config: SendcloudConfig, outbound: OutboundMessage) -> dict[str, str] | None:
    """Return the message, the idempotency key, and the custom arguments that come back in webhooks."""
    if config.mode == "text":
        message = {"to": outbound.to, "message": outbound.text}
    else:
        values = _filled(config.variables, outbound)
        if any(len(value) > MAX_VARIABLE_CHARS for value in values.values()):
            return None
        message = {"templateId": str(config.template_id), "phone": outbound.to, "vars": _json(values)}
    if config.sender_id:
        message["senderID"] = config.sender_id
    custom_args = _json({"message_id": outbound.message_id})
    return message | {"sendRequestId": outbound.message_id, "customArgs": custom_args}


def _signed_parameters(config: SendcloudConfig, message: dict[str, str], timestamp: str) -> dict[str, str]:
    """Return the parameters as sendcloud.net names them, with their signature."""
    signed = {"smsUser": config.sms_user, **message, "tag": message["customArgs"], "timestamp": timestamp}
    for name in signed.keys() & {"to", "phone"}:
        signed[name] = signed[name].removeprefix("+")
    if config.mode == "template":
        signed["msgType"] = MSG_TYPE_INTERNATIONAL
    return signed | {"signature": signature(signed, config.sms_key)}


def _counted_result(code: int, info: Mapping[str, Any], refusal: Outcome | None, *, contradictory: bool) -> SendResult:
    """Read the counts of a request for one number.

    Args:
        code: `SUCCESS`, `PARTIAL` or `NONE_SENT`.
        info: The counts and ids.
        refusal: Why `items` refuses our number; None if it does not.
        contradictory: Another part of the response denies success, so that it is not acceptance.
    """
    accepted, failed = parse_integer(info.get("successCount")), parse_integer(info.get("failedCount"))
    ids = info.get("smsIds")
    ids = [one for one in ids if isinstance(one, str)] if isinstance(ids, list) else []
    if code != result_codes.NONE_SENT and refusal is None and (accepted == 1 or (accepted is None and len(ids) == 1)):
        if contradictory:
            return SendResult(Outcome.AMBIGUOUS)
        return SendResult(Outcome.ACCEPTED, sms_id_without_number(ids[0]) if ids else "")
    is_refused = not accepted and not ids and (code == result_codes.NONE_SENT or bool(failed) or refusal is not None)
    return SendResult((refusal or Outcome.TRANSIENT) if is_refused else Outcome.AMBIGUOUS)


def _refusal_of_number(items: object, to: str, country: str) -> Outcome | None:
    """Return why `items` refuses our number; None if it does not.

    A single item whose number cannot be read is about ours, the only number of the request.
    """
    refused = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    for item in refused[:_MAX_ITEMS]:
        if parse_echoed_number(item.get("phone"), to, country) in ((to, None) if len(refused) == 1 else (to,)):
            return result_codes.number_refusal(_bounded_text(item.get("message")))
    return None


def _bounded_text(value: object) -> str:
    return value[:MAX_ERROR_TEXT_CHARS] if isinstance(value, str) else ""


def _filled(variables: Mapping[str, str], outbound: OutboundMessage) -> dict[str, str]:
    """Replace the placeholders in a single pass, so that a brand that looks like one stays as it is."""
    known = {"code": outbound.code, "brand": outbound.brand, "minutes": str(outbound.minutes)}
    return {name: _PLACEHOLDER.sub(lambda found: known[found[1]], text) for name, text in variables.items()}


def _json(value: dict[str, str]) -> str:
    return msgspec.json.encode(value).decode()
