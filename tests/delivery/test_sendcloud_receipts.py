"""Signed receipts of SendCloud, whose signature does not cover the body."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from tests.delivery.gateway_config import route_through
from tests.delivery.test_delivery_receipts import PUBLIC_URL, record_of
from tests.message_waits import wait_for_deliveries
from tests.running_service import ServiceFactory

HOOK_KEY = "hook key"


def sendcloud_then_eims(aurora: SendcloudSimulator, second: EimsSimulator) -> dict[str, Any]:
    """Configure SendCloud before an EIMS gateway."""
    config = route_through(second)
    config["providers"] = {
        "aurora": {
            "type": "sendcloud",
            "base_url": aurora.url,
            "sms_user": "acme_sms",
            "sms_key": "secret",
            "hook_key": HOOK_KEY,
            "template_id": 1234,
            "timeout_seconds": 0.5,
        },
        "second": config["providers"]["first"],
    }
    return merged(config, {"server": {"public_url": PUBLIC_URL}, "routes": [{"providers": ["aurora", "second"]}]})


def webhook(aurora: SendcloudSimulator, event: str = "deliver", **changes: Any) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a webhook about the last message."""
    message = aurora.messages[-1]
    facts: dict[str, Any] = {"at": time.time(), "sms_id": message.sms_id, "custom_args": message.custom_args}
    written = aurora.webhooks.build(event, **facts | changes)
    return written.body, {"Content-Type": written.content_type}


@pytest.mark.parametrize("form", ["json", "form"])
async def test_signed_webhooks(make_service: ServiceFactory, second: EimsSimulator, form: str) -> None:
    """In both formats: `undelivered` fails over; the same webhook again, and an older one, change nothing."""
    async with SendcloudSimulator(app_key=HOOK_KEY) as aurora:
        service = await make_service(sendcloud_then_eims(aurora, second))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"aurora": ("sent", None)})
        failed, headers = webhook(aurora, "delivererror", status_code=580, form=form)
        delivered, _ = webhook(aurora, "deliver", form=form)

        for body in (failed, failed, delivered):
            reply = await service.caller(None).post("/v1/receipts/aurora", content=body, headers=headers)
            assert reply.status_code == 200, reply.text

        await wait_for_deliveries(
            service, verification_id, {"aurora": ("undelivered", "transient"), "second": ("sent", None)}
        )
        assert len(second.messages) == 1
        assert re.findall(r"\d{6}", second.messages[0].text) == [aurora.messages[0].values["code"]]


async def test_wrong_signature_is_rejected(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A foreign key, an old timestamp and a missing signature get 401; SendCloud's test calls get 200."""
    async with SendcloudSimulator(app_key=HOOK_KEY) as aurora:
        service = await make_service(sendcloud_then_eims(aurora, second))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"aurora": ("sent", None)})
        before = await record_of(service, verification_id)
        client = service.caller(None)
        foreign = SendcloudSimulator(app_key="another key")
        foreign.messages = aurora.messages

        for body, headers in (
            webhook(foreign),
            webhook(aurora, at=time.time() - 49 * 3600),
            (b'{"event": "deliver"}', {}),
        ):
            reply = await client.post("/v1/receipts/aurora", content=body, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (401, "key_invalid")
        assert (await client.get("/v1/receipts/aurora")).status_code == 200
        assert (await client.post("/v1/receipts/aurora")).status_code == 200

        assert await record_of(service, verification_id) == before


async def test_captured_signature_is_not_valid_for_another_body(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """A signature covers only a timestamp and a nonce, so it is accepted for the first body only."""
    async with SendcloudSimulator(app_key=HOOK_KEY) as aurora:
        service = await make_service(sendcloud_then_eims(aurora, second))
        first = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, first, {"aurora": ("sent", None)})
        body, headers = webhook(aurora)
        await service.caller(None).post("/v1/receipts/aurora", content=body, headers=headers)
        other = (await service.request("0812-1010-0056")).json()["verification_id"]
        await wait_for_deliveries(service, other, {"aurora": ("sent", None)})

        forged = body.replace(first.encode(), other.encode()).replace(b"6281210100055", b"6281210100056")
        reply = await service.caller(None).post("/v1/receipts/aurora", content=forged, headers=headers)

        assert reply.status_code == 200
        await wait_for_deliveries(service, first, {"aurora": ("delivered", None)})
        await wait_for_deliveries(service, other, {"aurora": ("sent", None)})
