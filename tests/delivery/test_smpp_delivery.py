"""SMPP with the whole service: a code over HTTP arrives, verifies, and receipts move the delivery, on any replica."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otp_service.delivery import outbox_writer
from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Slow
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from otp_service.sandbox.simulators.smpp import SmppSimulator, refusal
from otp_service.sandbox.simulators.smpp_pdus import deliver_body
from otp_service.sandbox.simulators.smpp_receipts import receipt_body
from tests.config_parts import shared_keys
from tests.delivery.gateway_config import route_through
from tests.message_waits import code_in, wait_for_deliveries, wait_for_message
from tests.providers.smpp_provider import PASSWORD, SYSTEM_ID, smsc
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import dump_store
from tests.waits import wait_until

DIGITS = "6281210100055"


def smpp_then_eims(gateway: SmppSimulator, second: EimsSimulator, **keys: Any) -> dict[str, Any]:
    """Configure SMPP before an EIMS gateway."""
    config = route_through(second)
    table = {
        "type": "smpp", "host": "127.0.0.1", "port": gateway.port, "system_id": SYSTEM_ID, "password": PASSWORD,
        "from": "Acme", "timeout_seconds": 1.0,
    }  # fmt: skip
    config["providers"] = {"smsc": table | keys, "second": config["providers"]["first"]}
    return merged(config, {"routes": [{"providers": ["smsc", "second"]}]})


async def send_code(service: RunningService, gateway: SmppSimulator) -> tuple[str, str]:
    """Request a code; return the id and the code that arrived."""
    response = await service.request()
    assert response.status_code == 202, response.text
    await wait_until(lambda: bool(gateway.messages))
    return response.json()["verification_id"], code_in(gateway.messages[-1].text)


async def test_a_code_arrives_and_its_receipt_moves_the_delivery(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """The code verifies; the receipt makes it delivered, and a contradicting one afterwards changes nothing."""
    async with smsc() as gateway:
        gateway.receipts = [ScriptedReceipt("sent"), ScriptedReceipt("delivered")]
        service = await make_service(smpp_then_eims(gateway, second))
        verification_id, code = await send_code(service, gateway)
        await wait_for_deliveries(service, verification_id, {"smsc": ("delivered", None)})
        number = str(gateway.messages[0].ids[0])
        assert await gateway.deliver(receipt_body(number, "undelivered", 0, to=DIGITS, sender="Acme")) == 0

        assert (await service.verify(verification_id, code)).status_code == 200
        await wait_for_deliveries(service, verification_id, {"smsc": ("delivered", None)})
        await wait_until(lambda: [receipt.status for receipt in gateway.sent_receipts] == [0, 0])
        assert (gateway.messages[0].to, gateway.messages[0].sender) == (DIGITS, "Acme")
    assert not second.messages


async def test_the_process_binds_before_the_first_message(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Receipts that the SMSC has kept can come as soon as the service runs."""
    async with smsc() as gateway:
        await make_service(smpp_then_eims(gateway, second))
        await wait_until(lambda: gateway.bound_sessions == 1)

        assert await gateway.deliver(receipt_body("1", "delivered", 0, to=DIGITS, sender="Acme")) == 0


