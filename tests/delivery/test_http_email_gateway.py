"""E-mail through a gateway of the type `http`: subject and HTML in the request, and receipts that name the address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otp_service.sandbox.simulators.http_server import Request, Simulator, SimulatorResponse
from tests.delivery.test_http_provider_receipts import HOOK, TOKEN, post
from tests.message_waits import code_in, wait_for_deliveries
from tests.running_service import ServiceFactory
from tests.waits import wait_until

BODY = '{"to": "{to}", "subject": "{subject}", "text": "{text}", "html": "{html}", "id": "{message_id}"}'


class MailGateway(Simulator):
    """Accepts every e-mail."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, str]] = []

    def answer(self, request: Request) -> SimulatorResponse:
        """Keep an e-mail."""
        self.messages.append(json.loads(request.body))
        return SimulatorResponse(b"{}")


@pytest.fixture
async def mail() -> AsyncIterator[MailGateway]:
    """A running gateway."""
    async with MailGateway() as gateway:
        yield gateway


def mail_config(gateway: MailGateway) -> dict[str, Any]:
    """Return a config that sends e-mails through the gateway."""
    receipts = {
        "token": TOKEN,
        "message_id": "/id",
        "to": "/to",
        "status": "/status",
        "delivered": ["delivered"],
        "undelivered": {"bounced": "recipient_invalid"},
    }
    table = {"type": "http", "channel": "email", "url": f"{gateway.url}/send", "body": BODY, "receipts": receipts}
    return {"providers": {"first": table}, "routes": [{"channel": "email", "providers": ["first"]}]}


@pytest.mark.parametrize(("status", "error"), [("delivered", None), ("bounced", "recipient_invalid")])
async def test_an_email_and_its_receipt(
    make_service: ServiceFactory, mail: MailGateway, status: str, error: str | None
) -> None:
    """The receipt may spell the address in another case; one of another address changes nothing."""
    service = await make_service(mail_config(mail))
    verification_id = (await service.request(email="Ann.Lee@example.com", locale="en")).json()["verification_id"]
    await wait_until(lambda: len(mail.messages) == 1)
    [message] = mail.messages
    assert (message["to"], message["id"]) == ("Ann.Lee@example.com", verification_id)
    code = code_in(message["text"])
    assert message["subject"].startswith("Demo: ") and code not in message["subject"]
    assert message["html"].startswith("<!") and code in message["html"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})

    for to in ("ann.lee@example.org", "ANN.LEE@EXAMPLE.COM"):
        body = json.dumps({"id": verification_id, "to": to, "status": status}).encode()
        assert await post(service, HOOK, body) == 200
        final = ("delivered", None) if error is None else ("undelivered", error)
        expected = ("sent", None) if to.endswith("org") else final
        await wait_for_deliveries(service, verification_id, {"first": expected})
    assert (await service.verify(verification_id, code)).status_code == 200
