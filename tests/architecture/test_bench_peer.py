"""Figure (i) of the benchmark: a cycle of the peer counts if the code of its message was right, as the peer says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.peer import running_peer
from tests.bench.peer_load import is_verified

STAND_IN = Path(bench.__file__).with_name("peer_stand_in.py")


def test_without_a_binary_the_figure_says_which_one_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--peer`, (i) measures nothing, fails nothing, and names the binary."""
    assert bench.main(["i"]) == 0
    assert "otpgateway" in (printed := capsys.readouterr().out) and "--peer BINARY" in printed


@pytest.mark.parametrize(
    ("status", "said", "closed", "counts"),
    [
        (200, "success", True, True),
        (200, "success", False, False),
        (200, "error", True, False),
        (400, "x", True, False),
    ],
)
def test_a_cycle_counts_only_if_the_peer_says_that_the_code_is_right(
    status: int, said: str, closed: bool, counts: bool
) -> None:
    """A success of an open verification, an error and another status are no verified code."""
    assert is_verified(status, json.dumps({"status": said, "data": {"closed": closed}}).encode()) is counts


def test_cycles_of_a_stand_in_use_the_code_of_the_message(tmp_path: Path) -> None:
    """A binary that speaks the peer's API is started with its config; only the text of its message has the code."""
    binary = tmp_path / "peer"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n', encoding="utf-8")
    binary.chmod(0o700)
    with running_peer(binary) as peer:
        result = peer.load(count=5, callers=2, warm_up=0.0)
    assert (result["count"], result["statuses"]) == (5, {"request 200": 5, "verify 200": 5})
