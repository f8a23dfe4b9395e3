"""How gateways stand, for an operator: looked at in one batch, and nothing is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otp_service.domain.provider_policy import ProviderPolicy, ProviderState
from otp_service.store.keys import ProviderKeys
from otp_service.store.pipelined_connection import ScriptCall
from otp_service.store.provider_limits import state_call, state_of
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["ProviderStatus", "provider_statuses"]


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A gateway's circuit, calls and day, and how many messages wait for their turn.

    `destinations` are the countries whose circuit is not closed, with the ms until it is tried again (0: it is tried by
    the next message).
    """

    state: ProviderState
    waiting: int
    destinations: Mapping[str, int] = field(default_factory=dict)


async def provider_statuses(topology: Topology, policies: Mapping[str, ProviderPolicy]) -> dict[str, ProviderStatus]:
    """Look at every gateway of `policies`. Raises `Refused` when the store is away."""
    looks = [state_call(name, policy) for name, policy in policies.items()]
    counts = [ScriptCall(script("provider_waiting"), (ProviderKeys(name).comebacks,)) for name in policies]
    places = [ScriptCall(script("provider_destinations"), (ProviderKeys(name).circuit,)) for name in policies]
    replies = await topology.send([*looks, *counts, *places])
    many = len(policies)
    return {
        name: ProviderStatus(state_of(look), int(count[0]), {country.decode(): int(ms) for country, ms in found})
        for name, look, count, found in zip(
            policies, replies[:many], replies[many : 2 * many], replies[2 * many :], strict=True
        )
    }
