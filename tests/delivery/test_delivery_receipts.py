"""Delivery receipts with a token: only authentic ones count, and the first final status stays."""

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

PUBLIC_URL = "https://otp.example.com"


def kedasms_then_eims(keda: KedasmsSimulator, second: EimsSimulator, **delivery: float) -> dict[str, Any]:
    """Configure KedaSMS before an EIMS gateway, and a public URL for receipts."""
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
    return merged(config, {"server": {"public_url": PUBLIC_URL}, "routes": [{"providers": ["keda", "second"]}]})


@contextlib.asynccontextmanager
async def message_sent(
    make_service: ServiceFactory, second: EimsSimulator
) -> AsyncIterator[tuple[RunningService, KedasmsSimulator, str]]:
    """Send a code through KedaSMS with an EIMS gateway behind it: the service, the gateway, the verification id."""
    async with KedasmsSimulator() as keda:
        service = await make_service(kedasms_then_eims(keda, second))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"keda": ("sent", None)})
        yield service, keda, verification_id


async def wait_for_messages(gateway: KedasmsSimulator | SendcloudSimulator, count: int = 1) -> None:
    """Wait until a gateway has `count` messages."""
    await wait_until(lambda: len(gateway.messages) >= count)


async def post_callback(
    service: RunningService, keda: KedasmsSimulator, message: KedasmsMessage, status: str
) -> httpx.Response:
    """Post a KedaSMS callback to the URL that the message's send contained."""
    path = message.callback_url.removeprefix(PUBLIC_URL)
    return await service.caller(None).post(path, content=keda.callback(message, status))


async def record_of(service: RunningService, verification_id: str) -> bytes:
    """Return the packed record of a verification."""
    [key] = [name async for name in service.store.scan_iter(f"*:v:{verification_id}")]
    return bytes(await service.store.get(key))


async def test_delivered_receipt_is_recorded(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """The sealed code is deleted, no other provider is called, and the code verifies."""
    async with message_sent(make_service, second) as (service, keda, verification_id):
        assert await has_sealed_message(service, verification_id)
        [message] = keda.messages

        reply = await post_callback(service, keda, message, "DELIVERED")

        assert (reply.status_code, reply.json()) == (200, {})
        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})
        assert not await has_sealed_message(service, verification_id)
        await service.advance(60)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert (await service.verify(verification_id, code_in(message.text))).status_code == 200
        assert second.requests == []


async def test_undelivered_message_fails_over_with_same_code(
    make_service: ServiceFactory, second: EimsSimulator
) -> None:
    """The next provider is called without a hold, because the gateway itself reported the failure."""
    async with message_sent(make_service, second) as (service, keda, verification_id):
        [message] = keda.messages

        await post_callback(service, keda, message, "UNDELIVERED")

        text = (await wait_for_message(second)).text
        assert code_in(text) == code_in(message.text)
        await wait_for_deliveries(service, verification_id, {"keda": ("undelivered", None), "second": ("sent", None)})
        assert (await service.verify(verification_id, code_in(text))).status_code == 200


async def test_final_status_is_not_changed(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Repeated, contradicting and late receipts get 200, and the first final status stays."""
    async with message_sent(make_service, second) as (service, keda, verification_id):
        [message] = keda.messages
        await post_callback(service, keda, message, "DELIVERED")
        record = await record_of(service, verification_id)

        for status in ("DELIVERED", "UNDELIVERED", "SENT", "FAILED", "DELIVERED"):
            assert (await post_callback(service, keda, message, status)).status_code == 200

        assert await record_of(service, verification_id) == record
        assert second.requests == []


async def test_receipt_resolves_ambiguous_result(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A receipt during the hold makes the delivery `delivered`, and no other provider is called."""
    async with KedasmsSimulator() as keda:
        keda.always = Hang()
        service = await make_service(kedasms_then_eims(keda, second, hold_seconds=15))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"keda": ("unknown", "ambiguous")})

        await post_callback(service, keda, keda.messages[0], "DELIVERED")

        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})
        await service.advance(60)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert second.requests == []


