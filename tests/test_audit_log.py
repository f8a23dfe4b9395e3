"""The audit log: whole lines of many processes, rotation, refusal when it is required, and never a number."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otp_service.observability import METRICS
from otp_service.observability.audit import AUDIT, STANDARD_OUTPUT, AuditLog, AuditUnavailable
from tests.api.api_requests import UNLOCK_RECIPIENT
from tests.problem_assertions import assert_problem
from tests.running_service import NUMBER, RunningService

LINES = 300


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Use a file as the audit log of this process."""
    path = tmp_path / "audit.jsonl"
    AUDIT.configure(str(path))
    yield path
    AUDIT.configure(None)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file; each must be a whole JSON object."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


WRITE_MANY = """
import sys
from otp_service.observability.audit import AuditLog
log = AuditLog()
log.configure(sys.argv[1])
for at in range(int(sys.argv[3])):
    log.record("unlock", actor=f"p{sys.argv[2]}", result=str(at), note="x" * (at % 128))
"""
"""A program that writes lines of different lengths."""


def test_lines_of_several_processes_are_whole(tmp_path: Path) -> None:
    """Four processes append at once: every line is there, and none is mixed with another one."""
    path = tmp_path / "audit.jsonl"
    command = [sys.executable, "-c", WRITE_MANY, str(path)]
    writers = [subprocess.Popen([*command, str(number), str(LINES)]) for number in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert sorted((line["actor"], int(line["result"])) for line in lines_of(path)) == [
        (f"p{number}", at) for number in range(4) for at in range(LINES)
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_rotated_file_is_opened_anew(log: Path) -> None:
    """After a rename or a removal, the next line is in a new file, without a signal."""
    AUDIT.record("unlock", actor="web", result="first")
    log.rename(log.with_suffix(".1"))
    AUDIT.record("unlock", actor="web", result="second")
    log.unlink()
    AUDIT.record("unlock", actor="web", result="third")
    assert [line["result"] for line in lines_of(log.with_suffix(".1")) + lines_of(log)] == ["first", "third"]


def test_a_line_that_a_full_disk_has_cut_does_not_take_the_next_one_with_it(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes on: the rest of the cut line stands alone, and each line after it is whole."""
    AUDIT.record("unlock", actor="web", result="first")
    write = os.write
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
        AUDIT.record("unlock", actor="web", result="cut")
    other = AuditLog()
    other.configure(str(log))
    other.record("unlock", actor="web", result="third")
    AUDIT.record("unlock", actor="web", result="fourth")

    first, cut, *others = log.read_bytes().splitlines()
    assert (json.loads(first)["result"], len(cut)) == ("first", 20)
    assert [json.loads(line)["result"] for line in others] == ["third", "fourth"]


def test_a_file_that_may_only_be_appended_to(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service need not be allowed to read its audit log."""
    opened = os.open

    def open_for_writing(path: str, flags: int, *more: int) -> int:
        if flags & os.O_RDWR:
            raise PermissionError
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", open_for_writing)
    AUDIT.record("unlock", actor="web", result="first")
    AUDIT.record("unlock", actor="web", result="second")
    assert [line["result"] for line in lines_of(log)] == ["first", "second"]


def test_a_link_is_not_followed(log: Path) -> None:
    """Who can create files beside the log cannot make the service append to another one."""
    target = log.with_name("other")
    target.write_text("")
    log.symlink_to(target)
    before = METRICS.audit_failures._value.get()
    AUDIT.record("unlock", actor="web", result="unlocked")
    assert (target.read_text(), METRICS.audit_failures._value.get() - before) == ("", 1)


def test_the_size_of_a_line_is_bounded(log: Path) -> None:
    """Long facts are cut, and the line stays JSON."""
    AUDIT.record("config_reload", actor="SIGHUP", result="reloaded", changed=["k" * 10_000] * 10_000)
    [line] = lines_of(log)
    assert log.stat().st_size < 8192 and len(line["changed"]) == 32


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    """A container may collect the lines from standard output, where each is marked."""
    log = AuditLog()
    log.configure(STANDARD_OUTPUT)
    log.record("unlock", actor="cli", result="unlocked")
    [line] = [json.loads(text) for text in capfd.readouterr().out.splitlines() if '"stream":"audit"' in text]
    assert (line["actor"], line["user"] != "", line["pid"]) == ("cli", True, os.getpid())


async def test_an_unlock_over_http(service: RunningService, log: Path) -> None:
    """The line names the key, the tenant and the request; for whom only as a keyed hash and masked."""
    answer = await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})
    assert answer.status_code == 200
    [line] = lines_of(log)
    assert line.pop("at").endswith("Z") and len(line.pop("subject")) >= 20
    assert line.pop("request_id") == answer.headers["x-request-id"]
    assert line == {
        "action": "unlock", "actor": "dev", "tenant": "demo", "phone": "+62812*****055", "result": "not_locked",
        "pid": os.getpid(),
    }  # fmt: skip
    assert "81210100055" not in str(lines_of(log))


async def test_a_required_log_that_cannot_be_written(service: RunningService, log: Path) -> None:
    """The action is refused before it happens; without `required` it happens, and the failure is counted."""
    missing = str(log.parent / "missing" / "audit.jsonl")
    AUDIT.configure(missing, required=True)
    with pytest.raises(AuditUnavailable):
        AUDIT.check()
    assert_problem(await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER}), 503, "store_unavailable")
    before = METRICS.audit_failures._value.get()
    AUDIT.configure(missing)
    assert (await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})).status_code == 200
    assert METRICS.audit_failures._value.get() == before + 1


async def test_a_log_that_cannot_be_written_now_delays_its_action_only(service: RunningService, log: Path) -> None:
    """While another process locks the file, as while a disk hangs, an unlock waits, and all other requests do not."""
    AUDIT.record("unlock", actor="web", result="first")
    with log.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        freed = threading.Timer(10, fcntl.flock, (other, fcntl.LOCK_UN))  # if the event loop waits, too
        freed.start()
        unlock = asyncio.create_task(service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER}))
        for _ in range(20):
            assert (await service.request("0812-1010-0077", decoy=True)).status_code in (202, 429)
        waited = not unlock.done() and freed.is_alive()
        fcntl.flock(other, fcntl.LOCK_UN)
        freed.cancel()
    assert (await unlock).status_code == 200
    assert (waited, [line["result"] for line in lines_of(log)]) == (True, ["first", "not_locked"])
