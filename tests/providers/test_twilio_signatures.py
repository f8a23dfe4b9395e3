"""Twilio's signatures: the published examples, and every way in which a call can fail to be authentic."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.twilio.webhook import parse_status_callback, webhook_signature
from tests.providers.twilio_provider import RECEIPT_URL, TO, TOKEN, callback, twilio_config

SID = "SM" + "2" * 32
DELIVERED = {"MessageSid": SID, "MessageStatus": "delivered", "To": TO, "AccountSid": "AC1", "ApiVersion": "2010-04-01"}
EXAMPLE_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
EXAMPLE = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
EXAMPLE_BODY = b'{"property": "value", "boolean": true}'
EXAMPLE_HASH = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"


def example(url: str, signature: str, **changes: Any) -> ReceiptRequest:
    """Return Twilio's example request for `url` with this signature."""
    query = [tuple(pair.split("=")) for pair in url.partition("?")[2].split("&")]
    headers = {"x-twilio-signature": signature}
    request: dict[str, Any] = {"method": "POST", "url": url, "message_id": None, "now": 0.0, "query": query}
    return ReceiptRequest(**request | {"headers": headers, "body": urlencode(EXAMPLE).encode()} | changes)


def parsed(call: ReceiptRequest, **account: Any) -> Sequence[Receipt]:
    """Verify and read a call with the config of the account."""
    return parse_status_callback(call, twilio_config(**account))


