"""A code requested over HTTP arrives at each gateway type in exactly the documented wire format, and verifies.

The text contains everything that wrong encodings break: letters outside ASCII and GSM-7, `&`, `+`, `%` and spaces.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import jwt
import msgspec
import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.http_server import Request
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID
from tests.delivery.gateway_config import ACCOUNT, PASSWORD
from tests.delivery.gateway_pairs import PUBLIC_URL, gateway_pair
from tests.delivery.gateway_types import decrypted_envelope, form_fields
from tests.message_waits import wait_for_deliveries
from tests.providers.http_gateways import INFOBIP_LIKE, http_table
from tests.running_service import NUMBER, ServiceFactory

TEXT = "Kopi & Café: kode {code} + 100% ✓"
QUOTED = "Kopi%20%26%20Caf%C3%A9%3A%20kode%20{code}%20%2B%20100%25%20%E2%9C%93"
DIGITS, NATIONAL, E164 = "6281210100055", "81210100055", "+6281210100055"
CREDENTIALS = "account=acme%20%26%20sons&password=p%25s%2Bw%26rd%3D100%25%20%C3%BC"
CHARSET = "application/json;charset=utf-8"
GMT_PLUS_8 = timezone(timedelta(hours=8))
SIGNATURE_SECRET = "signature & secret="
PROGRAM = "D2B67BE0-79A2-49DD-9476-7C793FDC3297"


@dataclass(frozen=True)
class ReceivedCode:
    """The code that a gateway received: the id of its verification, the code, and all requests to the gateway."""

    id: str
    code: str
    requests: tuple[Request, ...]

    @property
    def text(self) -> str:
        """The text as the recipient reads it."""
        return TEXT.replace("{code}", self.code)

    @property
    def quoted(self) -> str:
        """The text, percent-encoded except for unreserved characters."""
        return QUOTED.replace("{code}", self.code)


async def send_through(
    make_service: ServiceFactory,
    gateway: str,
    phone: str = NUMBER,
    *,
    simulator: dict[str, Any] | None = None,
    **options: Any,
) -> ReceivedCode:
    """Request a code over HTTP through one gateway type, and verify the code that it received."""
    texts = {"demo": {"templates": {language: {"default": TEXT} for language in ("id", "en")}}}
    async with gateway_pair(gateway, **(simulator or {})) as both:
        service = await make_service(merged(both.config(options=options), {"tenants": texts}))
        response = await service.request(phone)
        assert response.status_code == 202, response.text
        verification_id = response.json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        [received] = both.sends()
        assert both.message_count == 1
        code = both.code_of(received)
        assert (await service.verify(verification_id, code)).status_code == 200
        return ReceivedCode(verification_id, code, tuple(both.first.requests))


@pytest.mark.parametrize("sender", [None, "Acme"])
async def test_kedasms(make_service: ServiceFactory, sender: str | None) -> None:
    """An encrypted envelope with the national number, the country, no click tracking, and the callback URL."""
    options: dict[str, Any] = {"sender_id": sender} if sender else {}
    one = await send_through(make_service, "kedasms", **options)

    [request] = one.requests
    assert (request.method, request.target) == ("POST", "/api/sms/send")
    assert request.headers["content-type"] == "application/json"
    envelope = msgspec.json.decode(request.body)
    assert list(envelope) == ["apiKey", "timestamp", "iv", "cipherText"]
    assert envelope["apiKey"] == "kedasms-key"
    assert type(envelope["timestamp"]) is int and abs(envelope["timestamp"] - time.time()) < 60
    assert len(base64.b64decode(envelope["iv"], validate=True)) == 12
    before, callback = decrypted_envelope(request).decode().split('"callbackUrl":')
    own = f'"senderId":"{sender}",' if sender else ""
    assert before == (
        f'{{"countryCode":"ID","phoneNumbers":["{NATIONAL}"],"content":"{one.text}",{own}"trackClick":false,'
    )
    address = rf'"{re.escape(PUBLIC_URL)}/v1/receipts/first/{re.escape(one.id)}\.1\.[A-Za-z0-9_-]{{22,}}"}}'
    assert re.fullmatch(address, callback)
    for hidden in (one.code, NATIONAL, "Kopi"):
        assert hidden not in f"{request.target} {request.headers} {request.body.decode()}"


async def test_eims_v1_by_get(make_service: ServiceFactory) -> None:
    """A query in the documented order, with `%20` for spaces, and the number in digits without `+`."""
    one = await send_through(make_service, "eims")

    [request] = one.requests
    assert (request.method, request.body) == ("GET", b"")
    assert request.target == f"/sendsms?{CREDENTIALS}&numbers={DIGITS}&content={one.quoted}"
    assert request.headers["content-type"] == CHARSET


async def test_eims_v1_by_post(make_service: ServiceFactory) -> None:
    """The same names in JSON, as UTF-8, and nothing in the URL."""
    one = await send_through(make_service, "eims", method="post")

    [request] = one.requests
    assert (request.method, request.target) == ("POST", "/sendsms")
    assert request.headers["content-type"] == CHARSET
    assert request.body.decode() == (
        f'{{"account":"{ACCOUNT}","password":"{PASSWORD}","numbers":"{DIGITS}","content":"{one.text}"}}'
    )


def check_signature(request: Request) -> str:
    """Check account, time (GMT+8) and signature of a v2 call; return the rest of its query."""
    assert request.headers["content-type"] == CHARSET
    found = re.fullmatch(
        r"/sendsmsV2\?account=acme%20%26%20sons&sign=([0-9a-f]{32})&datetime=(\d{14})(.*)", request.target
    )
    assert found, request.target
    sign, at, rest = found.groups()
    assert sign == hashlib.md5(f"{ACCOUNT}{PASSWORD}{at}".encode(), usedforsecurity=False).hexdigest()
    moment = datetime.strptime(at, "%Y%m%d%H%M%S").replace(tzinfo=GMT_PLUS_8)
    assert abs(moment.timestamp() - time.time()) < 60
    return rest


async def test_eims_v2_by_get(make_service: ServiceFactory) -> None:
    """A signature over account, password and time replaces the password."""
    one = await send_through(make_service, "eims", variant="v2")

    [request] = one.requests
    assert (request.method, request.body) == ("GET", b"")
    assert check_signature(request) == f"&numbers={DIGITS}&content={one.quoted}"


async def test_eims_v2_by_post(make_service: ServiceFactory) -> None:
    """Account and signature are in the query, the message is in JSON."""
    one = await send_through(make_service, "eims", variant="v2", method="post")

    [request] = one.requests
    assert (request.method, check_signature(request)) == ("POST", "")
    assert request.body.decode() == f'{{"numbers":"{DIGITS}","content":"{one.text}"}}'


@pytest.mark.parametrize("auth", ["parameters", "signature"])
@pytest.mark.parametrize("mode", ["template", "text"])
async def test_sendcloud(make_service: ServiceFactory, mode: str, auth: str) -> None:
    """A form with exactly these fields: the message in either mode, our id, and either the key or a signature.

    A signed call has digits without `+`, the type "international" and the time, and not the key.
    """
    one = await send_through(make_service, "sendcloud", simulator={"auth": auth}, mode=mode, auth=auth)

    [request] = one.requests
    assert (request.method, request.target) == ("POST", "/smsapi/send")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    to = E164 if auth == "parameters" else DIGITS
    template = {"templateId": "1234", "phone": to, "vars": f'{{"code":"{one.code}"}}'}
    message = template if mode == "template" else {"to": to, "message": one.text}
    reference = f'{{"message_id":"{one.id}"}}'
    expected = {"smsUser": "acme_sms", **message, "sendRequestId": one.id, "customArgs": reference}
    fields = form_fields(request)
    if auth == "parameters":
        expected["smsKey"] = "secret"
    else:
        expected |= {"tag": reference} | ({"msgType": "2"} if mode == "template" else {})
        assert fields.pop("signature") == signature(fields)
        assert abs(int(fields.pop("timestamp")) - time.time()) < 60
    assert fields == expected
    if mode == "text":
        assert f"&message={one.quoted}&" in request.body.decode()


def signature(fields: dict[str, str]) -> str:
    """Sign as documented: MD5 of the key, the fields sorted by name and not encoded, and the key again."""
    pairs = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    return hashlib.md5(f"secret&{pairs}&secret".encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("program", [None, PROGRAM])
async def test_smshub(make_service: ServiceFactory, program: str | None) -> None:
    """A login for a token, then the message with the token as `Bearer`; the number is digits with country code."""
    options = {"program_id": program} if program else {}
    one = await send_through(make_service, "smshub", simulator=options, **options)

    login, text = one.requests
    assert (login.method, login.target) == ("POST", "/Login")
    assert login.headers["content-type"] == "application/json; charset=utf-8"
    assert login.body.decode() == '{"ProgramSID":"hub-sid","ProgramKey":"hub-key"}'
    assert "authorization" not in login.headers
    assert (text.method, text.target) == ("POST", "/TextMessages")
    assert text.headers["content-type"] == "application/json; charset=utf-8"
    scheme, token = text.headers["authorization"].split(" ")
    assert (scheme, jwt.decode(token, options={"verify_signature": False})["unique_name"]) == ("Bearer", "hub-sid")
    own = f',"ProgramId":"{program}"' if program else ""
    assert text.body.decode() == f'{{"Message":"{one.text}","PhoneNumber":"{DIGITS}"{own}}}'


@pytest.mark.parametrize("options", [{}, {"api_key_sid": "SK1", "api_key_secret": "key secret"}])
async def test_twilio(make_service: ServiceFactory, options: dict[str, Any]) -> None:
    """A form with number, sender, text, the rest of the code's lifetime and our receipt URL; Basic auth."""
    key = (options.get("api_key_sid", ACCOUNT_SID), options.get("api_key_secret", "twilio-auth-token"))
    one = await send_through(make_service, "twilio", simulator={"api_key": key}, **options)

    [request] = one.requests
    assert (request.method, request.target) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(":".join(key).encode()).decode()
    found = re.fullmatch(r"(.*)&ValidityPeriod=(\d+)&StatusCallback=(.*)", request.body.decode())
    assert found, request.body
    message, validity, callback = found.groups()
    assert message == f"To=%2B{DIGITS}&From=Acme&Body={one.quoted}"
    assert 290 <= int(validity) <= 300
    url = rf"{re.escape(PUBLIC_URL)}/v1/receipts/first/{re.escape(one.id)}\.1\.[A-Za-z0-9_-]{{22,}}"
    assert re.fullmatch(url, unquote(callback))