async def test_an_undelivered_message_goes_to_the_next_provider(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """With the same code, through one more gateway."""
    async with smsc() as gateway:
        gateway.receipts = [ScriptedReceipt("undelivered")]
        service = await make_service(smpp_then_eims(gateway, second))
        verification_id, code = await send_code(service, gateway)
        message = await wait_for_message(second)

        assert code_in(message.text) == code
        await wait_for_deliveries(
            service, verification_id, {"smsc": ("undelivered", "transient"), "second": ("sent", None)}
        )


async def test_a_receipt_reaches_another_replica_before_the_response(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """The SMSC sends receipts over any session of the account, and may be faster than its own response."""
    async with smsc() as gateway:
        config = merged(smpp_then_eims(gateway, second), shared_keys())
        first = await make_service(config)
        await wait_until(lambda: gateway.bound_sessions == 1)
        await make_service(config)
        await wait_until(lambda: gateway.bound_sessions == 2)  # it is the session that receipts go to
        gateway.receipts = [ScriptedReceipt("delivered")]
        gateway.script(Slow(0.1))
        verification_id, _ = await send_code(first, gateway)

        await wait_for_deliveries(first, verification_id, {"smsc": ("delivered", None)})


async def test_delivered_when_every_part_is(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Each part of a long text has an id and a receipt of its own, and a repeated receipt counts once."""
    templates = {"tenants": {"demo": {"templates": {"id": {"default": "Kode {code}. " + "a" * 310}}}}}
    async with smsc() as gateway:
        service = await make_service(merged(smpp_then_eims(gateway, second), templates))
        verification_id, _ = await send_code(service, gateway)
        await wait_for_deliveries(service, verification_id, {"smsc": ("sent", None)})
        ids = [str(number) for number in gateway.messages[0].ids]
        assert len(ids) == 3
        for part, status in ((2, "sent"), (0, "sent"), (2, "sent"), (0, "sent"), (1, "delivered")):
            body = receipt_body(ids[part], "delivered", 0, to=DIGITS, sender="Acme")
            assert await gateway.deliver(body) == 0
            await wait_for_deliveries(service, verification_id, {"smsc": (status, None)})
    assert not second.messages


async def test_a_part_that_is_not_delivered(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """One undelivered part makes the message undelivered at once: the next provider has the whole text."""
    templates = {"tenants": {"demo": {"templates": {"id": {"default": "Kode {code}. " + "a" * 160}}}}}
    async with smsc() as gateway:
        service = await make_service(merged(smpp_then_eims(gateway, second), templates))
        verification_id, code = await send_code(service, gateway)
        await wait_for_deliveries(service, verification_id, {"smsc": ("sent", None)})
        first, last = (str(number) for number in gateway.messages[0].ids)
        assert await gateway.deliver(receipt_body(first, "delivered", 0, to=DIGITS, sender="Acme")) == 0
        assert await gateway.deliver(receipt_body(last, "undelivered", 0, to=DIGITS, sender="Acme")) == 0
        assert code_in((await wait_for_message(second)).text) == code
        await wait_for_deliveries(
            service, verification_id, {"smsc": ("undelivered", "transient"), "second": ("sent", None)}
        )


async def test_a_receipt_for_another_number_changes_nothing(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """Ids that an SMSC uses again, or that are read in the wrong format, do not move another message."""
    async with smsc() as gateway:
        service = await make_service(smpp_then_eims(gateway, second))
        verification_id, _ = await send_code(service, gateway)
        await wait_for_deliveries(service, verification_id, {"smsc": ("sent", None)})
        number = str(gateway.messages[0].ids[0])
        wrong, right = (
            receipt_body(number, "undelivered", 0, to=to, sender="Acme") for to in ("6281210100056", DIGITS)
        )

        assert await gateway.deliver(wrong) == 0
        await asyncio.sleep(0.05)
        await wait_for_deliveries(service, verification_id, {"smsc": ("sent", None)})
        assert await gateway.deliver(right) == 0
        await wait_for_message(second)


async def test_one_bind_for_two_replicas(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """The replica without the only bind leaves its messages to the other one: each is sent once, by SMPP."""
    async with smsc() as gateway:
        gateway.max_binds = 1
        config = merged(smpp_then_eims(gateway, second), shared_keys())
        await make_service(config)
        await wait_until(lambda: gateway.bound_sessions == 1)
        other = await make_service(config)
        await wait_until(lambda: [request.method for request in gateway.requests].count("bind_transceiver") == 2)
        await asyncio.sleep(0.01)  # the response to its bind
        for last in range(5):
            assert (await other.request(f"0812-1010-005{last}")).status_code == 202
        await wait_until(lambda: len(gateway.messages) == 5)

    assert sorted(message.to for message in gateway.messages) == [f"628121010005{last}" for last in range(5)]
    assert not second.messages


async def test_a_bind_that_nobody_holds(
    make_service: ServiceFactory, second: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SMSC may hold a session that has died; the message then goes to the next provider, and the circuit stays."""
    monkeypatch.setattr(outbox_writer, "HOLDER_SEARCH_MS", 200)
    async with smsc() as gateway:
        gateway.max_binds = 0
        service = await make_service(smpp_then_eims(gateway, second, timeout_seconds=10.0))
        await wait_until(lambda: bool(gateway.requests))
        response = await service.request()
        await wait_for_message(second, seconds=20)

        expected = {"smsc": ("failed", "transient"), "second": ("sent", None)}
        await wait_for_deliveries(service, response.json()["verification_id"], expected, seconds=20)
        gateway.max_binds = 1
        await wait_until(lambda: gateway.bound_sessions == 1, seconds=20)
        assert await gateway.enquire() == 0  # the provider has read the response to its bind
        assert (await service.request("0812-1010-0056")).status_code == 202
        await wait_until(lambda: len(gateway.messages) == 1)


async def test_stop_by_sms_opts_a_number_out(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """STOP in a text to the account refuses codes for the number; START ends that."""
    async with smsc() as gateway:
        service = await make_service(smpp_then_eims(gateway, second))
        await wait_until(lambda: gateway.bound_sessions == 1)
        statuses = []
        for word in (b"stop", b"hello", b"START"):
            body = deliver_body((1, 1, DIGITS), "Acme", esm_class=0, octets=word, parameters={})
            assert await gateway.deliver(body) == 0
            statuses.append((await service.request()).status_code)

    assert statuses == [403, 403, 202]


@pytest.mark.parametrize("status", [0x45, 0x58, 0x0A])
async def test_a_refused_message_goes_to_the_next_provider(
    make_service: ServiceFactory, second: EimsSimulator, status: int
) -> None:
    """Refused at once, and throttled: the next provider has the message."""
    async with smsc() as gateway:
        gateway.always = refusal(status)
        service = await make_service(smpp_then_eims(gateway, second))
        assert (await service.request()).status_code == 202
        await wait_for_message(second)

    assert not gateway.messages


async def test_what_is_stored_for_receipts(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """One key for each part, without the SMSC's id in the clear, until 10 minutes after the code has expired."""
    async with smsc() as gateway:
        text = "Kode {code}. " + "a" * 160
        templates = {"tenants": {"demo": {"templates": {"id": {"default": text}}}}}
        service = await make_service(merged(smpp_then_eims(gateway, second), templates))
        verification_id, _ = await send_code(service, gateway)
        await wait_for_deliveries(service, verification_id, {"smsc": ("sent", None)})
        stored = await dump_store(service.store)
        mapped = {name: value for name, value in stored.items() if name.startswith(b"otp:s:")}
        lifetimes = [await service.store.ttl(name) for name in mapped]

    assert list(mapped.values()) == [verification_id.encode()] * 2
    assert all(890 <= seconds <= 900 for seconds in lifetimes), lifetimes
    for number in gateway.messages[0].ids:
        assert not any(str(number).encode() in name for name in mapped)
