"""Events: what webhooks report of verifications, messages and providers, and how they wait in the store.

The scripts that change a state add its events in the same step, for the endpoints that the verification's record names
(`VerificationRecord.events`). So an event is stored if and only if its change is. It waits in the store until its
endpoint has accepted it, for 84 hours at most.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import msgspec

__all__ = [
    "CIRCUIT_EVENTS",
    "EVENT_CODES",
    "OPERATOR_EVENTS",
    "TENANT_EVENTS",
    "AttemptResult",
    "ClaimedEvent",
    "DueEvents",
    "EndpointState",
    "EndpointSummary",
    "EventState",
    "EventTarget",
    "EventType",
    "OperatorEvents",
    "StoredEvent",
    "WebhookQueue",
    "encode_targets",
]


class EventType(StrEnum):
    """The types of events, as the body of a webhook names them."""

    REQUESTED = "verification.requested"
    VERIFIED = "verification.verified"
    EXHAUSTED = "verification.exhausted"
    SENT = "message.sent"
    DELIVERED = "message.delivered"
    FAILED = "message.failed"
    LOCKED = "recipient.locked"
    CAP_NEAR = "cap.near"
    CIRCUIT_OPENED = "circuit.opened"
    CIRCUIT_CLOSED = "circuit.closed"
    GUARD_TRIGGERED = "guard.triggered"
    TEST = "test"


EVENT_CODES: Final[Mapping[EventType, str]] = {
    EventType.REQUESTED: "r",
    EventType.VERIFIED: "v",
    EventType.EXHAUSTED: "x",
    EventType.SENT: "s",
    EventType.DELIVERED: "d",
    EventType.FAILED: "f",
    EventType.LOCKED: "l",
    EventType.CAP_NEAR: "n",
    EventType.CIRCUIT_OPENED: "o",
    EventType.CIRCUIT_CLOSED: "c",
    EventType.GUARD_TRIGGERED: "g",
    EventType.TEST: "t",
}
"""The letter of each type, as stored and as the scripts use it."""

OPERATOR_EVENTS: Final = (
    EventType.CAP_NEAR,
    EventType.CIRCUIT_OPENED,
    EventType.CIRCUIT_CLOSED,
    EventType.GUARD_TRIGGERED,
)
"""The types that concern the whole service: only endpoints of the operator get them."""

TENANT_EVENTS: Final = (
    EventType.REQUESTED,
    EventType.VERIFIED,
    EventType.EXHAUSTED,
    EventType.SENT,
    EventType.DELIVERED,
    EventType.FAILED,
    EventType.LOCKED,
)
"""The types that concern one tenant: only its endpoints get them."""

CIRCUIT_EVENTS: Final = (EventType.CIRCUIT_OPENED, EventType.CIRCUIT_CLOSED)

_TYPES: Final = {code: event_type for event_type, code in EVENT_CODES.items()}


@dataclass(frozen=True, slots=True)
class EventTarget:
    """An endpoint, and the types of events that it gets. A tenant's endpoint is named `tenant.name`."""

    endpoint: str
    types: frozenset[EventType]

    @property
    def codes(self) -> str:
        """The letters of the types."""
        return "".join(sorted(EVENT_CODES[one] for one in self.types))


def encode_targets(index: str, sealed_reference: str, targets: Sequence[EventTarget]) -> tuple[str, ...]:
    """Return the targets as scripts read them (`store/lua/_events.lua`); empty without a target.

    Args:
        index: The key of the index of waiting events, in the slot of the state that changes.
        sealed_reference: The caller's reference, encrypted; "" for none.
        targets: The endpoints.
    """
    if not targets:
        return ()
    return (index, sealed_reference, *(text for one in targets for text in (one.endpoint, one.codes)))


