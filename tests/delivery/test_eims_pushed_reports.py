"""Reports that an EIMS platform pushes to one URL of the account."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.message_waits import code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory

TOKEN = "a token of the account"
PATH = "/v1/receipts/first"


def pushing_config(*gateways: EimsSimulator) -> dict[str, Any]:
    """Return a config whose first provider accepts pushed reports."""
    return merged(route_through(*gateways), {"providers": {"first": {"push_token": TOKEN}}})


def push(gateway: EimsSimulator, receipt: ScriptedReceipt) -> bytes:
    """Return the push of a status of the gateway's last message."""
    return gateway.build_webhook(gateway.messages[-1], receipt).body


async def send_push(service: RunningService, body: bytes, token: str = TOKEN, method: str = "PUT") -> int:
    """Send a push as the platform does; return the status of the response."""
    reply = await service.caller(None).request(
        method, PATH, params={"token": token}, content=body, headers={"Content-Type": "application/json"}
    )
    return reply.status_code


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_pushed_reports_move_the_delivery(
    make_service: ServiceFactory, make_gateway: GatewayFactory, second: EimsSimulator, method: str
) -> None:
    """An undelivered message goes to the next provider with the same code; repeated and late pushes change nothing."""
    gateway = await make_gateway(row_length=5)
    service = await make_service(pushing_config(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    failed = push(gateway, ScriptedReceipt("undelivered"))
    pushes = (push(gateway, ScriptedReceipt("sent")), failed, failed, push(gateway, ScriptedReceipt("delivered")))

    assert [await send_push(service, body, method=method) for body in pushes[:1]] == [200]
    client = service.caller(None)
    statuses = [(await client.request(method, f"{PATH}/{TOKEN}", content=body)).status_code for body in pushes[1:]]
    assert statuses == [200] * 3

    message = await wait_for_message(second)
    await wait_for_deliveries(
        service, verification_id, {"first": ("undelivered", "transient"), "second": ("sent", None)}
    )
    assert len(second.messages) == 1
    assert code_in(message.text) == code_in(gateway.messages[0].text)


async def test_push_without_the_token_is_refused(make_service: ServiceFactory, make_gateway: GatewayFactory) -> None:
    """A missing, wrong or repeated token gets 401, also at a provider without one; nothing changes."""
    gateway = await make_gateway(row_length=5)
    config = pushing_config(gateway)
    config["providers"]["second"] = {**config["providers"]["first"]}
    del config["providers"]["second"]["push_token"]
    service = await make_service(config)
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    body = push(gateway, ScriptedReceipt("delivered"))
    client = service.caller(None)

    for path in (
        PATH,
        f"{PATH}?token=",
        f"{PATH}?token=wrong",
        f"{PATH}?token={TOKEN}&token={TOKEN}",
        f"{PATH}/{TOKEN[:-1]}",
        f"{PATH}/{TOKEN}.{TOKEN}",
        f"/v1/receipts/second/{TOKEN}",
    ):
        assert (await client.put(path, content=body)).status_code == 401
    assert (await client.put(f"/v1/receipts/second?token={TOKEN}", content=body)).status_code == 401

    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})


async def test_rows_of_other_messages_change_nothing(
    make_service: ServiceFactory, make_gateway: GatewayFactory
) -> None:
    """Another id, another number and unreadable rows get 200 and change nothing; the right row among them does."""
    gateway = await make_gateway(row_length=5)
    service = await make_service(pushing_config(gateway))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    right = msgspec.json.decode(push(gateway, ScriptedReceipt("delivered")))["array"][0]
    other_id, other_number = [right[0] + 1, *right[1:]], [right[0], right[1] + 1, *right[2:]]
    rows: list[Any] = [other_id, other_number, right[:3], [], None, "x", [None] * 5, [right[0], "STOP", *right[2:]]]

    for body in (b"", b"[]", b"{", b'{"type":"sms","array":[]}', b'{"type":"report"}'):
        assert await send_push(service, body) == 200
    assert await send_push(service, msgspec.json.encode({"type": "report", "cnt": 8, "array": rows})) == 200
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})

    assert await send_push(service, msgspec.json.encode({"type": "report", "cnt": 9, "array": [*rows, right]})) == 200
    await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})
