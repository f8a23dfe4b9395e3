"""The examples in the gateways' documents, sent unchanged to the simulators, and published test vectors."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.sandbox.simulators.eims import EimsMessage, EimsSimulator, EimsState
from otp_service.sandbox.simulators.http_server import Request, Simulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from otp_service.sandbox.simulators.vonage import VonageSimulator

PHP = "application/json"
TEXT = "Your verification code is 123456"


def send_request(
    gateway: Simulator, method: str, target: str, body: bytes = b"", /, **headers: str
) -> tuple[int, Any, Mapping[str, str]]:
    """Send a request to a simulator; return the status, the parsed body and the headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = gateway.answer(Request(method, target, named, body))
    return reply.status, json.loads(reply.body) if reply.body[:1] in b'{"' else reply.body, reply.headers


def test_eims_returns_the_documented_responses() -> None:
    """Balance, send and report have exactly the documented members, also without charset (PHP) or type (Java)."""
    gateway = EimsSimulator("eims", "***")
    who = "account=eims&password=%2A%2A%2A"
    content = "content=test%20sms"
    numbers = "numbers=6285710100055,6281908080709"

    assert send_request(gateway, "GET", f"/getbalance?{who}")[1] == {
        "status": 0, "balance": "499740.000000", "gift": "0.000000"
    }  # fmt: skip
    assert send_request(gateway, "GET", f"/sendsms?{who}&numbers=6281210100055&{content}", content_type=PHP)[1] == {
        "status": 0, "array": [[6281210100055, 1620443]], "success": 1, "fail": 0
    }  # fmt: skip
    two = send_request(gateway, "GET", f"/sendsms?{who}&{numbers}&{content}")[1]
    assert (two["array"], two["success"]) == ([[6285710100055, 1620444], [6281908080709, 1620445]], 2)
    at = datetime(2018, 6, 19, 2, 15, 17, tzinfo=UTC)
    gateway.messages[0] = EimsMessage(1620443, "6281210100055", "test sms", at)
    gateway.states[1620443] = EimsState(0)
    assert send_request(gateway, "GET", f"/getreport?{who}&ids=1620443")[1] == {
        "status": 0, "array": [[1620443, 6281210100055, 20180619101517, 0]],
        "success": 1, "fail": 0, "unsent": 0, "sending": 0, "nofound": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sign", "status"),
    [("6ac4928d8d0c3c5ba75981b539c52152", 0), ("6AC4928D8D0C3C5BA75981B539C52152", -1), ("", -1), ("0" * 32, -1)],
)
def test_eims_accepts_the_published_signature(sign: str, status: int) -> None:
    """The published signature is valid at its time, and has expired half an hour later."""
    at = datetime(2018, 12, 31, 16, tzinfo=UTC).timestamp()
    query = f"account=test&sign={sign}&datetime=20190101120000"
    noon = at + 12 * 3600
    statuses = []
    for now in (noon, noon + 1800, noon + 1801, noon - 1801):
        simulator = EimsSimulator("test", "123456", clock=partial(float, now))
        statuses.append(send_request(simulator, "GET", f"/getbalanceV2?{query}")[1]["status"])
    assert statuses == [status, status, *[status or -16] * 2]


def test_kedasms_accepts_the_envelopes_of_its_samples() -> None:
    """The payload of each sample, with the timestamp as eight big-endian bytes, gets the documented response."""
    now = 1_712_123_456
    associated = now.to_bytes(8, "big")
    assert associated.hex() == "00000000660cee40"
    assert associated == (now >> 32).to_bytes(4, "big") + (now & 0xFFFFFFFF).to_bytes(4, "big")  # as PHP's pack() does
    payload = {
        "countryCode": "CN", "phoneNumbers": ["13800138000"], "content": "您的验证码为 123456", "senderId": "KedaSMS",
        "trackClick": True, "callbackUrl": "https://example.com/webhook/sms",
    }  # fmt: skip
    gateway = KedasmsSimulator("your-api-key", bytes(32), clock=lambda: now, reuses_iv=True)
    for ascii_only in (True, False):  # the Python sample escapes, the PHP sample does not
        sealed = AESGCM(bytes(32)).encrypt(bytes(12), json.dumps(payload, ensure_ascii=ascii_only).encode(), associated)
        body = {"apiKey": "your-api-key", "timestamp": now, "iv": base64.b64encode(bytes(12)).decode(),
                "cipherText": base64.b64encode(sealed).decode()}  # fmt: skip
        status, answer, headers = send_request(
            gateway, "POST", "/api/sms/send", json.dumps(body).encode(), content_type="application/json"
        )
        assert (status, headers["Date"]) == (200, "Wed, 03 Apr 2024 05:50:56 GMT")
    task = f"20240403-000{len(gateway.messages)}"
    data = {"taskId": task, "message": "SMS task created", "debitedAmount": 0.048, "currency": "USD"}
    assert answer == {"code": "0", "message": "Success", "data": data}
    assert [(one.to, one.text) for one in gateway.messages] == [("+8613800138000", "您的验证码为 123456")] * 2


