"""Receipts of Vonage over HTTP: signed or with a token, for each part; forged, late and misdirected ones get 401."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.vonage import VonageSimulator, refusal
from tests.delivery.gateway_config import route_through
from tests.delivery.test_delivery_receipts import PUBLIC_URL, record_of
from tests.message_waits import code_in, wait_for_deliveries
from tests.running_service import RunningService, ServiceFactory

SIGNATURE_SECRET = "signature & secret="


def vonage_then_eims(vonage: VonageSimulator, second: EimsSimulator, *, signed: bool = True) -> dict[str, Any]:
    """Configure Vonage before an EIMS gateway."""
    config = route_through(second)
    table = {
        "type": "vonage", "base_url": vonage.url, "api_key": "abcd1234", "api_secret": "secret", "from": "Acme",
        "timeout_seconds": 0.5,
    }  # fmt: skip
    keys = {"signature_secret": SIGNATURE_SECRET, "signature_method": "sha256"} if signed else {}
    config["providers"] = {"vonage": table | keys, "second": config["providers"]["first"]}
    return merged(config, {"server": {"public_url": PUBLIC_URL}, "routes": [{"providers": ["vonage", "second"]}]})


def gateway(**options: Any) -> VonageSimulator:
    """Return a gateway that signs its receipts."""
    defaults: dict[str, Any] = {"signature_key": SIGNATURE_SECRET, "method": "sha256", "signs_receipts": True}
    return VonageSimulator("abcd1234", "secret", **defaults | options)


async def send_code(service: RunningService, phone: str = "0812-1010-0055") -> str:
    """Request a code, and wait until Vonage has accepted it; return the verification's id."""
    verification_id = (await service.request(phone)).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"vonage": ("sent", None)})
    return str(verification_id)


def build_receipt(vonage: VonageSimulator, status: str = "delivered", *, part: int = 0, **changes: Any) -> Webhook:
    """Build a receipt for a part of the last message."""
    message = vonage.messages[-1]
    facts: dict[str, Any] = {
        "at": time.time(), "message_id": message.ids[part], "msisdn": message.to, "sender": message.sender,
        "client_ref": message.client_ref,
    }  # fmt: skip
    return vonage.receipt_builder.build(status, **facts | changes)


async def deliver(service: RunningService, webhook: Webhook, url: str = "/v1/receipts/vonage") -> httpx.Response:
    """Send a receipt to the service, to its signed or its token URL."""
    target = url.removeprefix(PUBLIC_URL) + (f"?{webhook.query}" if webhook.query else "")
    headers = {"Content-Type": webhook.content_type} if webhook.content_type else {}
    return await service.caller(None).request(webhook.method, target, content=webhook.body, headers=headers)


@pytest.mark.parametrize("form", ["json", "form", "query"])
async def test_a_signed_receipt_moves_the_delivery(
    make_service: ServiceFactory, second: EimsSimulator, form: str
) -> None:
    """In every form, with and without the token; the same receipt again, and a later one, change nothing."""
    async with gateway() as vonage:
        service = await make_service(vonage_then_eims(vonage, second))
        verification_id = await send_code(service)
        buffered, delivered = build_receipt(vonage, "buffered", form=form), build_receipt(vonage, form=form)
        failed = build_receipt(vonage, "failed", error_code=3, form=form)

        for webhook, url in ((buffered, "/v1/receipts/vonage"), (delivered, vonage.messages[0].callback),
                             (delivered, "/v1/receipts/vonage"), (failed, "/v1/receipts/vonage")):  # fmt: skip
            assert (await deliver(service, webhook, url)).status_code == 200

        await wait_for_deliveries(service, verification_id, {"vonage": ("delivered", None)})
        assert (await service.verify(verification_id, code_in(vonage.messages[0].text))).status_code == 200
        assert second.messages == []


