"""`otp-service forget`: an operator of the service forgets a recipient, at all tenants or at one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from otp_service.crypto.keyring import Keyring
from otp_service.domain.opt_out import OptOutAction
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS
from tests.cli.service_config import ConfigWriter
from tests.cli.test_config_commands import ran
from tests.store.replica_store import Store
from tests.store_contents import dump_store

E164, OTHER, NUMBER = "+6281210100055", "+6281210100056", "0812-1010-0055"
KEYRING = Keyring({"k1": b"k" * 32}, current="k1", index="k1")


def names(e164: str) -> tuple[int, str]:
    """Return the partition and the keyed hash of a number."""
    return KEYRING.partition_for("partition", e164, PARTITIONS), KEYRING.keyed_hash("recipient", e164)


async def seed(url: str) -> None:
    """Store a pending and a canceled verification of two numbers, and a lock and an opt-out of one of them."""
    store = Store(url)
    try:
        for e164 in (E164, OTHER):
            partition, recipient = names(e164)
            for purpose in ("login", "registration"):
                wanted: dict[str, Any] = {"partition": partition, "recipient": recipient, "purpose": purpose}
                verification_id = await store.started(**wanted)
            await store.verifications.cancel(verification_id, "acme")
        partition, recipient = names(E164)
        await store.redis.set(ALL_PARTITIONS[partition].lockout("acme", recipient), b"x", ex=600)
        await store.opt_outs.change(partition, recipient, OptOutAction.OPT_OUT)
    finally:
        await store.close()


async def naming(url: str, e164: str) -> list[str]:
    """Return the kinds of keys that name a number's hash, in their names or their values."""
    store, (_, recipient) = Store(url), names(e164)
    try:
        found = await dump_store(store.redis)
    finally:
        await store.close()
    hashed = recipient.encode()
    return sorted(name.split(b":")[2].decode() for name, value in found.items() if hashed in name or hashed in value)


@pytest.fixture
def path(write_config: ConfigWriter, store: EmbeddedServer) -> Path:
    """Write a config with an audit log, and fill the store."""
    path = write_config()
    path.write_text(path.read_text() + f'[audit]\nfile = "{path.with_name("audit.jsonl")}"\n')
    asyncio.run(seed(store.url))
    assert asyncio.run(naming(store.url, E164)) == ["d", "l", "q", "r", "v", "v"]
    return path


def test_everything_of_a_number(path: Path, store: EmbeddedServer) -> None:
    """No key names it any more but its opt-out, which goes only when asked; another number keeps all."""
    others = asyncio.run(naming(store.url, OTHER))
    first = ran("forget", "--config", str(path), "--phone", NUMBER, REDIS_URL=store.url)
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[0] == "+62812*****055: forgotten, 2 verifications removed"
    assert first.stdout.count("kept:") == first.stdout.count("kept: opt out, until") == 1
    assert asyncio.run(naming(store.url, E164)) == ["q"]

    again = ran("forget", "--config", str(path), "--phone", NUMBER, "--opt-out", REDIS_URL=store.url)
    assert again.stdout.splitlines()[0] == "+62812*****055: forgotten, 0 verifications removed"
    assert "kept" not in again.stdout
    assert asyncio.run(naming(store.url, E164)) == []
    assert asyncio.run(naming(store.url, OTHER)) == others

    lines = [json.loads(line) for line in path.with_name("audit.jsonl").read_text().splitlines()]
    assert [(one["actor"], one["verifications"], one["opt_out"], one["result"]) for one in lines] == [
        ("cli", 2, "kept", "forgotten"),
        ("cli", 0, "removed", "forgotten"),
    ]
    assert "81210100055" not in path.with_name("audit.jsonl").read_text()


def test_at_one_tenant(path: Path, store: EmbeddedServer) -> None:
    """As over the API: the counts, the lock, the opt-out and the guard's memory stay."""
    result = ran("forget", "--config", str(path), "--tenant", "acme", "--phone", NUMBER, REDIS_URL=store.url)
    kept = [line.split(":")[1].split(",")[0].strip() for line in result.stdout.splitlines()[1:]]
    assert kept == ["limits", "lock", "opt out", "guard numbers"]
    assert asyncio.run(naming(store.url, E164)) == ["l", "q", "r"]


@pytest.mark.parametrize(
    "words",
    [
        (), ("--phone", "123"), ("--phone", NUMBER, "--email", "a@example.com"), ("--phone", NUMBER, "--tenant", "x"),
        ("--phone", NUMBER, "--tenant", "acme", "--opt-out"), ("--phone", NUMBER, "--country", "XX"),
    ],
)  # fmt: skip
def test_wrong_options(path: Path, store: EmbeddedServer, words: tuple[str, ...]) -> None:
    """They end with status 2, and change nothing."""
    before = asyncio.run(naming(store.url, E164))
    assert ran("forget", "--config", str(path), *words, REDIS_URL=store.url).exit_code == 2
    assert asyncio.run(naming(store.url, E164)) == before
