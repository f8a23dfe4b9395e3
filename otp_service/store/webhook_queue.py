"""Events that wait for webhooks, in Redis, and the state of the endpoints.

An event is stored in the hash slot of the state that has changed, so that one script writes both: in the partition of
the verification, or beside the circuits and the usage of a provider, a tenant or a country. Such a place is named by
its index, a key of `store.keys`. Endpoints are in slots of their own.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from otp_service.domain.errors import Refused
from otp_service.domain.events import (
    EVENT_CODES,
    AttemptResult,
    ClaimedEvent,
    DueEvents,
    EndpointState,
    EndpointSummary,
    EventState,
    EventTarget,
    EventType,
    StoredEvent,
)
from otp_service.observability import LOG
from otp_service.store.encoding import encode_optional, pack
from otp_service.store.event_targets import event_args
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS, webhook_endpoint_key
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisOperatorEvents", "RedisWebhookQueue"]

KEPT_PER_SLOT: Final = 16
"""Finished events of an endpoint that are kept in each slot."""

_DECODER: Final = msgspec.msgpack.Decoder(StoredEvent)


class RedisWebhookQueue:
    """`domain.events.WebhookQueue` on any topology."""

    def __init__(self, topology: Topology, other_slots: Sequence[str] = ()) -> None:
        """Use `topology`; `other_slots` are the indexes beside those of the partitions."""
        self._topology = topology
        self._slots = (*(partition.events for partition in ALL_PARTITIONS), *other_slots)

    async def find_due(self) -> Sequence[DueEvents]:
        """Return what is due in every slot that can be reached; see the port."""
        calls = [ScriptCall(script("webhook_find_due"), (slot,)) for slot in self._slots]
        replies = await self._topology.send_each(calls)
        refusals = [reply for reply in replies if isinstance(reply, Refused)]
        if refusals and len(refusals) == len(replies):
            raise refusals[0]
        return [
            DueEvents(slot, endpoint.decode(), int(due), int(waiting), int(dropped))
            for slot, reply in zip(self._slots, replies, strict=True)
            if not isinstance(reply, Refused)
            for endpoint, due, waiting, dropped in reply
        ]

    async def endpoint_states(self, endpoints: Sequence[str]) -> Sequence[EndpointState | None]:
        """Return the states of endpoints; see the port."""
        if not endpoints:
            return []
        calls = [ScriptCall(script("webhook_endpoint"), (webhook_endpoint_key(one),)) for one in endpoints]
        replies = await self._topology.send_each(calls)
        return [None if isinstance(reply, Refused) else _read_state(reply) for reply in replies]

    async def claim(self, slot: str, endpoint: str, most: int, lease_ms: int) -> Sequence[ClaimedEvent]:
        """Lease due events; see the port."""
        args = (endpoint, most, lease_ms)
        [reply] = await self._topology.send([ScriptCall(script("webhook_claim"), (slot,), args)])
        return [ClaimedEvent(slot, endpoint, event_id, event) for event_id, event in _read_events(reply)]

    async def record(self, claimed: ClaimedEvent, result: AttemptResult) -> bool:
        """Record the end of an attempt; see the port."""
        finished = EventState.DELIVERED if result.accepted else EventState.FAILED
        args = (
            claimed.endpoint,
            claimed.id,
            claimed.event.lease,
            result.result,
            finished if result.retry_ms is None else EventState.WAITING,
            encode_optional(result.retry_ms),
            KEPT_PER_SLOT,
        )
        attempt = f"{claimed.slot} {claimed.id} {claimed.event.lease}"
        called = (result.result, int(result.accepted), result.pause_ms, int(result.disables), attempt)
        recorded, endpoint = await self._topology.send_each(
            [
                ScriptCall(script("webhook_record"), (claimed.slot,), args),
                ScriptCall(script("webhook_endpoint_called"), (webhook_endpoint_key(claimed.endpoint),), called),
            ]
        )
        if isinstance(recorded, Refused):
            raise recorded
        if isinstance(endpoint, Refused):
            LOG.warning("webhook_endpoint_not_recorded", endpoint=claimed.endpoint, result=result.result)
        elif endpoint[0]:
            LOG.error("webhook_disabled", endpoint=claimed.endpoint, result=result.result)
        return bool(recorded[0] == b"recorded")

    async def summaries(self, endpoints: Sequence[str], most: int) -> Mapping[str, EndpointSummary]:
        """Return the summaries of endpoints; see the port."""
        found = {}
        for endpoint in endpoints:
            calls = [ScriptCall(script("webhook_list"), (slot,), (endpoint, most)) for slot in self._slots]
            state_call = ScriptCall(script("webhook_endpoint"), (webhook_endpoint_key(endpoint),))
            state, *replies = await self._topology.send([state_call, *calls])
            events = [one for _, *packed in replies for one in _read_events(packed)]
            events.sort(key=lambda one: max(one[1].at_ms, one[1].result_ms), reverse=True)
            waiting = sum(int(reply[0]) for reply in replies)
            found[endpoint] = EndpointSummary(_read_state(state), waiting, tuple(events[:most]))
        return found

    async def replay(self, endpoint: str, event_id: str, since_ms: int, states: Collection[EventState]) -> int:
        """Make finished events due again; see the port."""
        args = (endpoint, event_id, since_ms, " ".join(states))
        calls = [ScriptCall(script("webhook_replay"), (slot,), args) for slot in self._slots]
        return sum(int(reply[0]) for reply in await self._topology.send(calls))

    async def enable(self, endpoint: str) -> bool:
        """Enable an endpoint; see the port."""
        [reply] = await self._topology.send([ScriptCall(script("webhook_enable"), (webhook_endpoint_key(endpoint),))])
        return bool(reply[0])


class RedisOperatorEvents:
    """`domain.events.OperatorEvents` on any topology. An event is stored in the partition that its key names."""

    def __init__(self, topology: Topology, targets: Sequence[EventTarget]) -> None:
        """Store events for `targets`."""
        self._topology = topology
        self._targets = tuple(targets)

    async def emit(self, event_type: EventType, key: str, facts: Mapping[str, str | int | bool]) -> None:
        """Store an event; see the port."""
        slot = ALL_PARTITIONS[zlib.crc32(key.encode()) % PARTITIONS].events
        if targets := event_args(slot, self._targets, (event_type,)):
            args = (*targets, EVENT_CODES[event_type], key, pack(dict(facts)))
            await self._topology.send([ScriptCall(script("emit_event"), (slot,), args)])


def _read_state(reply: ScriptReply) -> EndpointState:
    disabled, failures, paused, result, at = reply
    return EndpointState(int(disabled), int(failures), int(paused), result.decode(), int(at))


def _read_events(entries: ScriptReply) -> list[tuple[str, StoredEvent]]:
    """Read pairs of an id and a packed event; one that cannot be read is left out, and its lease expires."""
    events = []
    for event_id, packed in entries:
        try:
            events.append((event_id.decode(), _DECODER.decode(packed)))
        except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: not UTF-8
            LOG.error("webhook_event_unreadable")
    return events
