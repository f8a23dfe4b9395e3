"""The audit log: one JSON line for each change that a person makes, appended to a file that is never rewritten.

A line says who (the id of an API key, or `cli` with the user of the machine), what, when (UTC), at which tenant, for
which recipient (its keyed hash and its masked form, never a number or an address), and the result. The same facts are
logged as the event `audit`.

Each line is one `write` to a file that is open for appending, so that lines of several processes are never mixed; it is
on the disk (fdatasync) before the caller gets a response. A file that was renamed or removed is opened again before the
next line, so it can be rotated without a signal. A line that a full disk has cut is ended before the next one. Where
the log is `required`, an action is refused unless its line can be written. That is checked before the action, because
the line contains its result.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import fcntl
import os
import pwd
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from otp_service.observability.logs import LOG, REQUEST_ID
from otp_service.observability.metrics import METRICS

__all__ = ["AUDIT", "CLI", "STANDARD_OUTPUT", "AuditLog", "AuditUnavailable", "in_audit_thread"]

T = TypeVar("T")

STANDARD_OUTPUT: Final = "stdout"
"""Instead of a file: lines on standard output, each with `"stream":"audit"`."""

MAX_TEXT_CHARS: Final = 128
MAX_ITEMS: Final = 32
CLI: Final = "cli"
"""The actor of the commands of `otp-service`."""
_MODE: Final = 0o600

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="audit")
"""It starts with the first action: the supervisor of workers, which forks, must not have a second thread."""


class AuditUnavailable(Exception):
    """The audit log is required, and cannot be written: the action must not happen."""


class AuditLog:
    """The audit log of this process. Without `configure`, lines go to the log only."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._required = False
        self._descriptor = -1
        self._lock = threading.Lock()

    def configure(self, path: str | None, *, required: bool = False) -> None:
        """Write to the file at `path`, to standard output, or nowhere (None)."""
        with self._lock:
            self._close()
            self._path, self._required = path, required

    def check(self) -> None:
        """Raise `AuditUnavailable` if the log is required and cannot be opened."""
        if not self._required or self._path is None:
            return
        with self._lock:
            try:
                self._open()
            except OSError as problem:
                self._report(problem)
                raise AuditUnavailable from None

    def record(
        self,
        action: str,
        *,
        actor: str,
        result: str,
        tenant: str = "",
        subject: str = "",
        masked: Mapping[str, str] | None = None,
        **facts: str | int | list[str],
    ) -> None:
        """Write one line. A failure is logged and counted: the action has happened.

        Args:
            action: What was done, such as `unlock`.
            actor: Who did it.
            result: The result of the action.
            tenant: The tenant that it was done at; "": the whole service.
            subject: The keyed hash of the recipient; "": it is not about one.
            masked: The masked `phone` or `email`.
            facts: More facts about the action.
        """
        named = {"tenant": tenant} if tenant else {}
        LOG.info("audit", action=action, **named, actor=actor, result=result, **(masked or {}), **facts)
        if self._path is None:
            return
        who: dict[str, Any] = {"actor": actor} | ({"user": _user()} if actor == CLI else {})
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **({"stream": "audit"} if self._path == STANDARD_OUTPUT else {}),
            "action": action, **who, **named, **({"subject": subject} if subject else {}), **(masked or {}),
            **{name: _bounded(value) for name, value in facts.items()},
            "result": result, "request_id": REQUEST_ID.get(None) or "", "pid": os.getpid(),
        }  # fmt: skip
        with self._lock:
            try:
                self._write(msgspec.json.encode(line) + b"\n")
            except OSError as problem:
                self._report(problem)

    def _write(self, line: bytes) -> None:
        descriptor = self._open()
        with _locked(descriptor):
            if _is_cut(descriptor):
                line = b"\n" + line
            if os.write(descriptor, line) != len(line):
                raise OSError("only a part of a line was written")
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fdatasync(descriptor)

    def _open(self) -> int:
        """Return the descriptor of the file that is at the path now."""
        if self._path == STANDARD_OUTPUT:
            return 1
        path = self._path or ""
        if self._descriptor >= 0:
            try:
                there, ours = os.stat(path), os.fstat(self._descriptor)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return self._descriptor
            except FileNotFoundError:
                pass
            self._close()
        flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._descriptor = os.open(path, os.O_RDWR | flags, _MODE)
        except PermissionError:  # a file that this user may only append to
            self._descriptor = os.open(path, os.O_WRONLY | flags, _MODE)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _report(self, problem: OSError) -> None:
        METRICS.audit_failures.inc()
        LOG.error("audit_not_written", reason=problem.strerror or str(problem))


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Keep other processes of the service from writing: the size of a file may change in the middle of their line."""
    is_locked = False
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            is_locked = True
    try:
        yield
    finally:
        if is_locked:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _is_cut(descriptor: int) -> bool:
    """Return whether the last line of a file has no end: a full disk has cut it, in this process or another one."""
    try:
        size = os.fstat(descriptor).st_size
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    except OSError:  # no regular file, or one that may not be read
        return False


def _bounded(value: str | int | list[str]) -> str | int | list[str]:
    if isinstance(value, list):
        return [one[:MAX_TEXT_CHARS] for one in value[:MAX_ITEMS]]
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) else value


async def in_audit_thread(work: Callable[[], T]) -> T:
    """Call a method of the audit log in its thread, one at a time, also if the task that waits is canceled."""
    context = contextvars.copy_context()  # with the id of the request
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(_THREAD, context.run, work))


def _user() -> str:
    """Return who runs this process, by the machine's user id."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


AUDIT: Final = AuditLog()
