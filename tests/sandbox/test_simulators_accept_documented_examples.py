"""What the gateways' own documents show, sent to the simulators as it stands there; and the fact sheet's vectors."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.sandbox.simulators.eims import EimsMessage, EimsSimulator, EimsState
from otp_service.sandbox.simulators.http_server import Request, Simulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator

PHP = "application/json"
TEXT = "Your verification code is 123456"


def asked(
    gateway: Simulator, method: str, target: str, body: bytes = b"", /, **headers: str
) -> tuple[int, Any, Mapping[str, str]]:
    """Ask a simulator: status, what stands in the body, headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = gateway.answer(Request(method, target, named, body))
    return reply.status, json.loads(reply.body) if reply.body[:1] in b'{"' else reply.body, reply.headers


def test_eims_shows_a_balance_a_send_and_a_report() -> None:
    """The three answers of the document, member for member; its PHP sample says no charset, its Java sample nothing."""
    gateway = EimsSimulator("eims", "***")
    who = "account=eims&password=%2A%2A%2A"
    content = "content=test%20sms"
    numbers = "numbers=6285710100055,6281908080709"

    assert asked(gateway, "GET", f"/getbalance?{who}")[1] == {
        "status": 0, "balance": "499740.000000", "gift": "0.000000"
    }  # fmt: skip
    assert asked(gateway, "GET", f"/sendsms?{who}&numbers=6281210100055&{content}", content_type=PHP)[1] == {
        "status": 0, "array": [[6281210100055, 1620443]], "success": 1, "fail": 0
    }  # fmt: skip
    two = asked(gateway, "GET", f"/sendsms?{who}&{numbers}&{content}")[1]
    assert (two["array"], two["success"]) == ([[6285710100055, 1620444], [6281908080709, 1620445]], 2)
    at = datetime(2018, 6, 19, 2, 15, 17, tzinfo=UTC)
    gateway.messages[0] = EimsMessage(1620443, "6281210100055", "test sms", at)
    gateway.states[1620443] = EimsState(0)
    assert asked(gateway, "GET", f"/getreport?{who}&ids=1620443")[1] == {
        "status": 0, "array": [[1620443, 6281210100055, 20180619101517, 0]],
        "success": 1, "fail": 0, "unsent": 0, "sending": 0, "nofound": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sign", "status"),
    [("6ac4928d8d0c3c5ba75981b539c52152", 0), ("6AC4928D8D0C3C5BA75981B539C52152", -1), ("", -1), ("0" * 32, -1)],
)
def test_eims_takes_the_published_signature(sign: str, status: int) -> None:
    """The vector of the signed interface at its own time; half an hour later it has expired."""
    at = datetime(2018, 12, 31, 16, tzinfo=UTC).timestamp()
    query = f"account=test&sign={sign}&datetime=20190101120000"
    noon = at + 12 * 3600
    answers = [
        asked(EimsSimulator("test", "123456", clock=lambda now=now: now), "GET", f"/getbalanceV2?{query}")[1]["status"]  # type: ignore[misc]
        for now in (noon, noon + 1800, noon + 1801, noon - 1801)
    ]
    assert answers == [status, status, *[status or -16] * 2]


def test_kedasms_takes_the_envelope_of_its_samples() -> None:
    """Each sample's payload under the timestamp as eight bytes, big end first; and the answer of the document."""
    now = 1_712_123_456
    associated = now.to_bytes(8, "big")
    assert associated.hex() == "00000000660cee40"
    assert associated == (now >> 32).to_bytes(4, "big") + (now & 0xFFFFFFFF).to_bytes(4, "big")  # as PHP packs it
    payload = {
        "countryCode": "CN", "phoneNumbers": ["13800138000"], "content": "您的验证码为 123456", "senderId": "KedaSMS",
        "trackClick": True, "callbackUrl": "https://example.com/webhook/sms",
    }  # fmt: skip
    gateway = KedasmsSimulator("your-api-key", bytes(32), clock=lambda: now, reuses_iv=True)
    for ascii_only in (True, False):  # Python escapes, PHP does not
        sealed = AESGCM(bytes(32)).encrypt(bytes(12), json.dumps(payload, ensure_ascii=ascii_only).encode(), associated)
        body = {"apiKey": "your-api-key", "timestamp": now, "iv": base64.b64encode(bytes(12)).decode(),
                "cipherText": base64.b64encode(sealed).decode()}  # fmt: skip
        status, answer, headers = asked(
            gateway, "POST", "/api/sms/send", json.dumps(body).encode(), content_type="application/json"
        )
        assert (status, headers["Date"]) == (200, "Wed, 03 Apr 2024 05:50:56 GMT")
    task = f"20240403-000{len(gateway.messages)}"
    data = {"taskId": task, "message": "SMS task created", "debitedAmount": 0.048, "currency": "USD"}
    assert answer == {"code": "0", "message": "Success", "data": data}
    assert [(one.to, one.text) for one in gateway.messages] == [("+8613800138000", "您的验证码为 123456")] * 2