PUBLISHED = [
    (EXAMPLE_URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    (EXAMPLE_URL.replace(".com", ".com:1234"), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    (EXAMPLE_URL.replace(".com", ".com:1234").replace("https", "http"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    (EXAMPLE_URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    (EXAMPLE_URL.replace("https", "http"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
]
"""The examples of "Secure webhooks" and of the tests of Twilio's own library: the URL as called, with any port."""


@pytest.mark.parametrize(("url", "signature"), PUBLISHED)
def test_published_examples_are_accepted(url: str, signature: str) -> None:
    """The auth token of the examples is 12345; a signature may be made with or without the port."""
    assert parsed(example(url, signature), auth_token=Secret("12345")) == []
    for token, wrong in (("12346", signature), ("12345", "A" + signature[1:]), ("12345", signature.lower())):
        with pytest.raises(ReceiptForged):
            parsed(example(url, wrong), auth_token=Secret(token))


def test_published_example_with_a_body_hash() -> None:
    """A JSON body is authentic by its hash in the signed URL; any other body, and another hash, is not."""
    url, signature = f"{EXAMPLE_URL}&bodySHA256={EXAMPLE_HASH}", "a9nBmqA0ju/hNViExpshrM61xv4="
    token = {"auth_token": Secret("12345")}
    assert parsed(example(url, signature, body=EXAMPLE_BODY), **token) == []
    for forged in (
        example(url, signature, body=EXAMPLE_BODY + b" "),
        example(url, signature),
        example(url.replace("=0a", "=1a"), signature, body=EXAMPLE_BODY),
        example(EXAMPLE_URL, signature, body=EXAMPLE_BODY),
    ):
        with pytest.raises(ReceiptForged):
            parsed(forged, **token)


def test_published_example_with_a_repeated_name() -> None:
    """The different values of a name are sorted, each after its name."""
    parameters = {"Sid": ["CA123"], "SidAccount": ["AC123"], "Digits": ["5678", "1234", "1234"]}
    assert webhook_signature(Secret("12345"), EXAMPLE_URL, parameters) == "IK+Dwps556ElfBT0I3Rgjkr1wJU="


def test_ports_of_an_ipv6_address() -> None:
    """The colons of an IPv6 address are not those of a port."""
    for url, signed in (("https://[::1]/a", "https://[::1]:443/a"), ("https://[::1]:8443/a", "https://[::1]/a")):
        signature = webhook_signature(Secret(TOKEN), signed, {"a": ["b"]})
        assert parsed(example(url, signature, query=[], body=b"a=b")) == []


def test_signed_callback_is_a_receipt() -> None:
    """Our message id comes from the token of the URL; the SID and the number from the callback."""
    expected = Receipt("v1-ABC_7", DeliveryStatus.DELIVERED, None, provider_message_id=SID, to=TO)
    assert parsed(callback(DELIVERED)) == [expected]
    assert parsed(callback(DELIVERED, message_id=None)) == []


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"MessageStatus": "sent"}, None, None),
        ({"MessageStatus": "queued"}, None, None),
        ({"MessageStatus": "read"}, DeliveryStatus.DELIVERED, None),
        ({"MessageStatus": "undelivered", "ErrorCode": "30005"}, DeliveryStatus.UNDELIVERED, Outcome.RECIPIENT_INVALID),
        ({"MessageStatus": "failed", "ErrorCode": "21610"}, DeliveryStatus.UNDELIVERED, Outcome.RECIPIENT_BLOCKED),
        ({"MessageStatus": "failed", "ErrorCode": "39999"}, DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT),
        ({"MessageStatus": "undelivered"}, DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT),
        ({"MessageStatus": "delivered", "ErrorCode": "30005"}, DeliveryStatus.DELIVERED, None),
        ({"MessageStatus": "", "SmsStatus": "delivered"}, DeliveryStatus.DELIVERED, None),
        ({"MessageStatus": "delivered", "New": "", "Ä": " x "}, DeliveryStatus.DELIVERED, None),
    ],
)
def test_status_of_a_callback(fields: dict[str, str], status: DeliveryStatus | None, error: Outcome | None) -> None:
    """Each status and error code is read; unknown and empty parameters are part of the signature."""
    [receipt] = parsed(callback(DELIVERED | fields))
    assert (receipt.status, receipt.error) == (status, error)


@pytest.mark.parametrize("fields", [{}, {"MessageStatus": "received"}, {"MessageStatus": "partially_delivered"}])
def test_calls_about_something_else_give_no_receipt(fields: dict[str, str]) -> None:
    """An authentic call that is not about the status of a message that we sent is accepted and ignored."""
    assert parsed(callback(fields)) == []


@pytest.mark.parametrize(("to", "named"), [(TO, TO), ("+62812XXXXXXX", ""), ("whatsapp:+6281210100055", ""), ("", "")])
def test_number_that_cannot_be_read_is_not_compared(to: str, named: str) -> None:
    """An account may obfuscate numbers in its callbacks."""
    [receipt] = parsed(callback(DELIVERED | {"To": to}))
    assert receipt.to == named


def replayed(fields: Mapping[str, str], **changes: Any) -> ReceiptRequest:
    """Return a call with the signature of an authentic one, and something else in it."""
    original = callback(DELIVERED)
    return callback(fields, headers=original.headers, **changes)


HASH_OF_OBJECT = hashlib.sha256(b"{}").hexdigest()
OTHER_URL = RECEIPT_URL.replace("v1-ABC_7", "v1-XYZ_8")
FORGED = {
    "no signature": callback(DELIVERED, headers={}),
    "empty signature": callback(DELIVERED, headers={"x-twilio-signature": ""}),
    "not ASCII": callback(DELIVERED, headers={"x-twilio-signature": "ü" * 28}),
    "another token": callback(DELIVERED, token=TOKEN + "x"),
    "another status": replayed(DELIVERED | {"MessageStatus": "undelivered"}),
    "another number": replayed(DELIVERED | {"To": "+6281210100056"}),
    "a parameter more": replayed(DELIVERED | {"ErrorCode": "30003"}),
    "a parameter less": replayed({"MessageStatus": "delivered"}),
    "a parameter moved": replayed(DELIVERED | {"MessageSid": SID[:-1], "To": TO}),
    "replayed at another message's URL": replayed(DELIVERED, url=OTHER_URL, message_id="v1-XYZ_8"),
    "replayed over plain HTTP": replayed(DELIVERED, url=RECEIPT_URL.replace("https", "http")),
    "replayed at another host": replayed(DELIVERED, url=RECEIPT_URL.replace("otp.", "otp2.")),
    "replayed at another port": replayed(DELIVERED, url="https://otp.example.com@evil.example:1/"),
    "replayed with a query": replayed(DELIVERED, url=RECEIPT_URL + "?a=b", query=[("a", "b")]),
    "replayed with a body hash": replayed(DELIVERED, query=[("bodySHA256", HASH_OF_OBJECT)], body=b"{}"),
    "without a public URL": callback(DELIVERED, url="/v1/receipts/first/v1-ABC_7.mac"),
    "not UTF-8": callback(DELIVERED, body=b"MessageStatus=delivered&a=\xff"),
    "JSON without a hash": callback(DELIVERED, body=b'{"MessageStatus":"delivered"}'),
    "too many parameters": callback({"a": "b"}, body=b"&".join([b"a=b"] * 201)),
    "GET": callback(DELIVERED, method="GET", body=b"", query=list(DELIVERED.items())),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_forged_call_is_refused(how: str) -> None:
    """A call whose signature is not exactly that of its URL and its parameters is refused."""
    with pytest.raises(ReceiptForged) as refused:
        parsed(FORGED[how])
    assert str(refused.value) == ""


def signed_by_rule(key: str, algorithm: str, settings: str | None = None) -> ReceiptRequest:
    """Return a callback that is signed with the shared key of a Webhooks Rule."""
    text = RECEIPT_URL + "".join(name + DELIVERED[name] for name in sorted(DELIVERED))
    digest = hmac.new(key.encode(), text.encode(), algorithm).digest()
    name = f"key=webhooks_sharedkey_1,algorithm=HMAC_{algorithm.upper()}" if settings is None else settings
    headers = {
        "x-twilio-signature": base64.b64encode(digest).decode(),
        "x-twilio-webhooks-signature-settings": name,
    }
    return callback(DELIVERED, headers=headers)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_shared_key_of_a_webhooks_rule(algorithm: str) -> None:
    """The header names the algorithm; the key is the shared key, and not the auth token."""
    shared = {"webhook_shared_key": Secret("shared")}
    assert len(parsed(signed_by_rule("shared", algorithm), **shared)) == 1
    assert len(parsed(signed_by_rule("shared", algorithm), auth_token=None, **shared)) == 1
    for call, account in (
        (signed_by_rule("shared", algorithm), {}),
        (signed_by_rule(TOKEN, algorithm), shared),
        (signed_by_rule("shared", algorithm, "key=k,algorithm=HMAC_MD5"), shared),
        (signed_by_rule("shared", algorithm, "key=k"), shared),
    ):
        with pytest.raises(ReceiptForged):
            parsed(call, **account)


def test_without_a_key_every_call_is_refused() -> None:
    """An account that is configured with an API key only accepts no receipt."""
    api_key = {"auth_token": None, "api_key_sid": "SK1", "api_key_secret": Secret("s")}
    with pytest.raises(ReceiptForged):
        parsed(callback(DELIVERED), **api_key)