@pytest.mark.parametrize("auth", ["parameters", "basic", "signature"])
@pytest.mark.parametrize("body", ["form", "json"])
async def test_vonage(make_service: ServiceFactory, body: str, auth: str) -> None:
    """A form or JSON with exactly these parameters: the number in digits, our id, and one of three authentications."""
    simulator = {"signature_key": SIGNATURE_SECRET, "method": "sha256"}
    keys = {"body_format": body, "auth": auth, "signature_secret": SIGNATURE_SECRET, "signature_method": "sha256"}
    one = await send_through(make_service, "vonage", simulator=simulator, **keys)

    [request] = one.requests
    assert (request.method, request.target) == ("POST", "/sms/json")
    if body == "form":
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert f"&text={one.quoted}&" in request.body.decode()
        fields = form_fields(request)
    else:
        assert request.headers["content-type"] == "application/json"
        fields = msgspec.json.decode(request.body)
    callback = fields.pop("callback")
    assert re.fullmatch(rf"{re.escape(PUBLIC_URL)}/v1/receipts/first/{re.escape(one.id)}\.1\.[\w-]{{22}}", callback)
    assert 285_000 <= int(fields.pop("ttl")) <= 300_000
    expected = {"from": "Acme", "to": DIGITS, "text": one.text, "type": "unicode", "client-ref": one.id}
    expected["status-report-req"] = "true"
    if auth == "basic":
        assert request.headers["authorization"] == "Basic YWJjZDEyMzQ6c2VjcmV0"
    else:
        expected["api_key"] = "abcd1234"
        assert "authorization" not in request.headers
    if auth == "parameters":
        expected["api_secret"] = "secret"
    if auth == "signature":
        assert abs(int(fields.pop("timestamp")) - time.time()) < 60
        assert re.fullmatch(r"[0-9A-F]{64}", fields.pop("sig"))  # the simulator has verified it
    assert fields == expected