async def test_an_unsigned_receipt_needs_the_token(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Without a signature secret, only the token URL is accepted: not that of another message, and not a bare one."""
    async with gateway(signs_receipts=False) as vonage:
        service = await make_service(vonage_then_eims(vonage, second, signed=False))
        other = await send_code(service, "0812-1010-0056")
        verification_id = await send_code(service)
        receipt = build_receipt(vonage)
        wrong = (vonage.messages[0].callback, "/v1/receipts/vonage", vonage.messages[1].callback[:-1] + "!")
        for url in wrong:
            assert (await deliver(service, receipt, url)).status_code == 401
        await wait_for_deliveries(service, verification_id, {"vonage": ("sent", None)})

        assert (await deliver(service, receipt, vonage.messages[1].callback)).status_code == 200
        await wait_for_deliveries(service, verification_id, {"vonage": ("delivered", None)})
        await wait_for_deliveries(service, other, {"vonage": ("sent", None)})


async def test_receipts_that_are_not_authentic(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Forged, unsigned, late, changed and misdirected receipts get 401, and change nothing."""
    async with gateway() as vonage:
        service = await make_service(vonage_then_eims(vonage, second))
        other = await send_code(service, "0812-1010-0056")
        verification_id = await send_code(service)
        before = await record_of(service, verification_id), await record_of(service, other)
        own, others = (message.callback for message in reversed(vonage.messages))
        form = build_receipt(vonage, form="form")
        unsigned = gateway(signs_receipts=False)
        unsigned.messages = vonage.messages
        refused = [
            (build_receipt(vonage, forged=True), own),
            (build_receipt(unsigned), own),
            (build_receipt(vonage, at=time.time() - 301), own),
            (build_receipt(vonage, at=time.time() + 301), own),
            (build_receipt(vonage, "failed"), others),
            (Webhook(form.body.replace(b"delivered", b"failed"), form.content_type), own),
            (Webhook(b"", "", method="GET"), "/v1/receipts/vonage"),
        ]
        for webhook, url in refused:
            reply = await deliver(service, webhook, url)
            assert (reply.status_code, reply.json()["code"]) == (401, "key_invalid")
        assert (await record_of(service, verification_id), await record_of(service, other)) == before


async def test_receipts_of_the_parts(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A part that was not delivered makes the message undelivered: one failover with the same code, and not two."""
    texts = {"demo": {"templates": {"id": {"default": "kode {code} " + "x" * 160}}}}
    async with gateway() as vonage:
        service = await make_service(merged(vonage_then_eims(vonage, second), {"tenants": texts}))
        verification_id = await send_code(service)
        assert len(vonage.messages[0].ids) == 2
        for part, status, code in ((0, "failed", 2), (1, "failed", 2), (1, "delivered", 0)):
            receipt = build_receipt(vonage, status, part=part, error_code=code)
            assert (await deliver(service, receipt)).status_code == 200

        await wait_for_deliveries(
            service, verification_id, {"vonage": ("undelivered", "transient"), "second": ("sent", None)}
        )
        assert [code_in(message.text) for message in second.messages] == [code_in(vonage.messages[0].text)]


async def test_delivered_when_every_part_is(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A repeated receipt of one part counts once; the receipt of the last part makes the message delivered."""
    texts = {"demo": {"templates": {"id": {"default": "kode {code} " + "x" * 310}}}}
    async with gateway() as vonage:
        service = await make_service(merged(vonage_then_eims(vonage, second), {"tenants": texts}))
        verification_id = await send_code(service)
        assert len(vonage.messages[0].ids) == 3
        for part, status in ((2, "sent"), (0, "sent"), (2, "sent"), (0, "sent"), (1, "delivered")):
            for url in (vonage.messages[0].callback, "/v1/receipts/vonage"):
                assert (await deliver(service, build_receipt(vonage, part=part), url)).status_code == 200
            await wait_for_deliveries(service, verification_id, {"vonage": (status, None)})
    assert second.messages == []


async def test_a_late_receipt_of_an_earlier_call(make_service: ServiceFactory) -> None:
    """The gateway is called again after a refusal: a receipt of the first call does not change the second one."""
    async with gateway(signs_receipts=False) as vonage, EimsSimulator("user", "password") as unused:
        config = merged(vonage_then_eims(vonage, unused, signed=False), {"routes": [{"providers": ["vonage"]}]})
        vonage.script(refusal(1))
        service = await make_service(config)
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"vonage": ("sent", None)})
        first, last = (parse_qs(request.body.decode())["callback"][0] for request in vonage.requests)
        assert first.rpartition("/")[2] != last.rpartition("/")[2]

        for late in (build_receipt(vonage, "failed", message_id="0A01"), build_receipt(vonage, message_id="0A01")):
            assert (await deliver(service, late, first)).status_code == 200
        await wait_for_deliveries(service, verification_id, {"vonage": ("sent", None)})
        stored = await record_of(service, verification_id)
        assert vonage.messages[0].ids[0].encode() in stored and b"0A01" not in stored

        assert (await deliver(service, build_receipt(vonage), last)).status_code == 200
        await wait_for_deliveries(service, verification_id, {"vonage": ("delivered", None)})


async def test_a_receipt_for_a_message_with_some_parts(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """If some parts were refused, no other gateway is called before the hold ends; one part alone is no delivery."""
    texts = {"demo": {"templates": {"id": {"default": "kode {code} " + "x" * 160}}}}
    async with gateway() as vonage:
        vonage.refused_parts = {1: 1}
        config = merged(vonage_then_eims(vonage, second), {"tenants": texts, "delivery": {"hold_seconds": 60}})
        service = await make_service(config)
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"vonage": ("unknown", "ambiguous")})
        assert second.messages == []

        assert (await deliver(service, build_receipt(vonage))).status_code == 200
        await wait_for_deliveries(service, verification_id, {"vonage": ("unknown", "ambiguous")})
        assert (len(vonage.requests), second.messages) == (1, [])
