"""`otp-service webhooks` on the store of a running service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.command_runs import Run
from tests.cli.service_config import ConfigWriter, api_client
from tests.cli.test_config_commands import ran
from tests.cli.webhook_config import listed_words, write_webhook_config
from tests.crypto.test_standard_webhooks import ED25519_PUBLIC, ED25519_SECRET
from tests.service_process import ServiceProcess
from tests.waits import wait_for_sample
from tests.webhooks.webhook_receiver import SECRET, WebhookReceiver

ASKED = {"phone": "0812-1010-0055", "purpose": "login"}


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """Run a receiver of webhooks."""
    async with WebhookReceiver() as running:
        yield running


@pytest.fixture
def config(write_config: ConfigWriter, gateway: EimsSimulator, receiver: WebhookReceiver) -> Path:
    """Return a config file with an endpoint."""
    return write_webhook_config(write_config, gateway, receiver)


async def listed(run: Run, *words: Any) -> dict[str, Any]:
    """Return what `webhooks list --json` says of the only endpoint."""
    result = await run(*words)
    assert (result.status, result.err) == (0, "")
    [found] = json.loads(result.out)
    return dict(found)


async def wait_until_recorded(client: httpx.AsyncClient, count: int) -> None:
    """Wait until the service has recorded that `count` calls were accepted: it does so after their answers."""
    await wait_for_sample(client, f'otp_webhook_events_total{{endpoint="acme.main",result="delivered"}} {count}.0')


async def test_a_gone_endpoint_is_disabled_until_it_is_enabled(
    serve: Callable[..., ServiceProcess],
    write_config: ConfigWriter,
    gateway: EimsSimulator,
    receiver: WebhookReceiver,
    run: Run,
) -> None:
    """After a 410 events wait, the list says so, and `enable` lets them through; a second `enable` changes nothing."""
    config = write_webhook_config(write_config, gateway, receiver, 'events = ["verification.requested"]')
    receiver.answers = [(410, {})]
    service = serve(config)
    async with api_client(await service.ready()) as client:
        await client.post("/v1/request-code", json=ASKED)
        await receiver.wait_for_calls(1)
        await client.post("/v1/request-code", json=ASKED | {"purpose": "registration"})

        found = await listed(run, *listed_words(config))
        assert found["endpoint"] == "acme.main"
        assert found["disabled_at"].endswith("Z")
        assert (found["waiting"], found["last_result"], found["failures_in_a_row"]) == (2, "410", 1)
        assert {one["state"] for one in found["events"]} == {"waiting"}
        assert "disabled" in (await run("webhooks", "list", "--config", str(config))).out
        assert len(receiver.events) == 1
        await wait_for_sample(client, 'otp_webhook_disabled{endpoint="acme.main"} 1.0')

        enabled = ("webhooks", "enable", "--config", str(config), "--endpoint", "acme.main")
        assert (await run(*enabled)).out == "acme.main: enabled\n"
        await receiver.wait_for_calls(3)
        assert (await run(*enabled)).out == "acme.main: was enabled before\n"

    assert "webhook_disabled" in service.log
    assert SECRET.removeprefix("whsec_") not in service.log
    assert "/hooks" not in service.log


async def test_events_are_sent_again(
    serve: Callable[..., ServiceProcess],
    write_config: ConfigWriter,
    gateway: EimsSimulator,
    receiver: WebhookReceiver,
    run: Run,
) -> None:
    """One by its id, or all since a time, each under the id that it had."""
    config = write_webhook_config(write_config, gateway, receiver)
    config.write_text(config.read_text().replace("timeout_seconds = 1\n", "timeout_seconds = 10\n"))
    service = serve(config)
    words = ("webhooks", "replay", "--config", str(config), "--endpoint", "acme.main")
    async with api_client(await service.ready()) as client:
        await client.post("/v1/request-code", json=ASKED)
        requested, sent = await receiver.wait_for("verification.requested", "message.sent", seconds=30)
        await wait_until_recorded(client, 2)

        assert (await run(*words, "--event", sent.id)).out == "acme.main: 1 event is sent again\n"
        await wait_until_recorded(client, 3)
        assert (await run(*words, "--since", "2m")).out == "acme.main: 2 events are sent again\n"
        await wait_until_recorded(client, 5)
        assert (await run(*words, "--since", "2m", "--failed")).out == "acme.main: 0 events are sent again\n"
        unknown = await run(*words, "--event", "evt_unknown")

    assert unknown.status == 1
    audit, said = unknown.err.splitlines()
    assert said == "Error: acme.main: no such event is kept."
    assert json.loads(audit)["action"] == "webhook_replay"
    assert [event.id for event in receiver.events].count(sent.id) == 3
    assert {event.body for event in receiver.events if event.id == sent.id} == {sent.body}
    found = await listed(run, *listed_words(config, "--events", "2"))
    assert {(one["id"], one["state"], one["last_result"]) for one in found["events"]} == {
        (requested.id, "delivered", "204"),
        (sent.id, "delivered", "204"),
    }


async def test_a_test_event(
    serve: Callable[..., ServiceProcess],
    write_config: ConfigWriter,
    gateway: EimsSimulator,
    receiver: WebhookReceiver,
    run: Run,
) -> None:
    """It reaches an endpoint that gets other types only, and has the id that the command prints."""
    config = write_webhook_config(write_config, gateway, receiver, 'events = ["message.failed"]')
    service = serve(config)
    await service.ready()

    result = await run("webhooks", "test", "--config", str(config), "--endpoint", "acme.main")
    [event] = await receiver.wait_for("test")

    assert event.id in result.out
    assert event.data == {"message": "This is a test."}


def test_public_keys_are_listed(write_config: ConfigWriter, store: EmbeddedServer) -> None:
    """The operator hands them to the receiver; the secret keys are not shown."""
    config = write_config()
    secret = config.with_name("webhook-secret")
    endpoint = f'[tenants.acme.webhooks.main]\nurl = "https://hooks.example.com/"\nsecret = "file:{secret}"\n'
    config.write_text(config.read_text() + endpoint)
    words = ("webhooks", "list", "--config", str(config))
    secret.write_text(SECRET)
    assert "PUBLIC KEY" not in ran(*words, REDIS_URL=store.url).stdout
    secret.write_text(ED25519_SECRET)

    shown = ran(*words, REDIS_URL=store.url)
    assert shown.stdout.splitlines()[-2:] == ["ENDPOINT   PUBLIC KEY", f"acme.main  {ED25519_PUBLIC}"]
    [found] = json.loads(ran(*words, "--json", REDIS_URL=store.url).stdout)
    assert found["public_keys"] == [ED25519_PUBLIC]
    assert ED25519_SECRET[5:48] not in shown.output + json.dumps(found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("enable", "--endpoint", "acme.other"), '--endpoint: "acme.other" is not an endpoint; allowed: acme.main\n'),
        (
            ("replay", "--endpoint", "acme.main", "--since", "yesterday"),
            '--since: "yesterday" is not a time; allowed: 2026-11-27T10:00Z, or 90m, 12h, 3d\n',
        ),
        (
            ("replay", "--endpoint", "acme.main"),
            "webhooks replay: give one of --event ID and --since TIME; --failed goes with --since.\n",
        ),
    ],
)
async def test_wrong_options(config: Path, run: Run, words: tuple[str, ...], said: str) -> None:
    """They end the command with status 2, and say what is allowed."""
    result = await run("webhooks", words[0], "--config", str(config), *words[1:])

    assert (result.status, result.err) == (2, said)
