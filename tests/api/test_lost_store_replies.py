"""A lost reply, a call that never arrives, a caller who hangs up: a 503 has done nothing, and the retry is served."""

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

from otp_service.crypto.hashing import HashPool
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.scripts import script
from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE, VERIFICATIONS, VERIFY_CODE
from tests.config_parts import SLOW_HASHING
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

KEY = {"Idempotency-Key": "order-17"}
LIMITS: dict[str, Any] = {
    "limits": {"recipient": ["1/3600"], "client_ip": ["1/3600"], "prefix": ["1/3600"], "tenant": ["1/3600"]}
}
"""One send and no more: what is not given back shows at once."""


class LossyWay:
    """A way to the server that loses calls of one script: the reply, or (`before`) the call itself."""

    def __init__(self, path: Path, target: str) -> None:
        self.url = f"unix://{path}"
        self.lost = 0
        self._path, self._target = path, target
        self._digest, self._times, self._before = b"", 0, False

    def lose(self, name: str, times: int = 1, *, before: bool = False) -> None:
        """Lose the next calls of a script."""
        self._digest, self._times, self._before = script(name).digest.encode(), times, before

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[LossyWay]:
        """Serve until the end of the context."""
        server = await asyncio.start_unix_server(self._serve, self._path)
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        loses = asyncio.Event()

        async def up() -> None:
            while data := await reader.read(1 << 20):
                if self._times and self._digest in data:
                    self._times, self.lost = self._times - 1, self.lost + 1
                    loses.set()
                    if self._before:
                        writer.close()
                        break
                far_writer.write(data)
            far_writer.close()

        async def down() -> None:
            while data := await far_reader.read(1 << 20):
                if loses.is_set():
                    break
                writer.write(data)
            writer.close()

        with contextlib.suppress(OSError):
            await asyncio.gather(up(), down())


