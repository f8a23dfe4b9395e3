"""Status callbacks: a form that Twilio posts for each change of a message's status, signed in `X-Twilio-Signature`.

A callback counts only if both hold: the token in its URL has a valid MAC, which gives our message id, and the signature
matches. The signature is an HMAC over the public URL followed by each parameter, sorted by name: its name and its
value, without separators. It has no timestamp: a repeated callback changes nothing, and at the URL of another message
its signature is wrong.

Documented by Twilio ("Secure webhooks") and by its own libraries:

- a name with several values is followed by each different value, sorted;
- a JSON body has no parameters; its SHA-256 is `bodySHA256` in the query, which the signature covers;
- Twilio signs some URLs with the port and some without, so both forms are accepted;
- by default the key is the auth token and the hash SHA-1. If a Webhooks Rule of the account applies, the header
  `X-Twilio-Webhooks-Signature-Settings` names the algorithm, and the key is the shared key of the rule.

Callbacks arrive in any order, and Twilio adds parameters without notice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.secret import Secret
from otp_service.providers.lenient_json import json_object
from otp_service.providers.responses import MAX_ID_CHARS, receipt_number
from otp_service.providers.twilio.account import TwilioAccount
from otp_service.providers.twilio.result_codes import MESSAGE_STATUSES
from otp_service.providers.twilio.wire import undelivered_error

__all__ = ["first_value", "parse_status_callback", "verified_fields", "webhook_signature"]

SIGNATURE: Final = "x-twilio-signature"
SIGNATURE_SETTINGS: Final = "x-twilio-webhooks-signature-settings"
BODY_HASH: Final = "bodySHA256"
MAX_PARAMETERS: Final = 200

_ALGORITHMS: Final = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_AUTHORITY: Final = re.compile(r"(https?)://([^/?#]*)(.*)", re.DOTALL)
_PORT: Final = re.compile(r":[0-9]{1,5}\Z")


def webhook_signature(
    key: Secret, url: str, parameters: Mapping[str, Sequence[str]], algorithm: str = "HMAC_SHA1"
) -> str:
    """Return the signature of a call to `url` with these POST parameters, in base64."""
    pairs = [name + value for name in sorted(parameters) for value in sorted(set(parameters[name]))]
    signed = "".join([url, *pairs]).encode()
    return base64.b64encode(hmac.digest(key.reveal().encode(), signed, _ALGORITHMS[algorithm])).decode()


def parse_status_callback(call: ReceiptRequest, config: TwilioAccount) -> Sequence[Receipt]:
    """Verify and read a call.

    Returns:
        At most one receipt; none for a call without a token, and for one that is not about the status of a message.

    Raises:
        ReceiptForged: The signature is not valid.
    """
    fields = verified_fields(call, config)
    status_text = first_value(fields, "MessageStatus", "SmsStatus").lower()
    if call.message_id is None or status_text not in MESSAGE_STATUSES:
        return []
    status = MESSAGE_STATUSES[status_text]
    error = undelivered_error(status, first_value(fields, "ErrorCode"))
    sid, to = first_value(fields, "MessageSid", "SmsSid"), first_value(fields, "To")
    return [
        Receipt(
            call.message_id,
            status,
            error,
            provider_message_id=sid[:MAX_ID_CHARS],
            to=receipt_number(to),  # an account may obfuscate numbers
        )
    ]


def verified_fields(call: ReceiptRequest, config: TwilioAccount) -> Mapping[str, Sequence[Any]]:
    """Verify the signature, and return the values of each field; raises `ReceiptForged`."""
    key, algorithm = _signing_key(call.headers, config)
    body_hashes = [value for name, value in call.query if name == BODY_HASH]
    parameters: Mapping[str, Sequence[str]] = {}
    if not body_hashes:
        parameters = _form(call.body)
    elif not all(_equals(value.lower(), hashlib.sha256(call.body).hexdigest()) for value in body_hashes):
        raise ReceiptForged
    given = call.headers.get(SIGNATURE, "")
    expected = [webhook_signature(key, url, parameters, algorithm) for url in _with_and_without_port(call.url)]
    if not any(_equals(signature, given) for signature in expected):
        raise ReceiptForged
    return {name: [value] for name, value in json_object(call.body).items()} if body_hashes else parameters


def _signing_key(headers: Mapping[str, str], config: TwilioAccount) -> tuple[Secret, str]:
    """Return the key and the algorithm of a call's signature; raises `ReceiptForged` if there is none."""
    key, algorithm = config.auth_token, "HMAC_SHA1"
    if settings := headers.get(SIGNATURE_SETTINGS):
        pairs = (part.partition("=") for part in settings.split(","))
        named = {name.strip(): value.strip() for name, _, value in pairs}
        key, algorithm = config.webhook_shared_key, named.get("algorithm", "").upper()
    if key is None or algorithm not in _ALGORITHMS:
        raise ReceiptForged
    return key, algorithm


def _form(body: bytes) -> Mapping[str, Sequence[str]]:
    """Decode a form with all its values, also empty ones; raises `ReceiptForged`."""
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:  # includes UnicodeDecodeError
        raise ReceiptForged from None


def _with_and_without_port(url: str) -> Sequence[str]:
    """Return `url` without its port, and with one; nothing if there is no public URL."""
    match = _AUTHORITY.fullmatch(url)
    if not match:
        return []
    scheme, authority, rest = match.groups()
    has_port = _PORT.search(authority) is not None
    authorities = (_PORT.sub("", authority), authority if has_port else f"{authority}:{_DEFAULT_PORTS[scheme]}")
    return [f"{scheme}://{one}{rest}" for one in authorities]


def _equals(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def first_value(fields: Mapping[str, Sequence[Any]], *names: str) -> str:
    """Return the first value of the first field that has one, as text."""
    values = (fields[name][0] for name in names if fields.get(name))
    return next((str(value) for value in values if isinstance(value, str | int) and value != ""), "")
