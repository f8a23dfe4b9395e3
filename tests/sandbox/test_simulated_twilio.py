"""The simulated Twilio: the documented sample, every refusal, and status callbacks that go out signed."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from otp_service.domain.message import OutboundMessage, Receipt, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.twilio.adapter import Twilio
from otp_service.providers.twilio.config import TwilioConfig
from otp_service.sandbox.simulators.http_server import Request
from otp_service.sandbox.simulators.receipt_sender import ReceiptStatus, ScriptedReceipt
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator
from tests.sandbox.receipt_listener import TO, ReceiptListener, outbound
from tests.waits import wait_until

PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
TOKEN = "twilio-auth-token"
FORM = "application/x-www-form-urlencoded"
SAMPLE = {"Body": "Hi there", "From": "+15017122661", "To": "+15558675310"}


def basic(user: str = ACCOUNT_SID, password: str = TOKEN) -> str:
    """Return the `Authorization` header of Basic auth."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def call(
    gateway: TwilioSimulator, method: str, path: str, fields: dict[str, str] | None = None, **headers: str
) -> tuple[int, Any]:
    """Send a request; return the status and the body, parsed if it is JSON."""
    named = {"authorization": basic(), "content-type": FORM} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    body = urlencode(fields or {}).encode()
    reply = gateway.answer(Request(method, PATH + path, named, body))
    return reply.status, json.loads(reply.body) if reply.body[:1] == b"{" else reply.body


def test_documented_sample_creates_a_message() -> None:
    """The vendor's sample gets 201 and the message resource, which can be fetched by its SID."""
    gateway = TwilioSimulator()
    status, created = call(gateway, "POST", "/Messages.json", SAMPLE)
    assert status == 201
    assert list(created) == [
        "account_sid", "api_version", "body", "date_created", "date_sent", "date_updated", "direction", "error_code",
        "error_message", "from", "messaging_service_sid", "num_media", "num_segments", "price", "price_unit", "sid",
        "status", "subresource_uris", "to", "uri",
    ]  # fmt: skip
    assert (created["body"], created["from"], created["to"]) == tuple(SAMPLE.values())
    assert (created["status"], created["num_segments"], created["price"]) == ("queued", "1", None)
    assert created["uri"] == f"{PATH}/Messages/{created['sid']}.json"
    assert call(gateway, "GET", f"/Messages/{created['sid']}.json") == (200, created)


def test_message_of_a_service_is_accepted_first() -> None:
    """With a messaging service, the first status is `accepted`, and there are no segments yet."""
    fields = {"To": SAMPLE["To"], "Body": "x", "MessagingServiceSid": "MG" + "0" * 32}
    status, created = call(TwilioSimulator(), "POST", "/Messages.json", fields)
    assert (status, created["status"], created["num_segments"], created["from"]) == (201, "accepted", "0", None)


REFUSED: list[tuple[dict[str, str], int]] = [
    ({"To": "081210100055"}, 21211),
    ({"To": ""}, 21211),
    ({"From": ""}, 21603),
    ({"MessagingServiceSid": "service"}, 21705),
    ({"Body": ""}, 21602),
    ({"Body": "x" * 1601}, 21617),
    ({"ValidityPeriod": "0"}, 21624),
    ({"ValidityPeriod": "36001"}, 21624),
    ({"ValidityPeriod": "1.5"}, 21624),
    ({"StatusCallback": "otp.example.com"}, 21609),
    ({"StatusCallback": "https://a_b.example.com/"}, 21609),
    ({"To": "+15558675311"}, 21610),
]


@pytest.mark.parametrize(("fields", "code"), REFUSED)
def test_refused_message(fields: dict[str, str], code: int) -> None:
    """What the documents forbid gets HTTP 400 and the error resource."""
    gateway = TwilioSimulator(refused={"+15558675311": 21610})
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    expected = {"code": code, "message": "Refused", "more_info": more_info, "status": 400}
    assert call(gateway, "POST", "/Messages.json", SAMPLE | fields) == (400, expected)
    assert gateway.messages == []


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        (SAMPLE | {"MaxPrice": "1"}, {}),
        (SAMPLE, {"content_type": "application/json"}),
        (SAMPLE | {"Body": "\udcff"}, {}),
    ],
)
def test_request_that_is_not_documented(fields: dict[str, str], headers: dict[str, str]) -> None:
    """An unknown parameter, another media type or text that is not UTF-8 gets 400 with the reason as text."""
    encoded = urlencode(fields, errors="surrogateescape").encode()
    named = {"authorization": basic(), "content-type": headers.get("content_type", FORM)}
    reply = TwilioSimulator().answer(Request("POST", PATH + "/Messages.json", named, encoded))
    assert (reply.status, reply.headers["Content-Type"]) == (400, "text/plain;charset=utf-8")


