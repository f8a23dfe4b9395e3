"""Lost replies of the store, lost calls and disconnected clients: a 503 has done nothing, and a retry is served."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from otp_service.crypto.hashing import HashPool, MaskedHash
from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE, VERIFICATIONS, VERIFY_CODE
from tests.config_parts import SLOW_HASHING
from tests.lossy_proxy import LossyProxy
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

KEY = {"Idempotency-Key": "order-17"}
LIMITS: dict[str, Any] = {
    "limits": {"recipient": ["1/3600"], "client_ip": ["1/3600"], "prefix": ["1/3600"], "tenant": ["1/3600"]}
}
"""One send and no more, so that whatever is not released shows at once."""


@pytest.fixture
async def proxy(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[LossyProxy]:
    """Put a lossy proxy between the services and the server of the test run."""
    async with LossyProxy(tmp_path / "w", server.socket).running() as running:
        yield running


@pytest.fixture
async def far(proxy: LossyProxy, server: EmbeddedServer) -> AsyncIterator[RunningService]:
    """Start a service behind the proxy, with a limit of one message per number and hour."""
    factory = ServiceFactory(proxy.url)
    await factory.empty_store()
    service = await factory(LIMITS)
    service.store = Redis.from_url(server.url)
    yield service
    await service.store.aclose()
    await factory.close()


async def request_everything(service: RunningService, headers: dict[str, str] | None = None) -> httpx.Response:
    """Call request-code with every member that a limit counts."""
    body = {**REQUEST_BODY, "client_ip": "203.0.113.9"}
    return await service.client.post(REQUEST_CODE, json=body, headers=headers or {})


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
@pytest.mark.parametrize("before", [True, False], ids=["call", "reply"])
async def test_a_lost_start(far: RunningService, proxy: LossyProxy, headers: dict[str, str], before: bool) -> None:
    """The request gets 503 and sends nothing; the retry finds every limit unused and sends one message."""
    proxy.lose("start", before=before)
    assert_problem(await request_everything(far, headers), 503, "store_unavailable")
    assert proxy.lost == 1

    again = await request_everything(far, headers)

    assert again.status_code == 202, again.text
    assert again.json()["sends_left"] == 4
    await far.advance(6)
    await far.message_of(again.json()["verification_id"])
    await asyncio.sleep(0.6)  # one poll of the outbox
    assert len(far.inbox.messages()) == 1
    names = [name for name in await far.store.keys("otp:*") if b":v:" in name or b":i:" in name]
    assert len(names) == (3 if headers else 1)


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_lost_start_whose_undo_is_lost(far: RunningService, proxy: LossyProxy, headers: dict[str, str]) -> None:
    """The undo is repeated until the store answers."""
    proxy.lose("start")
    first = asyncio.create_task(request_everything(far, headers))
    while proxy.lost == 0:
        await asyncio.sleep(0)
    proxy.lose("abandon", times=2)
    assert_problem(await first, 503, "store_unavailable")

    async with asyncio.timeout(5):
        while (again := await request_everything(far, headers)).status_code != 202:
            await asyncio.sleep(0.05)
    assert proxy.lost == 3
    await far.message_of(again.json()["verification_id"])
    assert len(far.inbox.messages()) == 1


@pytest.mark.parametrize("before", [True, False], ids=["call", "reply"])
async def test_a_lost_admission(make_service: ServiceFactory, proxy: LossyProxy, before: bool) -> None:
    """The request gets 503; the retry finds the reserved send and the idempotency key, and is served."""
    factory = ServiceFactory(proxy.url)
    try:
        service = await factory({"limits": {"recipient": ["1/3600"]}})
        proxy.lose("reserve", before=before)
        assert_problem(await request_everything(service, KEY), 503, "store_unavailable")

        again = await request_everything(service, KEY)

        assert (again.status_code, again.json().get("sends_left")) == (202, 4), again.text
        await service.message_of(again.json()["verification_id"])
        assert len(service.inbox.messages()) == 1
    finally:
        await factory.close()


@pytest.mark.parametrize("name", ["idempotency_claim", "consume"])
@pytest.mark.parametrize("before", [True, False], ids=["call", "reply"])
async def test_a_lost_attempt(far: RunningService, proxy: LossyProxy, name: str, before: bool) -> None:
    """The request gets 503; with the same key the correct code succeeds, whatever step was lost."""
    verification_id, code = await far.request_code()
    attempt_body = {"verification_id": verification_id, "code": code}
    proxy.lose(name, before=before)
    assert_problem(await far.client.post(VERIFY_CODE, json=attempt_body, headers=KEY), 503, "store_unavailable")
    assert proxy.lost == 1

    again = await far.client.post(VERIFY_CODE, json=attempt_body, headers=KEY)

    assert again.status_code == 200, again.text
    assert (await far.client.post(VERIFY_CODE, json=attempt_body, headers=KEY)).content == again.content


async def test_a_lost_reserve_attempt_call_costs_no_attempt(far: RunningService, proxy: LossyProxy) -> None:
    """The idempotency key is free, and all attempts are left."""
    verification_id, code = await far.request_code()
    attempt_body = {"verification_id": verification_id, "code": far.wrong_code(code)}
    proxy.lose("reserve_attempt", before=True)
    assert_problem(await far.client.post(VERIFY_CODE, json=attempt_body, headers=KEY), 503, "store_unavailable")

    assert (await far.client.get(VERIFICATIONS + verification_id)).json()["attempts_left"] == 5
    wrong = assert_problem(
        await far.client.post(VERIFY_CODE, json=attempt_body, headers=KEY), 422, "code_incorrect", "attempts_left"
    )
    assert wrong["attempts_left"] == 4


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_client_that_disconnects_during_the_hash(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """Nothing is sent, all limits are released, and the next request is served."""
    service = await make_service(LIMITS | SLOW_HASHING)
    hashing, original = Counter[str](), HashPool.hash

    async def counted(pool: HashPool, secret: bytes, *caller: Any) -> MaskedHash:
        hashing["begun"] += 1
        return await original(pool, secret, *caller)

    monkeypatch.setattr(HashPool, "hash", counted)
    first = asyncio.create_task(request_everything(service, headers))
    while not hashing["begun"]:
        await asyncio.sleep(0)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    async with asyncio.timeout(2):
        while await service.store.keys("otp:*"):
            await asyncio.sleep(0.01)

    again = await request_everything(service, headers)

    assert (again.status_code, again.json().get("sends_left")) == (202, 4), again.text
    await service.message_of(again.json()["verification_id"])
    assert len(service.inbox.messages()) == 1


async def test_a_request_that_pauses_for_too_long_is_dropped(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 15.5 s between admission and start the request gets 503, sends nothing and releases every limit."""
    service = await make_service(LIMITS)
    original = HashPool.hash

    async def paused(pool: HashPool, secret: bytes, *caller: Any) -> MaskedHash:
        await service.advance(15.5)
        return await original(pool, secret, *caller)

    with monkeypatch.context() as slow:
        slow.setattr(HashPool, "hash", paused)
        assert_problem(await request_everything(service, KEY), 503, "overloaded")
    assert await service.store.keys("otp:*") == []

    again = await request_everything(service, KEY)

    assert again.status_code == 202
    await service.message_of(again.json()["verification_id"])
    assert len(service.inbox.messages()) == 1
