"""An unreachable cluster node: what the others acquired for a request is released, and its key is free."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import count

import pytest
from redis.crc import key_slot

from otp_service.domain.errors import Refused
from otp_service.domain.limits import Window
from otp_service.domain.results import Admission, IdempotencyClaim, RateLimit
from otp_service.store.keys import ALL_PARTITIONS, idempotency_key, limit_key
from otp_service.store.scripts import override_clock
from tests.store.redis_servers import HOST, RedisServer, cluster
from tests.store.replica_store import Store, admission

SHARE = 16384 // 3 + 1


@pytest.fixture(autouse=True)
def _servers_clock() -> Iterator[None]:
    """Read the servers' own clocks."""
    with override_clock(None):
        yield


def is_on(node: int, name: str) -> bool:
    """Return whether a key is on a node."""
    return key_slot(name.encode()) // SHARE == node


def admission_on(recipient: int, limit: int, key: int) -> Admission:
    """Return an admission whose recipient, limit and idempotency key are on these nodes."""
    partition = next(n for n in range(64) if is_on(recipient, ALL_PARTITIONS[n].outbox))
    keyed_hash = next(f"s{n}" for n in count() if is_on(limit, limit_key("prefix", f"s{n}")))
    name = next(f"k{n}" for n in count() if is_on(key, idempotency_key(f"k{n}")))
    call = IdempotencyClaim(name, "body", "owner")
    rate_limits = (RateLimit("prefix", keyed_hash, (Window(1, 3600),)),)
    return admission(partition=partition, rate_limits=rate_limits, idempotency=call, token="token")


def remaining_keys(nodes: list[RedisServer], away: int) -> str:
    """Return the keys that remain on the reachable nodes."""
    return "".join(node.ask("KEYS", "otp:*").removeprefix("*0") for n, node in enumerate(nodes[:3]) if n != away)


async def test_what_the_other_nodes_acquired_is_released() -> None:
    """Whichever part is unreachable, the others keep no trace."""
    with cluster() as nodes:
        store = Store(f"redis+cluster://{HOST}:{nodes[1].port},{HOST}:{nodes[0].port}")
        admitted = await store.verifications.admit(admission_on(0, 1, 2))
        assert "Admitted" in type(admitted).__name__
        for node in nodes[:3]:
            node.ask("FLUSHALL")
        nodes[2].kill()
        for roles in ((2, 1, 0), (0, 2, 1), (1, 0, 2), (1, 2, 0)):
            wanted = admission_on(*roles)
            with pytest.raises(Refused):
                await store.verifications.admit(wanted)
            with contextlib.suppress(Refused):
                await store.verifications.withdraw(wanted)
            assert remaining_keys(nodes, away=2) == "", roles
        await store.close()
