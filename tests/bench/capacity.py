"""(a) and (b): what a cycle costs, against the bare hash, and against routes that do nothing, in the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.bench.bare_hash import hash_rate
from tests.bench.bare_routes import BODY, PATH, running_bare_server
from tests.bench.figures import Line, Options
from tests.bench.measured_server import server_cores
from tests.bench.service_stack import DEFAULT_HASH, running_stack

__all__ = ["cheap_cycles", "expect_only", "full_cycles"]

HASHES_PER_CYCLE: Final = 2
CALLERS: Final = 16
"""Callers for each core: enough that a hash always waits for the core."""


def hashes_in(result: Mapping[str, Any]) -> float:
    """Return the hashes a second of a result: one for each code that was made or was right."""
    expect_only(result, "request 202", "verify 200")
    return float(sum(result["statuses"].values())) / float(result["seconds"])


def expect_only(result: Mapping[str, Any], *statuses: str) -> None:
    """Raise RuntimeError if the service answered nothing, or with other statuses."""
    if not result["statuses"] or not set(result["statuses"]) <= set(statuses):
        raise RuntimeError(f"the service answered {result['statuses'] or 'nothing'}, not only {statuses}")


def full_cycles(options: Options) -> Iterator[Line]:
    """(a) Cycles at the default cost: their hashes a second as a share of what the same cores do bare."""
    yield from _full_cycles(options, 1, "one worker")
    if not options.is_short and len(server_cores(2)) == 2:
        yield from _full_cycles(options, 2, "two workers")


def _full_cycles(options: Options, workers: int, name: str) -> Iterator[Line]:
    hash_seconds = options.seconds(2.0, 1.0)
    shares, of_the_rest, of_cpu = [], [], []
    with running_stack(DEFAULT_HASH, workers=workers) as stack:
        before = hash_rate(workers, hash_seconds)
        for _ in range(options.rounds):
            store = stack.store_cpu_seconds()
            result = stack.load(seconds=options.seconds(5.0, 2.5), callers=CALLERS * workers, warm_up=1.0)
            tools = stack.store_cpu_seconds() - store + float(result["own_cpu_seconds"])
            after = hash_rate(workers, hash_seconds)
            shares.append(hashes_in(result) / ((before.per_second + after.per_second) / 2))
            hash_ms = 2000 / (before.per_cpu_second + after.per_cpu_second)
            of_cpu.append(HASHES_PER_CYCLE * hash_ms / float(result["cpu_ms"]))
            of_the_rest.append(shares[-1] / (1 - tools / float(result["seconds"]) / workers))
            before = after
    key = name.replace(" ", "_")
    text = f"hashes of full cycles : bare hashes, {name}"
    yield Line(name=f"a.{key}_cpu", text=f"CPU of two bare hashes : CPU of a cycle, {name}", values=tuple(of_cpu))
    if workers == 1:
        yield Line(name=f"a.{key}", text=f"{text} with a core to itself", values=tuple(shares), at_least=0.92)
        return
    yield Line(name=f"a.{key}", text=f"{text}, store and load on the same cores", values=tuple(shares), at_least=0.92)
    yield Line(name=f"a.{key}_rest", text="the same, of the time that store and load leave", values=tuple(of_the_rest))


def cheap_cycles(options: Options) -> Iterator[Line]:
    """(b) Cycles with the cheapest hash against a bare Litestar route and a bare ASGI route on the same core."""
    seconds, cycles, litestar, asgi, rates = options.seconds(3.0, 1.5), [], [], [], []
    with (
        running_stack() as stack,
        running_bare_server("litestar") as litestar_server,
        running_bare_server("asgi") as asgi_server,
    ):
        for _ in range(options.rounds):
            result = stack.load(seconds=seconds)
            expect_only(result, "request 202", "verify 200")
            cycles.append(float(result["cpu_ms"]))
            rates.append(float(result["per_second"]))
            litestar.append(float(litestar_server.load(kind="post", path=PATH, body=BODY, seconds=seconds)["cpu_ms"]))
            asgi.append(float(asgi_server.load(kind="post", path=PATH, body=BODY, seconds=seconds)["cpu_ms"]))
    yield Line(name="b.cpu", text="CPU of a cycle", values=tuple(cycles), unit="ms", at_most=1.8)
    yield Line(name="b.rate", text="cycles a second, one worker with a core to itself", values=tuple(rates), unit="/s")
    for name, text, bare in (("litestar", "Litestar", litestar), ("asgi", "ASGI", asgi)):
        ratios = tuple(cycle / one for cycle, one in zip(cycles, bare, strict=True))
        yield Line(name=f"b.{name}", text=f"CPU of a cycle : a request of a bare {text} route", values=ratios)