def test_kedasms_holds_the_caps_of_a_day() -> None:
    """The document's request, and a day later the cap is free again; a batch is charged by its numbers."""
    clock = [1_712_123_456.0]
    gateway = KedasmsSimulator("k", bytes(32), clock=lambda: clock[0], reuses_iv=True)
    limits = {"apiKey": "k", "dailySmsCap": 2, "dailySpendCap": 200, "alertThreshold": 0.8, "blockOnLimit": True}

    def put(body: dict[str, Any]) -> int:
        target = "/api/external/accounts/limits"
        return asked(gateway, "PUT", target, json.dumps(body).encode(), content_type="application/json")[0]

    def send(*numbers: str) -> tuple[int, Any]:
        now = int(clock[0])
        payload = json.dumps({"countryCode": "ID", "phoneNumbers": numbers, "content": TEXT}).encode()
        sealed = AESGCM(bytes(32)).encrypt(bytes(12), payload, now.to_bytes(8, "big"))
        body = {"apiKey": "k", "timestamp": now, "iv": base64.b64encode(bytes(12)).decode(),
                "cipherText": base64.b64encode(sealed).decode()}  # fmt: skip
        headers = {"content_type": "application/json"}
        return asked(gateway, "POST", "/api/sms/send", json.dumps(body).encode(), **headers)[:2]

    assert [put(limits), put(limits | {"apiKey": "?"}), put(limits | {"alertThreshold": 2})] == [200, 401, 400]
    assert send("81210100055", "81210100056", "81210100057")[0] == 403
    assert send("81210100055", "81210100056")[1]["data"]["debitedAmount"] == 0.096
    assert send("81210100055")[0] == 403
    clock[0] += 86_400
    assert send("81210100055")[0] == 200
    assert put(limits | {"dailySmsCap": 1, "blockOnLimit": False}) == 200
    assert send("81210100055")[0] == 200


def test_the_hub_takes_what_its_samples_send() -> None:
    """The PHP sample: a login by form, the quotes trimmed off the token, no scheme, and a date that is not needed."""
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
    assert asked(gateway, "POST", "/TextMessages", json.dumps(text).encode(), **headers)[0] == 200
    assert [(one.to, one.text) for one in gateway.messages] == [("19705551234", "This is a text from demo.")]


def test_aurora_takes_the_samples_of_its_page() -> None:
    """By GET and by POST, once the plus and the space are encoded as a form wants them."""
    gateway = SendcloudSimulator("mycompany_sms", "xyz789uvw123")
    who = "smsUser=mycompany_sms&smsKey=xyz789uvw123&to=%2B12345678901"
    form = {"content_type": "application/x-www-form-urlencoded"}
    answers = [
        asked(gateway, "GET", f"/smsapi/send?{who}&message=Hello"),
        asked(gateway, "POST", "/smsapi/send", f"{who}&message=Hello+World".encode(), **form),
        asked(gateway, "GET", f"/smsapi/send?{who}&message=Hello".replace("xyz", "old")),
        asked(gateway, "GET", f"/smsapi/send?{who}{'%2C12345678901' * 2000}&message=Hello"),
    ]
    assert [status for status, *_ in answers] == [200, 200, 401, 400]
    assert answers[3][1] == b"Send at most 2000 numbers."
    assert [one.text for one in gateway.messages] == ["Hello", "Hello World"]
    assert (answers[0][1]["result"], answers[0][1]["statusCode"], answers[2][1]["statusCode"]) == (True, 200, 40005)
