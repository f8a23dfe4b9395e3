"""(a) and (b): what a cycle costs, against the bare hash, and against routes that do nothing, in the same run."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.bench.bare_hash import BareHashes
from tests.bench.bare_routes import BODY, PATH, running_bare_server
from tests.bench.figures import Line, Options
from tests.bench.measured_server import server_cores
from tests.bench.python_calls import calls_of_a_cycle
from tests.bench.service_stack import DEFAULT_HASH, Stack, running_stack

__all__ = ["cheap_cycles", "expect_only", "full_cycles"]

CALLERS: Final = 16
"""Callers for each core: enough that a hash always waits for the core."""
TURN_SECONDS: Final = 0.25
"""Ten hashes; the service's calls of the store and of the gateway may be paused for as long."""
MAX_SECONDS: Final = 120.0
"""When the load of (a) ends by itself."""


def expect_only(result: Mapping[str, Any], *statuses: str) -> None:
    """Raise RuntimeError if the service answered nothing, or with other statuses."""
    if not result["statuses"] or not set(result["statuses"]) <= set(statuses):
        raise RuntimeError(f"the service answered {result['statuses'] or 'nothing'}, not only {statuses}")


def full_cycles(options: Options) -> Iterator[Line]:
    """(a) Cycles at the default cost: their hashes a second as a share of what the same cores do bare."""
    yield from _full_cycles(options, 1, 1, "one worker")
    if not options.is_short and len(server_cores(2)) == 2:
        yield from _full_cycles(options, 1, 2, "one worker on two cores")
        yield from _full_cycles(options, 2, 2, "two workers")


def _full_cycles(options: Options, workers: int, cores: int, name: str) -> Iterator[Line]:
    with running_stack(DEFAULT_HASH, workers=workers, cores=cores) as stack:
        found = [_share(stack, cores, options.seconds(10.0, 5.0)) for _ in range(options.rounds)]
    shares, of_cpu, of_the_rest = zip(*found, strict=True)
    key = name.replace(" ", "_")
    text = f"hashes of full cycles : bare hashes, {name}"
    yield Line(name=f"a.{key}_cpu", text=f"CPU of two bare hashes : CPU of a cycle, {name}", values=of_cpu)
    if cores == 1:
        yield Line(name=f"a.{key}", text=f"{text} with a core to itself", values=shares, at_least=0.92)
        return
    yield Line(name=f"a.{key}", text=f"{text}, store and load on the same cores", values=shares, at_least=0.92)
    yield Line(name=f"a.{key}_rest", text="the same, of the time that store and load leave", values=of_the_rest)


def _share(stack: Stack, cores: int, seconds: float) -> tuple[float, float, float]:
    """Return the hashes of full cycles : bare hashes, by time, by CPU time, and by the time that the tools leave.

    The service and the bare hashes have the cores in turns, for `seconds` each: a machine that others share changes its
    speed by a fifth within seconds, which a measurement before the other one does not notice.
    """
    on_seconds = bare_seconds = 0.0
    job = {"seconds": MAX_SECONDS, "callers": CALLERS * cores, "warm_up": 1.0}
    with BareHashes(cores) as bare, stack.start_load(**job) as load:
        load.wait_until_warm()
        used, tools = stack.cpu_seconds(), stack.store_cpu_seconds()
        load.measure()
        while bare_seconds < seconds:
            on_seconds += _turn_seconds()
            stack.signal(signal.SIGSTOP)
            bare.go_on()
            bare_seconds += _turn_seconds()
            bare.pause()
            stack.signal(signal.SIGCONT)
        used = stack.cpu_seconds() - used
        load.stop()
        load.wait_until_done()
        result = load.result()
        tools = stack.store_cpu_seconds() - tools + float(result["own_cpu_seconds"])
        expect_only(result, "request 202", "verify 200")
        hashes = sum(result["statuses"].values())
        bare_hashes, bare_cpu = bare.finish()
    share = hashes / on_seconds / (bare_hashes / bare_seconds)
    of_cpu = hashes / used / (bare_hashes / bare_cpu)
    return share, of_cpu, share / (1 - tools / on_seconds / cores)


def _turn_seconds() -> float:
    """Let the running side have its turn; return how long it was."""
    started = time.monotonic()
    time.sleep(TURN_SECONDS)
    return time.monotonic() - started


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
    yield Line(name="b.calls", text="Python calls of a cycle", values=(sum(calls_of_a_cycle().values()),))