@pytest.fixture
async def way(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[LossyWay]:
    """Stand between the services and the run's server."""
    async with LossyWay(tmp_path / "w", server.socket).running() as running:
        yield running


@pytest.fixture
async def far(way: LossyWay, server: EmbeddedServer) -> AsyncIterator[RunningService]:
    """A service behind it, where a number gets one text an hour."""
    factory = ServiceFactory(way.url)
    await factory.empty_store()
    service = await factory(LIMITS)
    service.store = Redis.from_url(server.url)
    yield service
    await service.store.aclose()
    await factory.close()


async def ask(service: RunningService, headers: dict[str, str] | None = None) -> httpx.Response:
    """Ask for a code with everything that may be counted."""
    body = {**REQUEST_BODY, "client_ip": "203.0.113.9"}
    return await service.client.post(REQUEST_CODE, json=body, headers=headers or {})


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
@pytest.mark.parametrize("before", [True, False], ids=["call", "reply"])
async def test_a_start_that_is_lost(far: RunningService, way: LossyWay, headers: dict[str, str], before: bool) -> None:
    """503, no text; the retry finds every budget as it was, and makes the one text."""
    way.lose("start", before=before)
    assert_problem(await ask(far, headers), 503, "store_unavailable")
    assert way.lost == 1

    again = await ask(far, headers)

    assert again.status_code == 202, again.text
    assert again.json()["sends_left"] == 4
    await far.advance(6)
    await far.message_of(again.json()["verification_id"])
    await asyncio.sleep(0.6)  # a round through the outbox
    assert len(far.inbox.messages()) == 1
    names = [name for name in await far.store.keys("otp:*") if b":v:" in name or b":i:" in name]
    assert len(names) == (3 if headers else 1)


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_start_whose_undoing_is_lost_too(far: RunningService, way: LossyWay, headers: dict[str, str]) -> None:
    """What is undone is undone again until the store answers."""
    way.lose("start")
    first = asyncio.create_task(ask(far, headers))
    while way.lost == 0:
        await asyncio.sleep(0)
    way.lose("abandon", times=2)
    assert_problem(await first, 503, "store_unavailable")

    async with asyncio.timeout(5):
        while (again := await ask(far, headers)).status_code != 202:
            await asyncio.sleep(0.05)
    assert way.lost == 3
    await far.message_of(again.json()["verification_id"])
    assert len(far.inbox.messages()) == 1


@pytest.mark.parametrize("before", [True, False], ids=["call", "reply"])
async def test_an_admission_that_is_lost(make_service: ServiceFactory, way: LossyWay, before: bool) -> None:
    """503; the recipient's send and the idempotency key are found again, and the retry is served."""
    factory = ServiceFactory(way.url)
    try:
        service = await factory({"limits": {"recipient": ["1/3600"]}})
        way.lose("reserve", before=before)
        assert_problem(await ask(service, KEY), 503, "store_unavailable")

        again = await ask(service, KEY)

        assert (again.status_code, again.json().get("sends_left")) == (202, 4), again.text
        await service.message_of(again.json()["verification_id"])
        assert len(service.inbox.messages()) == 1
    finally:
        await factory.close()


@pytest.mark.parametrize("name", ["idempotency_claim", "consume"])
@pytest.mark.parametrize("before", [True, False], ids=["call", "reply"])
async def test_a_guess_that_is_lost(far: RunningService, way: LossyWay, name: str, before: bool) -> None:
    """503, and with the same key the right guess is told as right at once, however far it had come."""
    verification_id, code = await far.request_code()
    guess = {"verification_id": verification_id, "code": code}
    way.lose(name, before=before)
    assert_problem(await far.client.post(VERIFY_CODE, json=guess, headers=KEY), 503, "store_unavailable")
    assert way.lost == 1

    again = await far.client.post(VERIFY_CODE, json=guess, headers=KEY)

    assert again.status_code == 200, again.text
    assert (await far.client.post(VERIFY_CODE, json=guess, headers=KEY)).content == again.content


async def test_a_call_to_spend_that_never_arrives_costs_no_attempt(far: RunningService, way: LossyWay) -> None:
    """The key is free, and all attempts are left."""
    verification_id, code = await far.request_code()
    guess = {"verification_id": verification_id, "code": far.wrong_code(code)}
    way.lose("reserve_attempt", before=True)
    assert_problem(await far.client.post(VERIFY_CODE, json=guess, headers=KEY), 503, "store_unavailable")

    assert (await far.client.get(VERIFICATIONS + verification_id)).json()["attempts_left"] == 5
    wrong = assert_problem(
        await far.client.post(VERIFY_CODE, json=guess, headers=KEY), 422, "code_incorrect", "attempts_left"
    )
    assert wrong["attempts_left"] == 4


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_caller_who_hangs_up_while_the_code_is_hashed(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """Nothing is sent, everything is given back, and the next request is served."""
    service = await make_service(LIMITS | SLOW_HASHING)
    hashing, original = Counter[str](), HashPool.hash

    async def counted(pool: HashPool, secret: bytes, *caller: Any) -> str:
        hashing["begun"] += 1
        return await original(pool, secret, *caller)

    monkeypatch.setattr(HashPool, "hash", counted)
    first = asyncio.create_task(ask(service, headers))
    while not hashing["begun"]:
        await asyncio.sleep(0)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    async with asyncio.timeout(2):
        while await service.store.keys("otp:*"):
            await asyncio.sleep(0.01)

    again = await ask(service, headers)

    assert (again.status_code, again.json().get("sends_left")) == (202, 4), again.text
    await service.message_of(again.json()["verification_id"])
    assert len(service.inbox.messages()) == 1


async def test_a_request_that_pauses_for_too_long_is_dropped(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """15.5 s between admission and start: 503, no text, and everything is as it was; the retry is served."""
    service = await make_service(LIMITS)
    original = HashPool.hash

    async def paused(pool: HashPool, secret: bytes, *caller: Any) -> str:
        await service.advance(15.5)
        return await original(pool, secret, *caller)

    with monkeypatch.context() as slow:
        slow.setattr(HashPool, "hash", paused)
        assert_problem(await ask(service, KEY), 503, "overloaded")
    assert await service.store.keys("otp:*") == []

    again = await ask(service, KEY)

    assert again.status_code == 202
    await service.message_of(again.json()["verification_id"])
    assert len(service.inbox.messages()) == 1
