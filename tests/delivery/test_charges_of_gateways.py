"""What a gateway says it charged, in a response, a callback or a report, changes the sums of the day."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from otp_service.delivery import charge_queries
from otp_service.domain.message import DeliveryReport
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.providers.kedasms.adapter import Kedasms
from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.store.keys import ProviderKeys, country_usage_key, tenant_usage_key
from tests.delivery.gateway_pairs import PUBLIC_URL, GatewayPair, gateway_pair
from tests.message_waits import wait_for_deliveries
from tests.running_service import RunningService, ServiceFactory

PRICED = {"price": {"ID": "0.01"}}
DEBITED, COST = 48_000, 50_000
"""Of the simulated gateway: in its response and in its callbacks."""


def config_of(pair: GatewayPair, **options: Any) -> dict[str, Any]:
    """Configure a spend cap of the tenant and of the country, which count at the provider's price."""
    caps = {"daily_spend_cap": "5"}
    free = {"providers": {"second": {"price": {"default": "0"}}}}
    tenant = {"tenants": {"demo": {"countries": ["ID"], "policy": caps}}, "countries": {"ID": caps}}
    return merged(merged(pair.config(options=PRICED | options), free), tenant)


async def wait_for_spend(service: RunningService, spend: int) -> None:
    """Wait until the sums of today of the provider, the tenant and the country are `spend`."""
    keys = (ProviderKeys("first").usage, tenant_usage_key("demo"), country_usage_key("ID"))
    async with asyncio.timeout(5):
        while {int(await service.store.hget(key, "spend") or 0) for key in keys} != {spend}:
            await asyncio.sleep(0.01)


async def test_the_response_and_then_the_callback(make_service: ServiceFactory) -> None:
    """A repeated callback changes nothing, nor does one with a wrong token or for another number."""
    async with gateway_pair("kedasms") as pair:
        service = await make_service(config_of(pair))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        await wait_for_spend(service, DEBITED)

        message: Any = pair.first.messages[0]
        target = message.callback_url.removeprefix(PUBLIC_URL)
        body = {"msgid": message.msgid, "status": "DELIVERED", "recipient": "+6281210100055", "cost": "0.05"}
        forged = await service.client.post(target + "x", content=json.dumps(body | {"cost": "9"}))
        misdirected = body | {"cost": "9", "recipient": "+6281210100099"}
        answers = [await service.client.post(target, content=json.dumps(one)) for one in (misdirected, body, body)]

        assert [forged.status_code, *(answer.status_code for answer in answers)] == [401, 200, 200, 200]
        await wait_for_spend(service, COST)


async def test_a_report_that_is_polled(make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The amount of a report counts as that of a receipt does, also while the message is on its way."""
    reports = [DeliveryReport(None, charged=Decimal("0.03")), DeliveryReport(DeliveryStatus.DELIVERED)]

    async def fetch_report(*_: object) -> DeliveryReport:
        return reports.pop(0) if reports else DeliveryReport(None)

    monkeypatch.setattr(Kedasms, "fetch_report", fetch_report)
    async with gateway_pair("kedasms") as pair:
        service = await make_service(config_of(pair, report_poll_seconds=0.05))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})
        await wait_for_spend(service, 30_000)


async def test_price_that_is_known_later(make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twilio tells the price to a query only, and not at once: it is queried after the receipt, and again."""
    monkeypatch.setattr(charge_queries, "DELAYS_SECONDS", (0.0, 0.05))
    async with gateway_pair("twilio") as pair:
        service = await make_service(config_of(pair, report_poll_seconds=60))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        await wait_for_spend(service, 10_000)

        gateway: Any = pair.first
        [message] = gateway.messages
        unknown = f'{{"sid":"{message.sid}","status":"delivered","price":null,"price_unit":"USD"}}'
        gateway.scripted_paths = frozenset()
        gateway.script(Respond(SimulatorResponse(unknown.encode())))
        hook = gateway.status_callback(message, "delivered")
        gateway.statuses[message.sid] = ("delivered", None)
        target, headers = message.callback_url.removeprefix(PUBLIC_URL), {"Content-Type": hook.content_type}
        for _ in range(2):
            reply = await service.caller(None).post(target, content=hook.body, headers=headers | dict(hook.headers))
            assert reply.status_code == 200

        await wait_for_spend(service, 45_300)
        assert [request.method for request in gateway.requests] == ["POST", "GET", "GET"]
