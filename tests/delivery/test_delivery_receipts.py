"""What gateways tell later: by the token of a message, once and for all, and only if they prove who they are."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.sandbox.simulators.kedasms import KedasmsMessage, KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from tests.config_parts import shared_keys
from tests.delivery.gateway_config import route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until

PUBLIC = "https://otp.example.com"


def keda_first(keda: KedasmsSimulator, second: EimsSimulator, **delivery: float) -> dict[str, Any]:
    """Configure KedaSMS before an EIMS gateway, and where receipts come in."""
    config = route_through(second, **delivery)
    config["providers"] = {
        "keda": {
            "type": "kedasms",
            "base_url": keda.url,
            "status_base_url": keda.url,
            "api_key": "kedasms-key",
            "encryption_key": base64.b64encode(bytes(range(32))).decode(),
            "timeout_seconds": 0.5,
        },
        "second": config["providers"]["first"],
    }
    return merged(config, {"server": {"public_url": PUBLIC}, "routes": [{"providers": ["keda", "second"]}]})


@contextlib.asynccontextmanager
async def sent(
    make_service: ServiceFactory, second: EimsSimulator
) -> AsyncIterator[tuple[RunningService, KedasmsSimulator, str]]:
    """Have a code sent through KedaSMS, an EIMS gateway behind it: the service, the gateway, the verification's id."""
    async with KedasmsSimulator() as keda:
        service = await make_service(keda_first(keda, second))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"keda": ("sent", None)})
        yield service, keda, verification_id


async def texts(gateway: KedasmsSimulator | SendcloudSimulator, count: int = 1) -> None:
    """Wait for so many texts."""
    await wait_until(lambda: len(gateway.messages) >= count)


async def call_back(
    service: RunningService, keda: KedasmsSimulator, message: KedasmsMessage, status: str
) -> httpx.Response:
    """Have KedaSMS call the address that the message's send named."""
    path = message.callback_url.removeprefix(PUBLIC)
    return await service.caller(None).post(path, content=keda.callback(message, status))


async def record_of(service: RunningService, verification_id: str) -> bytes:
    """Read the packed record."""
    [key] = [name async for name in service.store.scan_iter(f"*:v:{verification_id}")]
    return bytes(await service.store.get(key))


async def test_a_delivery_is_told(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Sent, then delivered; the code is forgotten, nobody else is asked, and it verifies."""
    async with sent(make_service, second) as (service, keda, verification_id):
        assert await has_sealed_message(service, verification_id)
        [message] = keda.messages

        reply = await call_back(service, keda, message, "DELIVERED")

        assert (reply.status_code, reply.json()) == (200, {})
        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})
        assert not await has_sealed_message(service, verification_id)
        await service.advance(60)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert (await service.verify(verification_id, code_in(message.text))).status_code == 200
        assert second.requests == []


async def test_what_was_not_delivered_goes_to_the_next_gateway_with_the_same_code(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """Without waiting for a hold: the gateway has said so itself."""
    async with sent(make_service, second) as (service, keda, verification_id):
        [message] = keda.messages

        await call_back(service, keda, message, "UNDELIVERED")

        text = (await wait_for_message(second)).text
        assert code_in(text) == code_in(message.text)
        await wait_for_deliveries(service, verification_id, {"keda": ("undelivered", None), "second": ("sent", None)})
        assert (await service.verify(verification_id, code_in(text))).status_code == 200


async def test_the_last_word_is_not_undone(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Doubled, out of order, late: each gets 200, and none takes back what was said first."""
    async with sent(make_service, second) as (service, keda, verification_id):
        [message] = keda.messages
        await call_back(service, keda, message, "DELIVERED")
        told = await record_of(service, verification_id)

        for status in ("DELIVERED", "UNDELIVERED", "SENT", "FAILED", "DELIVERED"):
            assert (await call_back(service, keda, message, status)).status_code == 200

        assert await record_of(service, verification_id) == told
        assert second.requests == []


async def test_a_receipt_ends_a_doubt(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """The gateway took the message and never answered; its receipt comes during the hold: nobody else is asked."""
    async with KedasmsSimulator() as keda:
        keda.always = Hang()
        service = await make_service(keda_first(keda, second, hold_seconds=15))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"keda": ("unknown", "ambiguous")})

        await call_back(service, keda, keda.messages[0], "DELIVERED")

        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})
        await service.advance(60)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert second.requests == []


async def test_a_receipt_may_be_faster_than_the_answer(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """It comes while the gateway still holds the answer back; the answer does not take its place."""
    async with KedasmsSimulator() as keda:
        keda.always = Hang()
        service = await make_service(keda_first(keda, second))
        verification_id = (await service.request()).json()["verification_id"]
        await texts(keda)

        await call_back(service, keda, keda.messages[0], "DELIVERED")

        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})
        await wait_until(lambda: not keda._serving)
        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})
        assert second.requests == []


