"""A cluster with an unreachable node: messages and webhooks on the other nodes are still claimed and sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

import httpx
import pytest
from litestar.types import ASGIApp
from redis.asyncio import Redis
from redis.crc import key_slot

from otp_service.bootstrap import build_app
from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.observability import METRICS
from otp_service.providers.inbox import Inbox
from otp_service.sandbox.dev_config import API_KEY, dev_config, merged
from otp_service.settings import Settings, load
from otp_service.store import verifications
from otp_service.store.keys import Partition, ProviderKeys, partition_of_id, webhook_endpoint_key
from otp_service.store.scripts import override_clock
from tests.running_service import CHEAP_HASH, lifespan
from tests.store.redis_servers import HOST, SLOTS, RedisServer, cluster
from tests.webhooks.webhook_receiver import WebhookReceiver

REQUESTS = 36
SHARE = SLOTS // 3 + 1


@pytest.fixture(autouse=True)
def _servers_clock() -> Iterator[None]:
    """Use the clocks of the servers."""
    with override_clock(None):
        yield


def node_of(key: str) -> int:
    """Return which of the three primaries has a key."""
    return key_slot(key.encode()) // SHARE


def provider_on(node: int) -> str:
    """Return the name of a provider whose shared state is on that node."""
    return next(name for name in (f"gw{n}" for n in range(100)) if node_of(ProviderKeys(name).circuit) == node)


def endpoint_on(node: int) -> str:
    """Return the name of a webhook endpoint of the tenant whose shared state is on that node."""
    return next(name for name in (f"w{n}" for n in range(100)) if node_of(webhook_endpoint_key(f"demo.{name}")) == node)


def config(nodes: list[RedisServer], receivers: Mapping[int, WebhookReceiver]) -> Settings:
    """Return the config of a service on the cluster, with a provider whose state is on the first node.

    The shared state of each receiver's endpoint is on the node that it stands for.
    """
    seeds = ",".join(f"{HOST}:{nodes[n].port}" for n in (0, 2))
    name = provider_on(0)
    base = dev_config(f"redis+cluster://{seeds}")
    base["providers"] = {name: {"type": "inbox"}}
    base["routes"] = [{"providers": [name]}]
    webhooks = {endpoint_on(node): one.config(events=["message.sent"]) for node, one in receivers.items()}
    more = {"hashing": CHEAP_HASH, "tenants": {"demo": {"webhooks": webhooks}}}
    return load(merged(base, more), {}, plain_secrets=True)


@contextlib.asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[tuple[ASGIApp, Inbox]]:
    """Run a replica, and return its inbox."""
    inbox = Inbox(next(iter(settings.providers)))
    app = build_app(settings, inbox=inbox)
    async with lifespan(app):
        yield app, inbox


async def request_without_sending(settings: Settings) -> set[str]:
    """Request codes from a service that stops before it sends any message; return the ids."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(verifications, "FIRST_LEASE_MS", 50)
        patched.setattr(OutboxWorker, "deliver", lambda *_: None)
        patched.setattr(OutboxWorker, "start", lambda _: None)
        async with service(settings) as (app, _):
            transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # httpx has its own types of ASGI
            headers = {"Authorization": f"Bearer {API_KEY}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
                ids = set()
                for n in range(REQUESTS):
                    body = {"phone": f"0812{n:02d}100055", "purpose": "login"}
                    response = await client.post("/v1/request-code", json=body)
                    assert response.status_code == 202, response.text
                    ids.add(response.json()["verification_id"])
    return ids


def partition_of(verification_id: str) -> Partition:
    """Return the partition of an id."""
    found = partition_of_id(verification_id)
    assert found is not None
    return found


async def wait_for_texts(inbox: Inbox, ids: set[str], seconds: float = 15) -> None:
    """Wait until exactly the messages of these ids have arrived, each once."""
    async with asyncio.timeout(seconds):
        while len(inbox.messages()) < len(ids):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    assert sorted(message.id for message in inbox.messages()) == sorted(ids)


async def wait_for_events(receivers: Iterable[WebhookReceiver], ids: set[str]) -> None:
    """Wait until each receiver has the event of each of these messages, and no other."""
    for receiver in receivers:
        await receiver.wait_for_calls(len(ids), seconds=15)
        assert {event.data["verification_id"] for event in receiver.events} == ids


@pytest.mark.parametrize("hangs", [False, True], ids=["a node is dead", "a node hangs"])
async def test_an_unreachable_node_stops_only_its_own_messages(hangs: bool) -> None:
    """With a damaged record too, every other message is sent once; those of the node follow when it is back.

    So are webhooks, also those of an endpoint whose own state is on the dead node.
    """
    async with contextlib.AsyncExitStack() as stack:
        nodes = stack.enter_context(cluster())
        on_nodes = () if hangs else (0, 1)  # each look for events takes the whole deadline of a node that hangs
        receivers = {node: await stack.enter_async_context(WebhookReceiver()) for node in on_nodes}
        settings = config(nodes, receivers)
        ids = await request_without_sending(settings)
        away = {one for one in ids if node_of(partition_of(one).outbox) == 1}
        bad = next(one for one in sorted(ids - away))
        assert away
        async with Redis(port=nodes[node_of(partition_of(bad).outbox)].port) as node:
            await node.set(partition_of(bad).verifications + bad, b"\xc1", keepttl=True)
        before = METRICS.unreadable._value.get()
        if hangs:
            os.kill(nodes[1].process.pid, signal.SIGSTOP)
        else:
            nodes[1].kill()
        try:
            async with service(settings) as (_, inbox):
                await wait_for_texts(inbox, ids - away - {bad})
                await wait_for_events(receivers.values(), ids - away - {bad})
                assert METRICS.unreadable._value.get() == before + 1
                if hangs:
                    os.kill(nodes[1].process.pid, signal.SIGCONT)
                    await wait_for_texts(inbox, ids - {bad})
        finally:
            if hangs:
                os.kill(nodes[1].process.pid, signal.SIGCONT)
