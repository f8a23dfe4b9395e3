"""The state of providers in Redis, read without acquiring anything: for admission, for operators and for balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from otp_service.domain.events import CIRCUIT_EVENTS, EventTarget
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Availability, ProviderPolicy, ProviderState
from otp_service.store.encoding import encode_optional
from otp_service.store.event_targets import event_args
from otp_service.store.keys import provider_keys
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = [
    "ProviderStatus",
    "RedisCircuits",
    "provider_statuses",
    "read_state",
    "state_call",
]


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A provider as an operator sees it.

    Attributes:
        state: Its circuit, its calls and its usage today.
        waiting: How many messages wait for their turn.
        destinations: The countries whose circuit is not closed, with the ms until a probe (0: the next message is it).
    """

    state: ProviderState
    waiting: int
    destinations: Mapping[str, int] = field(default_factory=dict)


async def provider_statuses(topology: Topology, policies: Mapping[str, ProviderPolicy]) -> dict[str, ProviderStatus]:
    """Return the status of every provider of `policies`, in one batch.

    Raises:
        Refused: The store is not available.
    """
    states = [state_call(name, policy) for name, policy in policies.items()]
    queues = [ScriptCall(script("provider_queue_length"), (provider_keys(name).poll_times,)) for name in policies]
    destinations = [
        ScriptCall(script("provider_open_destinations"), (provider_keys(name).circuit,)) for name in policies
    ]
    replies = await topology.send([*states, *queues, *destinations])
    count = len(policies)
    return {
        name: ProviderStatus(read_state(state), int(queue[0]), {country.decode(): int(ms) for country, ms in open_ones})
        for name, state, queue, open_ones in zip(
            policies, replies[:count], replies[count : 2 * count], replies[2 * count :], strict=True
        )
    }


class RedisCircuits:
    """`domain.provider_policy.Circuits` on any topology."""

    def __init__(self, topology: Topology, event_targets: Sequence[EventTarget] = ()) -> None:
        """Use `topology`; `event_targets` get an event when a circuit is closed."""
        self._topology = topology
        self._event_targets = event_targets

    async def out_of_funds(self, providers: Sequence[str]) -> list[str]:
        """Return those of `providers` whose circuit opened for lack of funds, in one batch; see the port."""
        replies = await self._topology.send([state_call(name, ProviderPolicy()) for name in providers])
        return [
            name
            for name, reply in zip(providers, replies, strict=True)
            if read_state(reply).open_reason == Outcome.FUNDS.value
        ]

    async def close_after_top_up(self, provider: str) -> bool:
        """Close the circuit unless it is open for another reason; see the port."""
        keys = provider_keys(provider)
        args = (Outcome.FUNDS.value, *event_args(keys.events, self._event_targets, CIRCUIT_EVENTS, provider))
        call = ScriptCall(script("provider_close_circuit"), (keys.circuit,), args)
        [reply] = await self._topology.send([call])
        return bool(reply[0] == b"closed")


def state_call(provider: str, policy: ProviderPolicy, price: int = 0, country: str = "") -> ScriptCall:
    """Return the call that reads the state of a provider, for a batch.

    Args:
        provider: The configured name.
        policy: Its limits and caps.
        price: Price of the whole message in millionths.
        country: Country of the number: its circuit counts as well. "" for none.
    """
    keys, caps = provider_keys(provider), policy.caps
    destination = (keys.destination(country),) if country else ()
    args = (price, encode_optional(caps.messages), encode_optional(caps.spend), int(caps.block))
    return ScriptCall(script("provider_state"), (keys.circuit, keys.calls, keys.usage, *destination), args)


def read_state(reply: ScriptReply) -> ProviderState:
    """Read the reply of `provider_state`."""
    availability, wait_ms, why, calls, messages, spend, capped_ms = reply
    return ProviderState(
        Availability(availability.decode()),
        int(wait_ms),
        why.decode(),
        int(calls),
        int(messages),
        int(spend),
        int(capped_ms),
    )