def tampered(url: str) -> list[str]:
    """Make addresses that are nearly right."""
    path = url.removeprefix(PUBLIC)
    start, token = path.rsplit("/", 1)
    other = "A" if token[-5] != "A" else "B"
    return [
        f"{start}/{token[:-5]}{other}{token[-4:]}",
        f"{start}/{token[:-1]}",
        f"{start}/{token}A",
        f"{start}/{token.replace('.', '')}",
        f"{start}/{'B' if token[0] != 'B' else 'C'}{token[1:]}",
        f"{start}/{token.partition('.')[0]}",
        f"{start}/.",
        f"{start}/x",
        f"{start}",
        f"/v1/receipts/second/{token}",
        f"/v1/receipts/nobody/{token}",
    ]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_wrong_token_changes_nothing(make_service: ServiceFactory, second: EimsSimulator, method: str) -> None:
    """401, however near it comes, also under another provider's name, or one that is not configured."""
    async with sent(make_service, second) as (service, keda, verification_id):
        [message] = keda.messages
        before = await record_of(service, verification_id)

        for path in tampered(message.callback_url):
            reply = await service.caller(None).request(method, path, content=keda.callback(message, "DELIVERED"))
            assert (reply.status_code, reply.json()["code"]) == (401, "key_invalid"), path

        assert await record_of(service, verification_id) == before
        assert not [key async for key in service.store.scan_iter("otp:u:*")]


async def test_a_receipt_about_somebody_else_changes_nothing(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """The token is right and the number is another one: 200, and nothing is noted."""
    async with sent(make_service, second) as (service, keda, verification_id):
        [message] = keda.messages
        before = await record_of(service, verification_id)
        forged = keda.callback(message, "DELIVERED").replace(b"+6281210100055", b"+6281210100056")
        path = message.callback_url.removeprefix(PUBLIC)

        assert (await service.caller(None).post(path, content=forged)).status_code == 200

        assert await record_of(service, verification_id) == before


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b"\xff\xfe", b'{"status": {"a": 1}}'])
async def test_an_authentic_call_that_says_nothing(
    make_service: ServiceFactory, second: EimsSimulator, body: bytes
) -> None:
    """200 for a body that cannot be read or has nothing in it; the delivery stays as it was."""
    async with sent(make_service, second) as (service, keda, verification_id):
        path = keda.messages[0].callback_url.removeprefix(PUBLIC)

        reply = await service.caller(None).post(path, content=body, headers={"Content-Type": "text/plain"})

        assert reply.status_code == 200
        await wait_for_deliveries(service, verification_id, {"keda": ("sent", None)})


async def test_a_receipt_of_what_is_gone(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """200 long after anybody knows of the message, and no key comes back."""
    async with sent(make_service, second) as (service, keda, verification_id):
        [key] = [name async for name in service.store.scan_iter(f"*:v:{verification_id}")]
        await service.store.delete(key)

        assert (await call_back(service, keda, keda.messages[0], "DELIVERED")).status_code == 200

        assert not await service.store.exists(key)


async def test_a_receipt_of_an_ended_verification_is_still_noted(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """It was canceled meanwhile: delivered is a fact, and undelivered sends nothing."""
    async with KedasmsSimulator() as keda:
        service = await make_service(keda_first(keda, second))
        for n, status in enumerate(("DELIVERED", "UNDELIVERED")):
            verification_id = (await service.request(f"0812-1010-005{n}")).json()["verification_id"]
            await wait_for_deliveries(service, verification_id, {"keda": ("sent", None)})
            await service.client.delete(f"/v1/verifications/{verification_id}")

            await call_back(service, keda, keda.messages[n], status)

            await wait_for_deliveries(service, verification_id, {"keda": (status.lower(), None)})
        await service.advance(30)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert second.requests == []


async def test_another_replica_takes_the_receipt(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A token is made and read with the same keys everywhere, also after `current` has moved on."""
    async with KedasmsSimulator() as keda:
        config = merged(keda_first(keda, second), shared_keys())
        service = await make_service(config)
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"keda": ("sent", None)})
        newer = base64.b64encode(b"n" * 32).decode()
        replica = await make_service(merged(config, {"keys": {"current": "newer", "newer": newer}}))

        assert (await call_back(replica, keda, keda.messages[0], "DELIVERED")).status_code == 200

        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})


async def test_a_store_that_is_away_is_told_to_the_gateway(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """503, so that it comes again; a wrong token is still 401, without a look into the store."""
    async with sent(make_service, second) as (service, keda, _verification_id):
        [message] = keda.messages
        await service.store.execute_command("CLIENT", "PAUSE", 1500, "ALL")

        assert (await call_back(service, keda, message, "DELIVERED")).status_code == 503
        wrong = await service.caller(None).post("/v1/receipts/keda/wrong")

        assert wrong.status_code == 401
