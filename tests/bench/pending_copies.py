"""Fill a store with pending verifications: real ones by the service, then copies of their keys under new names.

A copy is written by the same data types with the same values, TTLs and index entries as its original, with random text
of the same length in place of each id and keyed hash. So a million of them are written in about a minute.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Final
from urllib.parse import urlsplit

import redis

from tests.bench.capacity import expect_only
from tests.bench.service_stack import Stack

__all__ = ["PendingCopies"]

ORIGINALS: Final = 64
"""Their recipients are spread over the partitions of the store."""

BATCH: Final = 1000
SETTLED_SECONDS: Final = 0.3
VERIFICATION: Final = b":v:"
"""Part of the key of each verification, and of no other key."""

SHARED: Final = (b"{g:", b":w:global:")
"""Parts of keys that all verifications share: those of a provider, and of the limit on all sends."""


@dataclass(frozen=True, slots=True)
class Template:
    """The commands that write one verification, and the texts in them that name it."""

    commands: bytes
    names: tuple[bytes, ...]

    def copy(self) -> bytes:
        """Return the commands with new names; the first character stays, because it is the partition of an id."""
        commands = self.commands
        for name in self.names:
            new = name[:1] + secrets.token_urlsafe(len(name)).encode()[: len(name) - 1]
            commands = commands.replace(name, new)
        return commands


class PendingCopies:
    """Templates of pending verifications, and how many of them the store has."""

    def __init__(self, stack: Stack) -> None:
        """Have the service make the originals: delivered, and waiting for their codes."""
        self._url = stack.redis_url
        self._store = _client(stack.redis_url)
        before = set(self._store.keys())
        self._empty = self._used()
        with stack.start_load(kind="code", count=ORIGINALS, callers=4, warm_up=0.0) as load:
            load.wait_until_warm()
            load.measure()
            load.wait_until_done()
            expect_only(load.result(), "request 202")
            time.sleep(SETTLED_SECONDS)
        made = sorted(set(self._store.keys()) - before)
        self._templates = list(self._grouped(made))
        self.count = len(self._templates)

    def fill(self, count: int) -> None:
        """Copy until the store has `count` of them."""
        templates = islice(cycle(self._templates), count - self.count)
        host = urlsplit(self._url)
        with socket.create_connection((host.hostname, host.port)) as connection:
            connection.sendall(_command(b"CLIENT", b"REPLY", b"OFF"))
            while batch := b"".join(template.copy() for template in islice(templates, BATCH)):
                connection.sendall(batch)
            connection.sendall(_command(b"CLIENT", b"REPLY", b"ON"))
            if connection.recv(64) != b"+OK\r\n":
                raise RuntimeError("the store refused the copies")
        self.count = count

    def bytes_each(self) -> float:
        """Return the memory of the store for each verification, with everything that belongs to it."""
        return (self._used() - self._empty) / self.count

    def _used(self) -> int:
        info: dict[str, Any] = self._store.info("memory")
        return int(info["used_memory"])

    def _grouped(self, keys: list[bytes]) -> Iterator[Template]:
        """Yield a template for each verification: its keys, those that it names, and a share of all limits' windows."""
        owned = [key for key in keys if self._store.type(key) != b"zset" and not any(part in key for part in SHARED)]
        groups: dict[bytes, list[bytes]] = {key: [] for key in owned if VERIFICATION in key}
        for verification, group in groups.items():
            named = _name(verification), self._store.get(verification)
            group += [key for key in owned if _name(key) == named[0] or _name(key) in named[1]]
        rest = [key for key in owned if not any(key in group for group in groups.values())]
        for group, key in zip(cycle(groups.values()), rest, strict=False):
            group.append(key)
        indexes = [key for key in keys if self._store.type(key) == b"zset"]
        for verification, group in groups.items():
            commands = [self._write(key) for key in group]
            commands += [self._write_member(index, _name(verification)) for index in indexes]
            yield Template(b"".join(commands), tuple({_name(key) for key in group}))

    def _write(self, key: bytes) -> bytes:
        """Return the commands that write a key as it is now."""
        match self._store.type(key):
            case b"string":
                written = _command(b"SET", key, self._store.get(key))
            case b"hash":
                written = _command(b"HSET", key, *(part for pair in self._store.hgetall(key).items() for part in pair))
            case b"list":
                written = _command(b"RPUSH", key, *self._store.lrange(key, 0, -1))
            case other:
                raise RuntimeError(f"a verification has a key of type {other!r}")
        return written + _command(b"PEXPIRE", key, b"%d" % self._store.pttl(key))

    def _write_member(self, index: bytes, name: bytes) -> bytes:
        score = self._store.zscore(index, name)
        return b"" if score is None else _command(b"ZADD", index, b"%d" % score, name)


def _client(url: str) -> Any:
    """Return a client without its types, which allow for texts instead of bytes."""
    return redis.Redis.from_url(url)


def _name(key: bytes) -> bytes:
    """Return the id or the keyed hash at the end of a key."""
    return key.rpartition(b":")[2]


def _command(*words: bytes) -> bytes:
    """Encode a command in the protocol of Redis."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
