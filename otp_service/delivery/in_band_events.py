"""What a gateway sends over a connection that this service has opened, as in SMPP: receipts and inbound messages.

Such a receipt contains only the gateway's id of the message, and may come over the connection of another replica than
the one that sent the message. So the ids of sent messages are stored, as keyed hashes, for as long as a receipt can
still change something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from otp_service.domain.message import InboundMessage, Receipt
from otp_service.domain.ports import ReceiptStore

__all__ = ["ProviderEvents"]

READABLE_AFTER_END_SECONDS: Final = 600
"""How long the record of a message outlives its code, as in `store/lua/_record.lua`."""


class ProviderEvents:
    """The receipts and the inbound messages of one provider (port `InBandEvents`)."""

    def __init__(
        self,
        name: str,
        store: ReceiptStore,
        hash_id: Callable[[str], str],
        record: Callable[[str, Receipt], Awaitable[None]],
        handle: Callable[[str, InboundMessage], Awaitable[bool]],
    ) -> None:
        """Take what the gateway of the provider `name` sends.

        Args:
            name: The provider.
            store: Where the ids of sent messages are stored.
            hash_id: Hashes a gateway's id with a secret key.
            record: Records a receipt that has our id of its message.
            handle: Handles an inbound message.
        """
        self._name = name
        self._store = store
        self._hash_id = hash_id
        self._record = record
        self._handle = handle

    async def remember(self, provider_message_ids: Sequence[str], message_id: str, expires_in: int) -> None:
        """Remember the ids of a message; see the port."""
        seconds = expires_in + READABLE_AFTER_END_SECONDS
        await self._store.remember_sent([self._hash_id(one) for one in provider_message_ids], message_id, seconds)

    async def record(self, provider_message_ids: Sequence[str], receipt: Receipt) -> bool:
        """Record a receipt if its message is known; see the port."""
        found = await self._store.find_sent([self._hash_id(one) for one in provider_message_ids])
        if found is not None:
            at, message_id = found
            await self._record(self._name, replace(receipt, message_id=message_id, part=provider_message_ids[at]))
        return found is not None

    async def handle_inbound(self, message: InboundMessage) -> None:
        """Handle an inbound message; see the port."""
        await self._handle(self._name, message)
