"""(h) How long a service takes until it is ready, and how much memory its workers have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.bare_routes import running_bare_server
from tests.bench.figures import Line, Options
from tests.bench.service_stack import Stack, running_stack

__all__ = ["startup"]

KIB_IN_MIB: Final = 1024
STARTS: Final = 3
"""Of each round, the median counts: on a shared machine a single start may take half as long again."""

WORKERS: Final = 2


def startup(options: Options) -> Iterator[Line]:
    """(h) From the start of the process to the first 200 of /readyz, beside a bare Litestar application."""
    service, both, bare, resident, own = [], [], [], [], []
    bare_resident = []
    for _ in range(options.rounds):
        starts, bare_starts = [], []
        for _ in range(STARTS):
            with running_bare_server("litestar") as server:
                bare_starts.append(server.start_seconds)
                rss = _mib(server.pid, "Rss")
            with running_stack() as stack:
                starts.append(stack.start_seconds)
        service.append(median(starts))
        bare.append(median(bare_starts))
        bare_resident.append(rss)
        with running_stack(workers=WORKERS) as stack:
            both.append(stack.start_seconds)
            stack.load(seconds=1.0)
            resident.append(_mean(stack, "Rss"))
            own.append(_mean(stack, "Pss"))
    yield Line(name="h.ready", text="start to ready, one worker", values=tuple(service), unit="s", at_most=1.5)
    yield Line(name="h.ready_two", text="start to ready, two workers", values=tuple(both), unit="s")
    ratios = tuple(one / other for one, other in zip(service, bare, strict=True))
    yield Line(name="h.ready_litestar", text="start to ready : a bare Litestar application", values=ratios)
    yield Line(
        name="h.resident", text="resident memory of each of two workers after load", values=tuple(resident), unit="MiB"
    )
    yield Line(name="h.own", text="the same, shared pages divided among their processes", values=tuple(own), unit="MiB")
    ratios = tuple(one / other for one, other in zip(resident, bare_resident, strict=True))
    yield Line(
        name="h.resident_litestar", text="resident memory of a worker : a bare Litestar application", values=ratios
    )


def _mean(stack: Stack, kind: str) -> float:
    """Return the mean of the workers in MiB."""
    workers = [pid for pid in stack.children() if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return sum(_mib(pid, kind) for pid in workers) / len(workers)


def _mib(pid: int, kind: str) -> float:
    """Return resident memory of a process in MiB: all pages (Rss), or shared ones divided (Pss)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition(f"\n{kind}:")[2].split()[0]) / KIB_IN_MIB
