"""Events of a `serve` that is killed, stopped or reloaded: nothing is lost, and a duplicate has the same id."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.service_config import ConfigWriter, api_client
from tests.cli.webhook_config import write_webhook_config
from tests.message_waits import code_in, wait_for_message
from tests.service_process import ServiceProcess
from tests.waits import wait_until
from tests.webhooks.webhook_receiver import SECOND_SECRET, WebhookReceiver

ASKED = {"phone": "0812-1010-0055", "purpose": "login"}
LEASE_SECONDS = 11.0
GUARD_WITH_WEBHOOK = """
[guard]
mode = "deny"
sequence = "1/600"
[webhooks.ops]
url = "{url}"
secret = "file:{secret}"
allow_private_targets = true
timeout_seconds = 1
events = ["guard.triggered"]
"""


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """Run a receiver of webhooks."""
    async with WebhookReceiver() as running:
        yield running


async def serve_until_called(
    serve: Callable[..., ServiceProcess], config: Path, receiver: WebhookReceiver
) -> ServiceProcess:
    """Start the service and request a code; return the process when the receiver has the first webhook."""
    service = serve(config)
    async with api_client(await service.ready()) as client:
        await client.post("/v1/request-code", json=ASKED)
        await receiver.wait_for_calls(1)
    return service


async def test_events_survive_a_crash_before_their_delivery(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator, receiver: WebhookReceiver
) -> None:
    """The receiver is down, a code is verified, the process is killed: the next one delivers all three events."""
    config = write_webhook_config(write_config, gateway, receiver)
    await receiver.close()
    first = serve(config)
    async with api_client(await first.ready()) as client:
        verification_id = (await client.post("/v1/request-code", json=ASKED)).json()["verification_id"]
        code = code_in((await wait_for_message(gateway, seconds=10)).text)
        attempt = {"verification_id": verification_id, "code": code}
        assert (await client.post("/v1/verify-code", json=attempt)).status_code == 200
        await first.kill()
    await receiver.listen()

    await serve(config).ready()
    await receiver.wait_for("verification.requested", "message.sent", "verification.verified", seconds=20)

    assert {event.data["verification_id"] for event in receiver.events} == {verification_id}
    assert len({event.id for event in receiver.events}) == 3


async def test_a_decision_of_the_guard_survives_a_crash(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator, receiver: WebhookReceiver
) -> None:
    """The process is killed as soon as it has refused a request: another replica delivers the event, once."""
    more = GUARD_WITH_WEBHOOK.format(url=receiver.url, secret="{secret}")
    config = write_webhook_config(write_config, gateway, receiver, 'events = ["verification.verified"]', more=more)
    config.write_text(config.read_text().replace("{secret}", str(config.parent / "webhook-secret")))
    await receiver.close()
    first = serve(config)
    async with api_client(await first.ready()) as client:
        assert (await client.post("/v1/request-code", json=ASKED)).status_code == 202
        denied = await client.post("/v1/request-code", json=ASKED | {"phone": "0812-1010-0056"})
        await first.kill()
    assert (denied.status_code, denied.json()["limit"]) == (429, "guard")
    await receiver.listen()

    await serve(config).ready()
    [triggered] = await receiver.wait_for("guard.triggered", seconds=20)

    assert (triggered.data["rules"], triggered.data["denied"]) == ("sequence", True)
    assert [event.id for event in receiver.events] == [triggered.id]


async def test_a_duplicate_after_a_crash_has_the_same_id(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator, receiver: WebhookReceiver
) -> None:
    """The receiver has the event, and the process dies before it has the answer: it comes again, with the same body."""
    config = write_webhook_config(write_config, gateway, receiver, 'events = ["verification.requested"]')
    receiver.delay_seconds = 0.9
    first = await serve_until_called(serve, config, receiver)
    await first.kill()
    receiver.delay_seconds = 0.0

    await serve(config).ready()
    first_call, second_call = await receiver.wait_for_calls(2, seconds=LEASE_SECONDS + 10)

    assert (second_call.id, second_call.body) == (first_call.id, first_call.body)
    assert int(second_call.headers["webhook-timestamp"]) > int(first_call.headers["webhook-timestamp"])


async def test_a_graceful_stop_waits_for_an_attempt(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator, receiver: WebhookReceiver
) -> None:
    """On SIGTERM the attempt in progress ends and is recorded: the next process sends nothing again."""
    config = write_webhook_config(write_config, gateway, receiver, 'events = ["verification.requested"]')
    receiver.delay_seconds = 0.7
    first = await serve_until_called(serve, config, receiver)
    first.send(signal.SIGTERM)
    assert await first.status() == 0

    assert '"event":"webhook_attempt"' in first.log
    assert '"result":"204"' in first.log


async def test_a_secret_rotates_at_sighup(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator, receiver: WebhookReceiver
) -> None:
    """The receiver changes its secret while the service runs: events after the reload are signed with the new one."""
    config = write_webhook_config(write_config, gateway, receiver, 'events = ["verification.requested"]')
    service = serve(config)
    async with api_client(await service.ready()) as client:
        await client.post("/v1/request-code", json=ASKED)
        await receiver.wait_for_calls(1)
        (config.parent / "webhook-secret").write_text(SECOND_SECRET)
        service.send(signal.SIGHUP)
        await wait_until(lambda: '"config_reloaded"' in service.log, 20)
        receiver.secret = SECOND_SECRET
        await client.post("/v1/request-code", json=ASKED | {"purpose": "registration"})
        await receiver.wait_for_calls(2)

    assert receiver.events[1].data["purpose"] == "registration"
