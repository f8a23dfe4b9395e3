"""Receipts of `http` providers, over HTTP: by the URL of a message, and with the token of the account."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.infobip import InfobipSimulator
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from tests.delivery.gateway_config import route_through
from tests.delivery.test_delivery_receipts import PUBLIC_URL, record_of
from tests.log_capture import captured_logs
from tests.message_waits import wait_for_deliveries
from tests.providers.http_gateways import INFOBIP_LIKE, KEDASMS_LIKE, KedasmsLike, http_table
from tests.running_service import RunningService, ServiceFactory

TOKEN = "infobip-receipts-token"
HOOK = f"/v1/receipts/first?{urlencode({'token': TOKEN})}"


def table_of(toml: str, url: str, secrets: dict[str, str]) -> dict[str, Any]:
    """Return the provider table of a TOML text with plain secrets, pointed at `url`."""
    table = http_table(toml, base_url=url, secrets=secrets, timeout_seconds=0.5)
    if "token" in table["receipts"]:
        table["receipts"] = {**table["receipts"], "token": TOKEN}
    return table


def before_eims(table: dict[str, Any], second: EimsSimulator) -> dict[str, Any]:
    """Configure an `http` provider before an EIMS gateway, and a public URL for receipts."""
    config = route_through(second)
    config["providers"] = {"first": table, "second": config["providers"]["first"]}
    return merged(config, {"server": {"public_url": PUBLIC_URL}, "routes": [{"providers": ["first", "second"]}]})


@contextlib.asynccontextmanager
async def sent_by_infobip(
    make_service: ServiceFactory, second: EimsSimulator
) -> AsyncIterator[tuple[RunningService, InfobipSimulator, str]]:
    """Send a code through the Infobip-like provider: the service, the gateway and the verification id."""
    async with InfobipSimulator("infobip-key") as gateway:
        table = table_of(INFOBIP_LIKE, gateway.url, {"api_key": "infobip-key"})
        service = await make_service(before_eims(table, second))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        yield service, gateway, verification_id


async def post(service: RunningService, path: str, body: bytes, **headers: str) -> int:
    """Post a receipt as a gateway does, without an API key; return the HTTP status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await service.caller(None).post(path, content=body, headers=named)).status_code


async def test_the_url_of_a_message(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """The request has a URL with a token; a receipt there moves the delivery, and the code verifies."""
    async with KedasmsLike() as gateway:
        table = table_of(KEDASMS_LIKE, gateway.url, {"api_key": 'keda "key"'})
        service = await make_service(before_eims(table, second))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        [message] = gateway.messages
        path = message["callbackUrl"].removeprefix(PUBLIC_URL)
        assert path.startswith(f"/v1/receipts/first/{verification_id}.")
        before = await record_of(service, verification_id)

        body = json.dumps({"msgid": "m", "status": "DELIVERED", "recipient": "+6281210100055"}).encode()
        for forged in (path[:-1], path + "a", path.replace("first", "second"), "/v1/receipts/first"):
            assert await post(service, forged, body) == 401
        other = json.dumps({"status": "DELIVERED", "recipient": "+6281210100056"}).encode()
        unknown = json.dumps({"status": "ENROUTE"}).encode()
        for ignored in (other, unknown, b"", b"[]"):
            assert await post(service, path, ignored) == 200
        assert await record_of(service, verification_id) == before

        assert await post(service, path, body) == 200
        await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})
        code = message["content"].partition("kode masuk Anda ")[2][:6]
        assert (await service.verify(verification_id, code)).status_code == 200
        assert second.messages == []


async def test_the_token_of_the_account(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A batch with our message id fails over; repeated, and by a later success, it changes nothing more."""
    async with sent_by_infobip(make_service, second) as (service, gateway, verification_id):
        [message] = gateway.messages
        assert message.id == verification_id
        expired = json.dumps({"results": [gateway.result(message, 26), gateway.result(message, 15)]}).encode()
        with captured_logs() as log:
            assert await post(service, HOOK, expired, content_type="application/json") == 200
            assert await post(service, HOOK, expired, content_type="application/json") == 200
            await wait_for_deliveries(
                service, verification_id, {"first": ("undelivered", "transient"), "second": ("sent", None)}
            )
        delivered = gateway.build_webhook(message, ScriptedReceipt("delivered")).body
        for url in (HOOK, f"/v1/receipts/first/{TOKEN}"):
            assert await post(service, url, delivered) == 200
        await wait_for_deliveries(
            service, verification_id, {"first": ("undelivered", "transient"), "second": ("sent", None)}
        )
        assert len(second.messages) == 1
        assert TOKEN not in log.getvalue() and "6281210100055" not in log.getvalue()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/receipts/first",
        "/v1/receipts/first?token=",
        "/v1/receipts/first?token=infobip-receipts-toke",
        "/v1/receipts/first?token=x&token=infobip-receipts-token",
        "/v1/receipts/first?token=%FF%00",
        "/v1/receipts/first/infobip-receipts-toke",
        "/v1/receipts/second/infobip-receipts-token",
        "/v1/receipts/first/x.y?token=infobip-receipts-token",
        "/v1/receipts/second?token=infobip-receipts-token",
        "/v1/receipts/nobody?token=infobip-receipts-token",
    ],
)
async def test_forged_receipts(make_service: ServiceFactory, second: EimsSimulator, path: str) -> None:
    """Without the token, with a wrong one, at another provider or beside a wrong URL token: 401, nothing changes."""
    async with sent_by_infobip(make_service, second) as (service, gateway, verification_id):
        before = await record_of(service, verification_id)
        body = gateway.build_webhook(gateway.messages[0], ScriptedReceipt("undelivered")).body
        assert await post(service, path, body) == 401
        assert await record_of(service, verification_id) == before
