"""The channel `auto` over HTTP: WhatsApp through an `http` gateway, then SMS through EIMS, with one code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator, EimsState
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.sandbox.simulators.infobip import InfobipSimulator, refusal
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from tests.config_parts import demo_policy, shared_keys
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.delivery.test_http_provider_receipts import HOOK, TOKEN, post
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, read_deliveries, wait_for_deliveries, wait_for_message
from tests.providers.http_gateways import INFOBIP_LIKE, http_table
from tests.running_service import RunningService, ServiceFactory

HOLD_SECONDS = 20
Deliveries = dict[str, tuple[str, str | None]]


@pytest.fixture
async def chat() -> AsyncIterator[InfobipSimulator]:
    """A WhatsApp gateway that reports by a webhook."""
    async with InfobipSimulator("infobip-key") as gateway:
        yield gateway


def auto_config(chat: InfobipSimulator, text: EimsSimulator, **delivery: float) -> dict[str, Any]:
    """Return a config with the order WhatsApp, SMS; the providers are `first` and `text`."""
    table = http_table(INFOBIP_LIKE, base_url=chat.url, secrets={"api_key": "infobip-key"}, timeout_seconds=0.5)
    table |= {"channel": "whatsapp", "receipts": {**table["receipts"], "token": TOKEN}}
    config = route_through(text, **delivery)
    config |= {
        "providers": {"first": table, "text": config["providers"]["first"]},
        "routes": [{"channel": "whatsapp", "providers": ["first"]}, {"providers": ["text"]}],
    }
    return merged(merged(config, shared_keys()), demo_policy(channels=["whatsapp", "sms"]))


async def sent_by_chat(service: RunningService, chat: InfobipSimulator) -> tuple[str, str]:
    """Request a code with `auto` and wait until the WhatsApp gateway has it; return the id and the code."""
    response = await service.request(channel="auto")
    assert response.status_code == 202, response.text
    assert response.json()["channel"] == "auto"
    verification_id = response.json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    return verification_id, code_in(chat.messages[-1].text)


async def report(service: RunningService, chat: InfobipSimulator, status: Literal["delivered", "undelivered"]) -> None:
    """Send the WhatsApp gateway's report of its last message."""
    assert await post(service, HOOK, chat.build_webhook(chat.messages[-1], ScriptedReceipt(status)).body) == 200


async def test_sms_follows_without_a_receipt(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator
) -> None:
    """After the hold and not before it: the same code, in one verification, once by each channel."""
    service = await make_service(auto_config(chat, gateway))
    verification_id, code = await sent_by_chat(service, chat)
    await service.advance(HOLD_SECONDS - 1)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert gateway.messages == []

    await service.advance(1)
    assert code_in((await wait_for_message(gateway)).text) == code
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None), "text": ("sent", None)})
    found = [(one["provider"], one["channel"]) for one in await read_deliveries(service, verification_id)]
    assert found == [("first", "whatsapp"), ("text", "sms")]
    await service.advance(100)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert (len(chat.messages), len(gateway.messages)) == (1, 1)
    assert (await service.verify(verification_id, code)).status_code == 200


async def test_a_receipt_within_the_hold_ends_the_delivery(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator
) -> None:
    """No SMS is sent."""
    service = await make_service(auto_config(chat, gateway))
    verification_id, code = await sent_by_chat(service, chat)
    await report(service, chat, "delivered")
    await service.advance(HOLD_SECONDS + 1)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert gateway.requests == []
    await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})
    assert (await service.verify(verification_id, code)).status_code == 200


@pytest.mark.parametrize("status", ["delivered", "undelivered"])
async def test_a_receipt_after_the_switch(
    make_service: ServiceFactory,
    chat: InfobipSimulator,
    gateway: EimsSimulator,
    status: Literal["delivered", "undelivered"],
) -> None:
    """It moves the delivery of its own channel; nothing more is sent, and the code is valid."""
    service = await make_service(auto_config(chat, gateway))
    verification_id, code = await sent_by_chat(service, chat)
    await service.advance(HOLD_SECONDS)
    await wait_for_message(gateway)
    await report(service, chat, status)
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    error = None if status == "delivered" else "transient"
    await wait_for_deliveries(service, verification_id, {"first": (status, error), "text": ("sent", None)})
    assert (len(chat.messages), len(gateway.messages)) == (1, 1)
    assert (await service.verify(verification_id, code)).status_code == 200


async def test_an_undelivered_message_goes_by_the_next_channel_at_once(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator
) -> None:
    """The hold is not waited for."""
    service = await make_service(auto_config(chat, gateway))
    verification_id, code = await sent_by_chat(service, chat)
    await report(service, chat, "undelivered")

    assert code_in((await wait_for_message(gateway)).text) == code
    await wait_for_deliveries(service, verification_id, {"first": ("undelivered", "transient"), "text": ("sent", None)})


