"""Records the progress of messages in the outbox, and retries while the store is unavailable.

Every write here may be repeated safely. A lost result would cause a second SMS or none, so writes are repeated for a
while. A result that arrives after its lease has expired still adds its facts to the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from msgspec.structs import replace

from otp_service.delivery.delivery_state import DeliveryState
from otp_service.delivery.retry_policy import CallProvider, Finish, Step, WaitFor
from otp_service.domain.errors import Refused
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.ports import Outbox
from otp_service.domain.results import CallStarted, DeliveryUpdate
from otp_service.observability import LOG
from otp_service.providers.base import ExclusiveProvider, Provider

__all__ = ["RECORD_MARGIN_MS", "OutboxWriter", "lease_ms"]

RECORD_MARGIN_MS: Final = 5_000
"""From the timeout of a call to the end of its lease: the time to record the result."""

CONTINUE_LEASE_MS: Final = 5_000
"""The lease while this replica continues with the next provider at once."""

HOLDER_SEARCH_MS: Final = 3_000
"""The maximum age of a message that is left to the process with the provider's only connection.

An older one counts as not sent by this provider, because possibly no process has the connection.
"""

STORE_RETRY_SECONDS: Final = 30.0
"""How long a write is repeated while the store is unavailable."""

STORE_RETRY_INTERVAL_SECONDS: Final = 0.25

T = TypeVar("T")


def lease_ms(provider: Provider) -> int:
    """Return how long a lease lasts that covers one call to a provider."""
    return int(provider.timeout_seconds * 1000) + RECORD_MARGIN_MS


class OutboxWriter:
    """Writes to the outbox for the replica that holds a message's lease."""

    def __init__(self, outbox: Outbox, providers: Mapping[str, Provider], channel_hold_ms: int = 0) -> None:
        """Write to `outbox`; `providers` are the configured ones by name.

        `channel_hold_ms`: how long the next channel of a message waits for a receipt.
        """
        self._outbox = outbox
        self._providers = providers
        self._exclusive = {name: one for name, one in providers.items() if isinstance(one, ExclusiveProvider)}
        self._channel_hold_ms = channel_hold_ms
        self._stopping = False

    def stop_retrying(self) -> None:
        """Try each write only once from now on; another replica resumes what could not be recorded."""
        self._stopping = True

    def begin(self, state: DeliveryState, name: str, parts: int) -> Awaitable[CallStarted | None]:
        """Record that a call to the provider `name` begins, right before it; the text probably has `parts` parts.

        None: the message must not be sent by this replica now.
        """
        provider = self._providers[name]  # its own name may differ: one inbox can serve under several names
        return self._retry_until_stored(
            partial(
                self._outbox.begin,
                state.message.id,
                state.lease,
                name,
                lease_ms(provider),
                idempotent_send=provider.idempotent_send,
                channel=state.channel_of(name),
                channel_hold_ms=self._channel_hold_ms if len(state.routes) > 1 else 0,
                parts=parts,
            )
        )

    async def record(self, state: DeliveryState, step: Step, update: DeliveryUpdate | None = None) -> Step:
        """Record `update`, if there is one, together with the time of the next step, and return `step`."""
        complete = replace(
            update or DeliveryUpdate(),
            due_in_ms=_due_in_ms(step),
            not_called_outcome=state.not_called_outcome,
            forget=not self._may_be_sent_again(state),
        )
        await self._retry_until_stored(partial(self._outbox.record_result, state.message.id, state.lease, complete))
        return step

    async def release_to_others(self, state: DeliveryState) -> None:
        """Release a message that this replica's config cannot serve; it fails if no other replica's config can."""
        LOG.warning("message_released", verification_id=state.message.id, tenant=state.message.record.tenant)
        await self._retry_until_stored(lambda: self._outbox.release_to_others(state.message.id, state.lease))

    async def leave_to_holder(self, state: DeliveryState, name: str) -> bool:
        """Leave a new message to the process that holds the provider's only connection, if it is not this one.

        Returns:
            True if the message was left.
        """
        provider = self._exclusive.get(name)
        if provider is None or not provider.is_connected_elsewhere():
            return False
        if state.now_ms - state.message.record.created_ms > HOLDER_SEARCH_MS:
            return False
        message_id, lease, seconds = state.message.id, state.lease, HOLDER_SEARCH_MS / 1000
        await self._retry_until_stored(lambda: self._outbox.release_to_others(message_id, lease, seconds))
        return True

    def _may_be_sent_again(self, state: DeliveryState) -> bool:
        """Return whether a receipt may still report that the message was not delivered."""
        for delivery in state.deliveries:
            if delivery.status in (DeliveryStatus.SENT, DeliveryStatus.UNKNOWN):
                provider = self._providers.get(delivery.provider)
                # A provider that is not configured here may be configured on another replica.
                if provider is None or provider.reports_delivery:
                    return True
        return False

    async def _retry_until_stored(self, write: Callable[[], Awaitable[T]]) -> T:
        """Repeat a write until the store answers; raises `Refused` when it does not for `STORE_RETRY_SECONDS`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + STORE_RETRY_SECONDS
        while True:
            try:
                return await write()
            except Refused:
                if self._stopping or loop.time() >= until:
                    raise
            await asyncio.sleep(STORE_RETRY_INTERVAL_SECONDS)


def _due_in_ms(step: Step) -> int | None:
    match step:
        case CallProvider():
            return CONTINUE_LEASE_MS
        case WaitFor(ms):
            return ms
        case Finish():
            return None
