"""Measure what refused requests leave in the store, by endpoint and refusal.

`python -m tests.api.refusal_storage_growth` prints the table.

Each refusal is provoked ten times without an idempotency key and ten times with a new one each. The state that leads to
it (an ended verification, a limit that is used up) is made before. Counted is every new key, and every byte of content
(DUMP): the memory of a value may change by a few bytes for reasons of the server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from typing import Final

from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.api.refusal_cases import CASES, Case
from tests.config_parts import shared_keys
from tests.running_service import RunningService, ServiceFactory, move_clock_by_key

TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class Growth:
    """The keys and bytes that ten refusals have left."""

    keys: int
    bytes: int


async def measure(make_service: ServiceFactory, case: Case) -> dict[str, Growth]:
    """Provoke a refusal ten times without and ten times with idempotency keys, and measure the growth of each."""
    service = await make_service(shared_keys() | case.config)
    prepared_by = service if case.other is None else await make_service(case.other)
    call = await case.prepare(prepared_by)
    await _wait_for_deliveries(service)
    numbers, found = count(), {}
    for kind in ("without", "with"):
        before = await usage(service)
        for _ in range(TIMES):
            response = await call.send(service, f"fresh-{next(numbers)}" if kind == "with" else "")
            code = response.json()["code"]
            assert code == case.code.split()[0], response.text
        after = await usage(service)
        grown = sum(after.values()) - sum(size for name, size in before.items() if name in after)
        found[kind] = Growth(len(after.keys() - before.keys()), grown)
    return found


async def usage(service: RunningService) -> dict[bytes, int]:
    """Return the size of every key except those of the tests."""
    names = [name for name in await service.store.keys("*") if not name.startswith(b"test:")]
    dumps = [await service.store.dump(name) for name in names]
    return {name: len(dump) for name, dump in zip(names, dumps, strict=True) if dump is not None}


async def _wait_for_deliveries(service: RunningService) -> None:
    """Wait until the store no longer changes."""
    before: dict[bytes, int] = {}
    while (now := await usage(service)) != before:
        before = now
        await asyncio.sleep(0.03)


async def _print() -> None:
    with EmbeddedServer() as server:
        print(f"{'refused 10 times':62}{'without a key':>20}{'with fresh keys':>20}")  # noqa: T201 - a table for whoever runs it
        for case in CASES:
            factory = ServiceFactory(server.url)
            await factory.empty_store()
            try:
                grown = await measure(factory, case)
            finally:
                await factory.close()
            cells = (f"{one.keys} keys, {one.bytes} B" for one in grown.values())
            print(f"{case.name:62}" + "".join(f"{cell:>20}" for cell in cells))  # noqa: T201 - a table for whoever runs it


if __name__ == "__main__":
    from otp_service.observability import configure_logging

    configure_logging()
    with move_clock_by_key():
        asyncio.run(_print())
