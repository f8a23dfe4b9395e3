"""An address in a message: shortened by the gateway that sends it, secret everywhere else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otp_service.domain.message import OutboundMessage
from otp_service.observability import METRICS
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Behavior, Hang, Respond, SimulatorResponse
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator, refusal
from tests.delivery.gateway_config import route_through
from tests.log_capture import captured_logs
from tests.message_waits import code_in, wait_for_deliveries
from tests.problem_assertions import assert_problem
from tests.running_service import NUMBER, RunningService, ServiceFactory
from tests.store_contents import dump_store
from tests.waits import wait_until

LINK = "https://account.example.com/reset?token=0123456789abcdef0123456789abcdef"
PUBLIC_URL = "https://otp.example.com"
TEMPLATE = "{brand}: {code}. {link}"
SENT = {"keda": ("sent", None)}


@pytest.fixture
async def keda() -> AsyncIterator[KedasmsSimulator]:
    """A simulated gateway that makes short links."""
    async with KedasmsSimulator("key", bytes(32)) as simulator:
        yield simulator


def config(keda: KedasmsSimulator, *others: EimsSimulator, **keys: Any) -> dict[str, Any]:
    """Return a config that sends through KedaSMS, then through another gateway, with a template for a reset."""
    table = {
        "type": "kedasms",
        "base_url": keda.url,
        "status_base_url": keda.url,
        "api_key": "key",
        "encryption_key": base64.b64encode(bytes(32)).decode(),
        "short_links": True,
        "timeout_seconds": 1.0,
        **keys,
    }
    base = route_through(*others)
    templates = {"id": {"password_reset": TEMPLATE}}
    return base | {
        "server": {"public_url": PUBLIC_URL},
        "providers": {"keda": table, **base["providers"]},
        "routes": [{"providers": ["keda", *base["providers"]]}],
        "tenants": {"demo": {"templates": templates, "link_hosts": ["account.example.com"]}},
    }


async def request_reset(service: RunningService, **members: Any) -> str:
    """Request a code to reset a password; return the id of the verification."""
    reply = await service.request(purpose="password_reset", link=LINK, **members)
    assert reply.status_code == 202, reply.text
    verification_id: str = reply.json()["verification_id"]
    return verification_id


def asked(keda: KedasmsSimulator) -> int:
    """Count the requests for a short link."""
    return sum(request.path == "/api/shortlinks" for request in keda.requests)


async def test_message_has_the_short_link(make_service: ServiceFactory, keda: KedasmsSimulator) -> None:
    """The gateway is asked once, right before the send; neither the store nor a log has the address in the clear."""
    with captured_logs() as stream:
        service = await make_service(config(keda))
        keda.script(None, Hang())
        verification_id = await request_reset(service)
        await wait_for_deliveries(service, verification_id, {"keda": ("unknown", "ambiguous")})
        before = await dump_store(service.store)
        await service.advance(20)
        logged = stream.getvalue()

    [(short, link)] = keda.short_links.items()
    assert link == LINK
    text = keda.messages[0].text
    assert text == f"Demo: {code_in(text)}. {short}"
    assert [request.path for request in keda.requests] == ["/api/shortlinks", "/api/sms/send"]
    assert any(b":m:" in key for key in before)
    for secret in (LINK, "0123456789abcdef", short):
        assert secret not in logged
        assert all(secret.encode() not in key + value for key, value in before.items())
    assert (await service.verify(verification_id, code_in(text))).status_code == 200
    assert not any(b":m:" in key for key in await dump_store(service.store))


@pytest.mark.parametrize(
    "behavior",
    [
        refusal(500, "Internal error"),
        Hang(),
        Respond(SimulatorResponse(b'{"code":"0","data":{"shortUrl":"http://kd.example/1"}}')),
        Respond(SimulatorResponse(b'{"code":"0","data":{"shortUrl":"https://kd.example/1 Call 0900"}}')),
        Respond(SimulatorResponse(b'{"code":"0","data":{"shortUrl":"https://kd.example/' + b"x" * 100 + b'"}}')),
    ],
)
async def test_full_link_without_a_short_one(
    make_service: ServiceFactory, keda: KedasmsSimulator, behavior: Behavior
) -> None:
    """If the gateway gives no usable short link in time, the message has the whole address."""
    keda.script(behavior)
    service = await make_service(config(keda, timeout_seconds=0.5))
    verification_id = await request_reset(service)

    await wait_for_deliveries(service, verification_id, SENT)
    text = keda.messages[0].text
    assert text == f"Demo: {code_in(text)}. {LINK}"
    assert len(keda.requests) == 2


async def test_repeated_send_has_the_same_short_link(make_service: ServiceFactory, keda: KedasmsSimulator) -> None:
    """After a refused send the gateway is called again, and not asked for another short link."""
    keda.script(None, refusal(503, "Service unavailable"))
    service = await make_service(config(keda))
    verification_id = await request_reset(service)
    async with asyncio.timeout(5):
        while not keda.messages:
            await service.advance(1)
            await asyncio.sleep(0.02)

    await wait_for_deliveries(service, verification_id, SENT)
    assert (asked(keda), len(keda.requests)) == (1, 3)
    assert keda.messages[0].text.endswith(next(iter(keda.short_links)))


async def test_other_gateways_send_the_whole_link(
    make_service: ServiceFactory, keda: KedasmsSimulator, gateway: EimsSimulator
) -> None:
    """A short link is for the gateway that made it: the next one gets the whole address, with the same code."""
    keda.script(None, refusal(402, "Insufficient balance"))
    service = await make_service(config(keda, gateway))
    await request_reset(service)

    await wait_until(lambda: len(gateway.messages) == 1)
    assert gateway.messages[0].text == f"Demo: {code_in(gateway.messages[0].text)}. {LINK}"
    assert asked(keda) == 1


async def test_switched_off_by_default(make_service: ServiceFactory, keda: KedasmsSimulator) -> None:
    """Without `short_links`, and for a message without an address, the gateway is not asked."""
    service = await make_service(config(keda, short_links=False))
    await wait_for_deliveries(service, await request_reset(service), SENT)
    assert keda.messages[0].text.endswith(LINK)
    other = await make_service(config(keda))
    reply = await other.request()
    await wait_for_deliveries(other, reply.json()["verification_id"], SENT)
    assert asked(keda) == 0


async def test_click_moves_no_delivery(make_service: ServiceFactory, keda: KedasmsSimulator) -> None:
    """Authentic clicks are counted, and are no receipts; a forged one gets 401 and is not counted."""
    service = await make_service(config(keda))
    verification_id = await request_reset(service)
    await wait_for_deliveries(service, verification_id, SENT)
    message = keda.messages[0]
    path = message.callback_url.removeprefix(PUBLIC_URL)
    clicks = METRICS.link_clicks.labels("keda")._value
    before = clicks.get()
    client = service.caller(None)

    for body in (keda.click(message), keda.click(message).replace(b"{", b'{"status":"DELIVERED",', 1)):
        assert (await client.post(path, content=body)).status_code == 200
    assert_problem(await client.post(path[:-1] + "x", content=keda.click(message)), 401, "key_invalid")
    assert_problem(await client.post("/v1/receipts/keda", content=keda.click(message)), 401, "key_invalid")

    assert clicks.get() - before == 2
    await wait_for_deliveries(service, verification_id, SENT)
    assert (await client.post(path, content=keda.callback(message, "DELIVERED"))).status_code == 200
    await wait_for_deliveries(service, verification_id, {"keda": ("delivered", None)})


def test_link_is_not_shown() -> None:
    """No `repr` of a message shows its address."""
    outbound = OutboundMessage("m", "+6281210100055", "ID", "81210100055", f"x {LINK}", "1", 300, link=LINK)
    assert LINK not in repr(outbound)
    assert NUMBER not in repr(outbound)