@pytest.mark.parametrize("authorization", ["", basic(password="x"), basic(user="AC1"), basic().lower(), "Bearer x"])
def test_wrong_credentials_get_401(authorization: str) -> None:
    """Every resource needs the SID and the token of the account, or its API key."""
    gateway = TwilioSimulator(api_key=("SK1", "secret"))
    for method, path in (("POST", "/Messages.json"), ("GET", "/Balance.json"), ("GET", "/Messages/SM1.json")):
        status, error = call(gateway, method, path, authorization=authorization)
        assert (status, error["code"]) == (401, 20003)
    assert call(gateway, "GET", "/Balance.json", authorization=basic("SK1", "secret"))[0] == 200


def test_funds_are_used_up() -> None:
    """Each message costs, and without funds the account is no longer active."""
    gateway = TwilioSimulator(funds=0.04)
    assert call(gateway, "POST", "/Messages.json", SAMPLE)[0] == 201
    assert call(gateway, "GET", "/Balance.json")[1] == {
        "account_sid": ACCOUNT_SID, "balance": "-0.0053", "currency": "USD"
    }  # fmt: skip
    status, error = call(gateway, "POST", "/Messages.json", SAMPLE)
    assert (status, error["code"]) == (403, 20005)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/Messages.json"), ("GET", "/Messages/SM1.json"), ("PUT", "/Balance.json")]
)
def test_unknown_resource_gets_404(method: str, path: str) -> None:
    """Anything else is not served."""
    status, error = call(TwilioSimulator(), method, path)
    assert (status, error["code"]) == (404, 20404)


@pytest.mark.parametrize(
    ("receipt", "status", "error"),
    [
        (ScriptedReceipt("sent"), None, None),
        (ScriptedReceipt("delivered"), DeliveryStatus.DELIVERED, None),
        (ScriptedReceipt("undelivered"), DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT),
        (ScriptedReceipt("undelivered", reason=30005), DeliveryStatus.UNDELIVERED, Outcome.RECIPIENT_INVALID),
    ],
)
async def test_status_callback_goes_out_signed(
    receipt: ScriptedReceipt, status: DeliveryStatus | None, error: Outcome | None
) -> None:
    """It goes to the URL of the message as a form, and the adapter accepts its signature for that URL only."""
    gateway = TwilioSimulator()
    gateway.receipts = [receipt]
    async with ReceiptListener() as receiver, gateway:
        config = TwilioConfig(base_url=gateway.url, account_sid=ACCOUNT_SID, auth_token=Secret(TOKEN), sender="Acme")
        provider = Twilio("first", config, GatewayClient(2.0))
        url = receiver.url + "/v1/receipts/first/t"
        message: OutboundMessage = outbound(receipt_url=url)
        sent = await provider.send(message)
        await wait_until(lambda: len(gateway.sent_receipts) == 1)
        report = await provider.fetch_report(sent.provider_message_id)
        await provider.close()

    [request] = receiver.requests
    assert (request.method, request.target, request.headers["content-type"]) == ("POST", "/v1/receipts/first/t", FORM)
    fields = dict(parse_qsl(request.body.decode()))
    reported: ReceiptStatus = receipt.status
    assert (fields["MessageStatus"], fields["SmsStatus"], fields["To"]) == (reported, reported, TO)
    arrived = ReceiptRequest("POST", url, "v1-ABC_7", 0.0, headers=request.headers, body=request.body)
    expected = Receipt("v1-ABC_7", status, error, provider_message_id=sent.provider_message_id, to=TO)
    assert provider.parse_receipts(arrived) == [expected]
    assert (report.status, report.error) == (status, error)
