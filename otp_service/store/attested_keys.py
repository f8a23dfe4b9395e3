"""The keys of attested apps in Redis: a hash for each, with the public key and the counter of its last assertion.

A public key is no secret, and does not identify a person, so it is not sealed. It is found by a keyed hash of its id
only, so a dump does not show which device has used the service. A record takes about 300 bytes (measured with 5,000).
"""

from __future__ import annotations

from otp_service.domain.app_attest import CounterUse
from otp_service.store.keys import attested_key
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisAttestedKeys"]


class RedisAttestedKeys:
    """`domain.app_attest.AttestedKeys` on any topology."""

    def __init__(self, topology: Topology) -> None:
        """Use `topology`."""
        self._topology = topology

    async def add(self, keyed_hash: str, public_key: bytes, seconds: int) -> None:
        """Register a key; see the port."""
        await self._call("attested_key_add", keyed_hash, public_key, seconds * 1000)

    async def find(self, keyed_hash: str) -> bytes | None:
        """Return the public key; see the port."""
        reply = await self._call("attested_key_find", keyed_hash)
        return reply[1] if reply[0] == b"found" else None

    async def advance(self, keyed_hash: str, counter: int, seconds: int) -> CounterUse:
        """Store the counter, in one step; see the port."""
        [reply] = await self._call("attested_key_advance", keyed_hash, counter, seconds * 1000)
        return CounterUse(reply.decode())

    async def _call(self, name: str, keyed_hash: str, *args: bytes | int) -> list[bytes]:
        [reply] = await self._topology.send([ScriptCall(script(name), (attested_key(keyed_hash),), args)])
        return list(reply)