async def test_http(make_service: ServiceFactory) -> None:
    """The template of the table, byte for byte, with the text escaped as a JSON string, and the key in a header."""
    one = await send_through(make_service, "http")

    [request] = one.requests
    assert (request.method, request.target) == ("POST", "/sms/3/messages")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "App infobip-key"
    values = {"sender": "Acme", "to": DIGITS, "message_id": one.id, "text": one.text}
    body = str(http_table(INFOBIP_LIKE)["body"])
    assert request.body.decode() == re.sub(r"\{(\w+)\}", lambda found: values[found[1]], body)


@pytest.mark.parametrize(
    ("phone", "country", "national", "digits"),
    [
        ("+65 8123 4567", "SG", "81234567", "6581234567"),
        ("+225 07 07 12 34 56", "CI", "0707123456", "2250707123456"),
        ("+1 204 234 5678", "CA", "2042345678", "12042345678"),
    ],
)
async def test_numbers_of_other_countries(
    make_service: ServiceFactory, phone: str, country: str, national: str, digits: str
) -> None:
    """KedaSMS gets the country and the national number with its leading zero; SMS Hub and SendCloud get all digits."""
    sealed = decrypted_envelope((await send_through(make_service, "kedasms", phone)).requests[-1])
    assert f'"countryCode":"{country}","phoneNumbers":["{national}"]'.encode() in sealed
    text = (await send_through(make_service, "smshub", phone)).requests[-1]
    assert f'"PhoneNumber":"{digits}"'.encode() in text.body
    form = form_fields((await send_through(make_service, "sendcloud", phone)).requests[-1])
    assert form["phone"] == f"+{digits}"