class EventState(StrEnum):
    """`waiting`: it will be sent. `delivered`: the endpoint has accepted it. `failed`: the schedule is used up."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class StoredEvent(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """An event for one endpoint, as stored; `store/lua/_events.lua` writes it. Times are ms of the store's clock.

    Attributes:
        version: The version of this layout.
        code: The letter of its type.
        at_ms: When the state changed.
        verification_id: The verification; "" for an event of the operator.
        lease: The number of the last lease: only its holder sends the event.
        attempts: How many attempts have ended.
        result: The last attempt's HTTP status, or why there was none; "" before the first.
        result_ms: When the last attempt ended; 0 before the first.
        state: Whether it waits.
        tenant: The tenant that it concerns; "" for none.
        key_id: The key under which `recipient` and `reference` are sealed.
        recipient: The sealed number or address; "" for none, and when it was forgotten.
        reference: The sealed reference of the caller; "" for none.
        facts: The other members of `data`.
        recorded: The lease whose attempt was recorded last; 0 before the first.
        recipient_hash: The keyed hash of the recipient, by which it is forgotten; "" for none.
    """

    version: int = 1
    code: str
    at_ms: int
    verification_id: str
    lease: int
    attempts: int
    result: str
    result_ms: int
    state: EventState
    tenant: str
    key_id: str
    recipient: str
    reference: str
    facts: dict[str, str | int | bool]
    recorded: int = 0
    recipient_hash: str = ""

    @property
    def type(self) -> EventType:
        """Its type; one of a later version is `test`."""
        return _TYPES.get(self.code, EventType.TEST)


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event that this worker has leased. `slot` is where it is stored, `id` the stable `webhook-id`."""

    slot: str
    endpoint: str
    id: str
    event: StoredEvent


@dataclass(frozen=True, slots=True)
class DueEvents:
    """How many events of an endpoint are due in a slot, how many wait there, and how many were dropped there since."""

    slot: str
    endpoint: str
    due: int
    waiting: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What all replicas know of an endpoint.

    Attributes:
        disabled_ms: When the endpoint answered 410; 0: it is enabled.
        failures: Failed attempts in a row.
        paused_ms: For how many ms no attempt is made; 0: it may be called.
        result: The last result, "" for none.
        result_ms: When it came; 0 for none.
    """

    disabled_ms: int = 0
    failures: int = 0
    paused_ms: int = 0
    result: str = ""
    result_ms: int = 0


@dataclass(frozen=True, slots=True)
class EndpointSummary:
    """An endpoint as an operator sees it: its state, the waiting events, and the last ones with their ids."""

    state: EndpointState
    waiting: int
    events: tuple[tuple[str, StoredEvent], ...]


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The end of an attempt.

    Attributes:
        result: The HTTP status, or the name of what prevented a response.
        accepted: The endpoint has accepted the event.
        retry_ms: In how many ms the event is due again; None: never.
        pause_ms: For how many ms the endpoint is not called at all.
        disables: The endpoint is gone (410).
    """

    result: str
    accepted: bool = False
    retry_ms: int | None = None
    pause_ms: int = 0
    disables: bool = False


class WebhookQueue(Protocol):
    """The waiting events. Each method may raise `Refused` (`store_unavailable`, `overloaded`)."""

    async def find_due(self) -> Sequence[DueEvents]:
        """Return what is due, in every slot that can be reached, and reset the numbers of dropped events."""

    async def endpoint_states(self, endpoints: Sequence[str]) -> Sequence[EndpointState | None]:
        """Return the states of endpoints, in their order; None for one that cannot be reached."""

    async def claim(self, slot: str, endpoint: str, most: int, lease_ms: int) -> Sequence[ClaimedEvent]:
        """Lease at most `most` due events of an endpoint in a slot."""

    async def record(self, claimed: ClaimedEvent, result: AttemptResult) -> bool:
        """Record the end of an attempt for the event and its endpoint; a repeated call counts once.

        If only the endpoint's state cannot be reached, the attempt is recorded for the event alone.

        Returns:
            False if another replica has leased the event meanwhile and the endpoint did not accept it here.
        """

    async def summaries(self, endpoints: Sequence[str], most: int) -> Mapping[str, EndpointSummary]:
        """Return the summary of each endpoint, with at most `most` events, the last ones first."""

    async def replay(self, endpoint: str, event_id: str, since_ms: int, states: Collection[EventState]) -> int:
        """Make finished events due again with the whole schedule: one by its id, or those that ended since a time.

        Returns:
            How many events.
        """

    async def enable(self, endpoint: str) -> bool:
        """Enable an endpoint; return whether it was disabled."""


class OperatorEvents(Protocol):
    """Takes events that no script of the store emits by itself: those that an operator sends as a test."""

    async def emit(self, event_type: EventType, key: str, facts: Mapping[str, str | int | bool]) -> None:
        """Store an event for each endpoint of the operator that gets its type; nothing without one.

        Args:
            event_type: Such as `test`.
            key: Identifies the event: the same key is stored once. Of `A-Z a-z 0-9 _ -`, at most 100 characters.
            facts: The members of `data`, at least one; never a number, an address or a code.
        """
