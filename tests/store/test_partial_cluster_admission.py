"""A node of a cluster is away: what the others took for a request is given back, and its key is free."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import count

import pytest
from redis.crc import key_slot

from otp_service.domain.errors import Refused
from otp_service.domain.limits import Window
from otp_service.domain.results import Admission, IdempotencyClaim, RateLimit
from otp_service.store.keys import Partition, idempotency_key, limit_key
from otp_service.store.scripts import override_clock
from tests.store.redis_servers import HOST, RedisServer, cluster
from tests.store.replica_store import Store, admission

SHARE = 16384 // 3 + 1


@pytest.fixture(autouse=True)
def _servers_clock() -> Iterator[None]:
    """Read the servers' own clocks."""
    with override_clock(None):
        yield


def at(node: int, name: str) -> bool:
    """Say whether a key lives on a node."""
    return key_slot(name.encode()) // SHARE == node


def partition_for(recipient: int, limit: int, key: int) -> Admission:
    """Ask for a send whose recipient, limit and idempotency key live on these nodes."""
    partition = next(n for n in range(64) if at(recipient, Partition(n).outbox))
    keyed_hash = next(f"s{n}" for n in count() if at(limit, limit_key("prefix", f"s{n}")))
    name = next(f"k{n}" for n in count() if at(key, idempotency_key(f"k{n}")))
    call = IdempotencyClaim(name, "body", "mark")
    rate_limits = (RateLimit("prefix", keyed_hash, (Window(1, 3600),)),)
    return admission(partition=partition, rate_limits=rate_limits, idempotency=call, token="token")


def left(nodes: list[RedisServer], away: int) -> str:
    """Name what is left on the nodes that are there."""
    return "".join(node.ask("KEYS", "otp:*").removeprefix("*0") for n, node in enumerate(nodes[:3]) if n != away)


async def test_what_the_other_nodes_took_is_given_back() -> None:
    """Whichever part is away, of those that answered nothing keeps a trace."""
    with cluster() as nodes:
        store = Store(f"redis+cluster://{HOST}:{nodes[1].port},{HOST}:{nodes[0].port}")
        whole = await store.verifications.admit(partition_for(0, 1, 2))
        assert "Admitted" in type(whole).__name__
        for node in nodes[:3]:
            node.ask("FLUSHALL")
        nodes[2].kill()
        for roles in ((2, 1, 0), (0, 2, 1), (1, 0, 2), (1, 2, 0)):
            asked = partition_for(*roles)
            with pytest.raises(Refused):
                await store.verifications.admit(asked)
            with contextlib.suppress(Refused):
                await store.verifications.withdraw(asked)
            assert left(nodes, away=2) == "", roles
        await store.close()