@pytest.mark.parametrize(("status", "error"), [(14, "recipient_invalid"), (12, "funds")])
async def test_a_failed_channel_is_followed_at_once(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator, status: int, error: str
) -> None:
    """Also when the gateway rejects the recipient: a number without WhatsApp can get an SMS."""
    chat.script(refusal(status))
    service = await make_service(auto_config(chat, gateway))
    verification_id = (await service.request(channel="auto")).json()["verification_id"]

    await wait_for_message(gateway)
    await wait_for_deliveries(service, verification_id, {"first": ("failed", error), "text": ("sent", None)})


@pytest.mark.parametrize(("options", "messages"), [({"max_texts": 1}, 0), ({"channel_hold_seconds": 0}, 0), ({}, 1)])
async def test_max_texts_counts_over_all_channels(
    make_service: ServiceFactory,
    chat: InfobipSimulator,
    gateway: EimsSimulator,
    options: dict[str, float],
    messages: int,
) -> None:
    """With 1 no SMS follows an accepted message, nor with `channel_hold_seconds = 0`."""
    service = await make_service(auto_config(chat, gateway, **options))
    await sent_by_chat(service, chat)
    await service.advance(HOLD_SECONDS)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert len(gateway.messages) == messages


async def test_ambiguous_outcome_keeps_its_hold(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator
) -> None:
    """The reply of the WhatsApp gateway is unreadable: SMS after `hold_seconds`, which is shorter here."""
    chat.script(Respond(SimulatorResponse(b"?", 500)))
    service = await make_service(auto_config(chat, gateway, hold_seconds=5))
    verification_id = (await service.request(channel="auto")).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(4)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert gateway.messages == []

    await service.advance(1.5)
    await wait_for_message(gateway)


async def test_another_replica_uses_the_next_channel(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator
) -> None:
    """The replica that called WhatsApp stops during the hold; of three others one sends the SMS."""
    first_factory = ServiceFactory(make_service.url)
    try:
        first = await first_factory(auto_config(chat, gateway))
        verification_id, code = await sent_by_chat(first, chat)
    finally:
        await first_factory.close()
    services = [await make_service(auto_config(chat, gateway)) for _ in range(3)]
    await services[0].advance(HOLD_SECONDS)

    assert code_in((await wait_for_message(gateway)).text) == code
    await services[0].advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert (len(chat.messages), len(gateway.messages)) == (1, 1)
    assert (await services[0].verify(verification_id, code)).status_code == 200


async def test_a_worker_that_stops_before_the_call_of_the_next_channel(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has claimed the message at the end of the hold: another replica sends when the lease has expired."""
    service = await make_service(auto_config(chat, gateway))
    _, code = await sent_by_chat(service, chat)
    with monkeypatch.context() as stopped:
        stopped.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        await service.advance(HOLD_SECONDS)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert gateway.messages == []

    await service.advance(6)
    assert code_in((await wait_for_message(gateway)).text) == code


async def test_a_report_is_queried_before_the_next_channel(
    make_service: ServiceFactory, chat: InfobipSimulator, make_gateway: GatewayFactory
) -> None:
    """SMS first, with reports that are polled every 60 s: at the end of the hold the report says `delivered`."""
    gateway = await make_gateway(row_length=5)
    config = auto_config(chat, gateway)
    config["providers"]["text"]["report_poll_seconds"] = 60
    service = await make_service(merged(config, demo_policy(channels=["sms", "whatsapp"])))
    verification_id = (await service.request(channel="auto")).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"text": ("sent", None)})
    gateway.states[gateway.messages[0].id] = EimsState(0, 3)
    await service.advance(HOLD_SECONDS)

    await wait_for_deliveries(service, verification_id, {"text": ("delivered", None)})
    assert chat.requests == []


async def test_success_within_the_hold_ends_the_delivery(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator
) -> None:
    """The code was entered, so it arrived."""
    service = await make_service(auto_config(chat, gateway))
    verification_id, code = await sent_by_chat(service, chat)
    assert (await service.verify(verification_id, code)).status_code == 200
    await service.advance(HOLD_SECONDS)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert gateway.requests == []


async def test_no_route_only_if_no_channel_has_one(
    make_service: ServiceFactory, chat: InfobipSimulator, gateway: EimsSimulator
) -> None:
    """`auto` uses the channels that have a route; the cap of one provider does not refuse the request."""
    config = auto_config(chat, gateway)
    capped = {"providers": {"first": {**config["providers"]["first"], "daily_message_cap": 1}}}
    service = await make_service(merged(config, capped))
    await sent_by_chat(service, chat)
    await service.advance(HOLD_SECONDS)
    await wait_for_message(gateway)
    assert (await service.request("0812-1010-0056", channel="whatsapp")).json()["code"] == "spend_cap_reached"
    assert (await service.request("0812-1010-0057", channel="auto")).status_code == 202
    await wait_for_message(gateway, 2)

    for routes, expected in (([{"providers": ["text"]}], 202), ([{"country": "SG", "providers": ["text"]}], 503)):
        other = await make_service({**config, "routes": routes})
        response = await other.request("0812-1010-00" + str(expected)[1:], channel="auto")
        assert response.status_code == expected
