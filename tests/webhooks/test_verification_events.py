"""The events of a verification, from the request to its end, as a receiver gets them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.running_service import E164, ServiceFactory
from tests.webhooks.webhook_receiver import WebhookReceiver


def demo_webhooks(**endpoints: Any) -> dict[str, Any]:
    """Return a config with endpoints of the tenant `demo`."""
    return {"tenants": {"demo": {"webhooks": endpoints}}}


async def test_requested_sent_verified(make_service: ServiceFactory, receiver: WebhookReceiver) -> None:
    """Each step has one event, with the id, the masked number and the reference, and never the code."""
    service = await make_service(demo_webhooks(main=receiver.config()))

    verification_id, code = await service.request_code(reference="order-17")
    requested, sent = await receiver.wait_for("verification.requested", "message.sent")
    assert (await service.verify(verification_id, code)).status_code == 200
    [verified] = await receiver.wait_for("verification.verified")

    common = {
        "verification_id": verification_id,
        "tenant": "demo",
        "phone": "+62812*****055",
        "reference": "order-17",
        "purpose": "login",
        "channel": "sms",
        "country": "ID",
    }
    assert requested.data == common | {"status": "pending"}
    assert sent.data == common | {"status": "sent", "provider": "inbox"}
    assert verified.data == common | {"status": "verified"}
    at = datetime.fromisoformat(json.loads(verified.body)["timestamp"])
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert len({event.id for event in receiver.events}) == len(receiver.events) == 3
    assert not [event for event in receiver.events if code.encode() in event.body or E164.encode() in event.body]
