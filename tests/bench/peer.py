"""(i) A peer in the same run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.figures import Line, Options

__all__ = ["peer"]


def peer(options: Options) -> Iterator[Line]:
    """(i) CPU of a cycle of a peer."""
    if options.peer is None:
        yield Line(name="i.none", text="not measured: no --peer PATH was given")
