"""The circuits of gateways in Redis, for who watches them without a message to send."""

from __future__ import annotations

from collections.abc import Sequence

from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import ProviderPolicy
from otp_service.store.keys import ProviderKeys
from otp_service.store.pipelined_connection import ScriptCall
from otp_service.store.provider_limits import state_call, state_of
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisCircuits"]


class RedisCircuits:
    """`domain.dispatch.Circuits` on any topology."""

    def __init__(self, topology: Topology) -> None:
        """Look through `topology`."""
        self._topology = topology

    async def out_of_funds(self, providers: Sequence[str]) -> list[str]:
        """Look at all of them in one batch."""
        replies = await self._topology.send([state_call(name, ProviderPolicy()) for name in providers])
        return [
            name
            for name, reply in zip(providers, replies, strict=True)
            if state_of(reply).open_reason == Outcome.FUNDS.value
        ]

    async def close_after_top_up(self, provider: str) -> bool:
        """Close the circuit unless it is open for another reason by now."""
        call = ScriptCall(script("provider_close_circuit"), (ProviderKeys(provider).circuit,), (Outcome.FUNDS.value,))
        [reply] = await self._topology.send([call])
        return bool(reply[0] == b"closed")