def test_kedasms_enforces_daily_caps() -> None:
    """The documented request sets a cap, which a batch uses by its numbers, and which is reset the next day."""
    clock = [1_712_123_456.0]
    gateway = KedasmsSimulator("k", bytes(32), clock=lambda: clock[0], reuses_iv=True)
    limits = {"apiKey": "k", "dailySmsCap": 2, "dailySpendCap": 200, "alertThreshold": 0.8, "blockOnLimit": True}

    def put(body: dict[str, Any]) -> int:
        target = "/api/external/accounts/limits"
        return send_request(gateway, "PUT", target, json.dumps(body).encode(), content_type="application/json")[0]

    def send(*numbers: str) -> tuple[int, Any]:
        now = int(clock[0])
        payload = json.dumps({"countryCode": "ID", "phoneNumbers": numbers, "content": TEXT}).encode()
        sealed = AESGCM(bytes(32)).encrypt(bytes(12), payload, now.to_bytes(8, "big"))
        body = {"apiKey": "k", "timestamp": now, "iv": base64.b64encode(bytes(12)).decode(),
                "cipherText": base64.b64encode(sealed).decode()}  # fmt: skip
        headers = {"content_type": "application/json"}
        return send_request(gateway, "POST", "/api/sms/send", json.dumps(body).encode(), **headers)[:2]

    assert [put(limits), put(limits | {"apiKey": "?"}), put(limits | {"alertThreshold": 2})] == [200, 401, 400]
    assert send("81210100055", "81210100056", "81210100057")[0] == 403
    assert send("81210100055", "81210100056")[1]["data"]["debitedAmount"] == 0.096
    assert send("81210100055")[0] == 403
    clock[0] += 86_400
    assert send("81210100055")[0] == 200
    assert put(limits | {"dailySmsCap": 1, "blockOnLimit": False}) == 200
    assert send("81210100055")[0] == 200


def test_the_hub_accepts_its_samples() -> None:
    """The PHP sample logs in with a form, and sends the token without quotes and scheme, and an unneeded date."""
    gateway = SmshubSimulator("123", "123", program_id="d2b67be0-79a2-49dd-9476-7c793fdc3297")
    form = {"content_type": "application/x-www-form-urlencoded"}
    login = gateway.answer(
        Request("POST", "/Login", {"content-type": form["content_type"]}, b"ProgramSID=123&ProgramKey=123")
    )
    assert login.body[:1] == login.body[-1:] == b'"'
    text = {
        "ProgramId": "D2B67BE0-79A2-49DD-9476-7C793FDC3297", "PhoneNumber": "19705551234",
        "Message": "This is a text from demo.", "DateSent": "2018-10-26 11:28:38",
    }  # fmt: skip
    headers = {"content_type": "application/json", "authorization": login.body.decode().strip('"')}
    assert send_request(gateway, "POST", "/TextMessages", json.dumps(text).encode(), **headers)[0] == 200
    assert [(one.to, one.text) for one in gateway.messages] == [("19705551234", "This is a text from demo.")]


def test_aurora_accepts_its_samples() -> None:
    """The samples work with GET and POST, once plus and space are percent-encoded."""
    gateway = SendcloudSimulator("mycompany_sms", "xyz789uvw123")
    who = "smsUser=mycompany_sms&smsKey=xyz789uvw123&to=%2B12345678901"
    form = {"content_type": "application/x-www-form-urlencoded"}
    answers = [
        send_request(gateway, "GET", f"/smsapi/send?{who}&message=Hello"),
        send_request(gateway, "POST", "/smsapi/send", f"{who}&message=Hello+World".encode(), **form),
        send_request(gateway, "GET", f"/smsapi/send?{who}&message=Hello".replace("xyz", "old")),
        send_request(gateway, "GET", f"/smsapi/send?{who}{'%2C12345678901' * 2000}&message=Hello"),
    ]
    assert [status for status, *_ in answers] == [200, 200, 401, 400]
    assert answers[3][1] == b"Send at most 2000 numbers."
    assert [one.text for one in gateway.messages] == ["Hello", "Hello World"]
    assert (answers[0][1]["result"], answers[0][1]["statusCode"], answers[2][1]["statusCode"]) == (True, 200, 40005)


def test_vonage_accepts_its_samples() -> None:
    """The samples of the API reference and of the balance get responses with exactly the documented members."""
    gateway = VonageSimulator("abcd1234", "abcdef0123456789", balance="15.5692")
    form = {"content_type": "application/x-www-form-urlencoded"}
    who = "api_key=abcd1234&api_secret=abcdef0123456789"
    message = "from=AcmeInc&to=447700900000&text=Hello+World%21&client-ref=my-personal-reference"
    status, answer, _ = send_request(gateway, "POST", "/sms/json", f"{who}&{message}".encode(), **form)
    assert (status, answer) == (200, {
        "message-count": "1",
        "messages": [{
            "to": "447700900000", "message-id": "0A00000000000001", "status": "0", "remaining-balance": "15.53590000",
            "message-price": "0.03330000", "network": "51010", "client-ref": "my-personal-reference",
        }],
    })  # fmt: skip
    basic = base64.b64encode(b"abcd1234:abcdef0123456789").decode()
    assert send_request(gateway, "GET", "/account/get-balance", authorization=f"Basic {basic}")[:2] == (
        200,
        {"value": 15.5359, "autoReload": False},
    )
    refused = send_request(gateway, "POST", "/sms/json", f"{who}&from=AcmeInc&text=Hello".encode(), **form)[1]
    assert refused == {"message-count": "1", "messages": [{"status": "2", "error-text": "Missing to param"}]}
    assert [(one.to, one.text) for one in gateway.messages] == [("447700900000", "Hello World!")]
