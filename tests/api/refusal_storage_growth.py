"""What refused requests leave in the store, by endpoint and refusal.

`python -m tests.api.refusal_storage_growth` prints the table.

Each refusal is provoked ten times without an idempotency key and ten times with a fresh one each, on a store where what
it needs (an ended verification, a limit that is used up) was made before. What is counted is every key and every byte
of content (DUMP) beyond that: how the server packs a value in its memory may change by a few bytes, once.
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
    """What ten refusals left: keys, and bytes."""

    keys: int
    bytes: int


async def measure(make_service: ServiceFactory, case: Case) -> dict[str, Growth]:
    """Refuse ten times each without and with idempotency keys; what is left of either."""
    service = await make_service(shared_keys() | case.config)
    prepared_by = service if case.other is None else await make_service(case.other)
    call = await case.prepare(prepared_by)
    await _quiet(service)
    numbers, found = count(), {}
    for kind in ("without", "with"):
        before = await usage(service)
        for _ in range(TIMES):
            response = await call.send(service, f"fresh-{next(numbers)}" if kind == "with" else "")
            said = response.json()["code"]
            assert said == case.code.split()[0], response.text
        after = await usage(service)
        grown = sum(after.values()) - sum(size for name, size in before.items() if name in after)
        found[kind] = Growth(len(after.keys() - before.keys()), grown)
    return found


async def usage(service: RunningService) -> dict[bytes, int]:
    """Measure every key but the tests' own."""
    names = [name for name in await service.store.keys("*") if not name.startswith(b"test:")]
    dumps = [await service.store.dump(name) for name in names]
    return {name: len(dump) for name, dump in zip(names, dumps, strict=True) if dump is not None}


async def _quiet(service: RunningService) -> None:
    """Wait until deliveries are written down."""
    before: dict[bytes, int] = {}
    while (now := await usage(service)) != before:
        before = now
        await asyncio.sleep(0.03)


async def _print() -> None:
    with EmbeddedServer() as server:
        print(f"{'refused 10 times':62}{'without a key':>20}{'with fresh keys':>20}")  # noqa: T201
        for case in CASES:
            factory = ServiceFactory(server.url)
            await factory.empty_store()
            try:
                grown = await measure(factory, case)
            finally:
                await factory.close()
            cells = (f"{one.keys} keys, {one.bytes} B" for one in grown.values())
            print(f"{case.name:62}" + "".join(f"{cell:>20}" for cell in cells))  # noqa: T201


if __name__ == "__main__":
    from otp_service.observability import configure_logging

    configure_logging()
    with move_clock_by_key():
        asyncio.run(_print())