async def test_receipt_before_response(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A receipt that arrives before the response of the send is not overwritten by it."""
    async with KedasmsSimulator() as keda:
        keda.always = Hang()
        service = await make_service(kedasms_then_eims(keda, second))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_messages(keda)

        await post_callback(service, keda, keda.messages[0], "DELIVERED")

        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})
        await wait_until(lambda: not keda._serving)
        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})
        assert second.requests == []


def tampered_paths(url: str) -> list[str]:
    """Return receipt paths that are nearly correct."""
    path = url.removeprefix(PUBLIC_URL)
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
async def test_wrong_token_is_rejected(make_service: ServiceFactory, second: EimsSimulator, method: str) -> None:
    """A nearly correct token gets 401 and changes nothing, also for another or an unknown provider."""
    async with message_sent(make_service, second) as (service, keda, verification_id):
        [message] = keda.messages
        before = await record_of(service, verification_id)

        for path in tampered_paths(message.callback_url):
            reply = await service.caller(None).request(method, path, content=keda.callback(message, "DELIVERED"))
            assert (reply.status_code, reply.json()["code"]) == (401, "key_invalid"), path

        assert await record_of(service, verification_id) == before
        assert not [key async for key in service.store.scan_iter("otp:u:*")]


async def test_receipt_for_another_number_is_ignored(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A correct token with another number gets 200 and changes nothing."""
    async with message_sent(make_service, second) as (service, keda, verification_id):
        [message] = keda.messages
        before = await record_of(service, verification_id)
        forged = keda.callback(message, "DELIVERED").replace(b"+6281210100055", b"+6281210100056")
        path = message.callback_url.removeprefix(PUBLIC_URL)

        assert (await service.caller(None).post(path, content=forged)).status_code == 200

        assert await record_of(service, verification_id) == before


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b"\xff\xfe", b'{"status": {"a": 1}}'])
async def test_unreadable_body_changes_nothing(
    make_service: ServiceFactory, second: EimsSimulator, body: bytes
) -> None:
    """An unreadable or empty body with a correct token gets 200, and the delivery does not change."""
    async with message_sent(make_service, second) as (service, keda, verification_id):
        path = keda.messages[0].callback_url.removeprefix(PUBLIC_URL)

        reply = await service.caller(None).post(path, content=body, headers={"Content-Type": "text/plain"})

        assert reply.status_code == 200
        await wait_for_deliveries(service, verification_id, {"keda": ("sent", None)})


async def test_receipt_of_deleted_verification(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A receipt for a deleted verification gets 200 and does not create a key."""
    async with message_sent(make_service, second) as (service, keda, verification_id):
        [key] = [name async for name in service.store.scan_iter(f"*:v:{verification_id}")]
        await service.store.delete(key)

        assert (await post_callback(service, keda, keda.messages[0], "DELIVERED")).status_code == 200

        assert not await service.store.exists(key)


async def test_receipt_of_ended_verification_is_recorded(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """After a cancelation the status is recorded, and an undelivered message is not sent again."""
    async with KedasmsSimulator() as keda:
        service = await make_service(kedasms_then_eims(keda, second))
        for n, status in enumerate(("DELIVERED", "UNDELIVERED")):
            verification_id = (await service.request(f"0812-1010-005{n}")).json()["verification_id"]
            await wait_for_deliveries(service, verification_id, {"keda": ("sent", None)})
            await service.client.delete(f"/v1/verifications/{verification_id}")

            await post_callback(service, keda, keda.messages[n], status)

            await wait_for_deliveries(service, verification_id, {"keda": (status.lower(), None)})
        await service.advance(30)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert second.requests == []


async def test_another_replica_accepts_the_receipt(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """Replicas with the same keys accept each other's tokens, also after `current` changed."""
    async with KedasmsSimulator() as keda:
        config = merged(kedasms_then_eims(keda, second), shared_keys())
        service = await make_service(config)
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"keda": ("sent", None)})
        newer = base64.b64encode(b"n" * 32).decode()
        replica = await make_service(merged(config, {"keys": {"current": "newer", "newer": newer}}))

        assert (await post_callback(replica, keda, keda.messages[0], "DELIVERED")).status_code == 200

        await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})


async def test_store_outage_is_reported_to_the_gateway(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A receipt gets 503 so that the gateway retries; a wrong token still gets 401, without a store query."""
    async with message_sent(make_service, second) as (service, keda, _verification_id):
        [message] = keda.messages
        await service.store.execute_command("CLIENT", "PAUSE", 1500, "ALL")

        assert (await post_callback(service, keda, message, "DELIVERED")).status_code == 503
        wrong = await service.caller(None).post("/v1/receipts/keda/wrong")

        assert wrong.status_code == 401
