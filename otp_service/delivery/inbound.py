"""Handles inbound messages: an opt-out word opts the sender's number out at this service, an opt-in word ends that.

Gateways push inbound messages in webhooks, or their inboxes are polled (`inbound_polling`). Each message is handled
once, whichever replicas read it, and however often: the script that changes the opt-out also stores that the message
was handled. A message without an id cannot be recognized, so nothing is stored for it.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Protocol

from otp_service.domain.message import InboundMessage
from otp_service.domain.opt_out import OptOutEffect, OptOutWords
from otp_service.domain.ports import OptOuts
from otp_service.observability import METRICS
from otp_service.observability.audit import AUDIT, in_audit_thread
from otp_service.store.keys import PARTITIONS

__all__ = ["InboundHandler", "KeyedHasher"]

OTHER: Final = "other"
"""The label of messages that ask for nothing."""


class KeyedHasher(Protocol):
    """Hashes values with a secret key."""

    def keyed_hash(self, kind: str, *parts: str) -> str:
        """Return a keyed hash of `parts`, different for each `kind`."""

    def partition_for(self, kind: str, text: str, partitions: int) -> int:
        """Return the partition of `text`."""


class InboundHandler:
    """Applies inbound messages to the opt-outs."""

    def __init__(self, opt_outs: OptOuts, words: OptOutWords, hasher: KeyedHasher) -> None:
        self._opt_outs = opt_outs
        self._words = words
        self._hasher = hasher

    async def handle(self, provider: str, message: InboundMessage) -> bool:
        """Apply a message of the gateway `provider`; return False if it was handled before.

        Raises:
            Refused: The store is unavailable; the message was not handled.
        """
        action = (message.action or self._words.action_of(message.text)) if message.sender else None
        partition = self._hasher.partition_for("partition", message.sender, PARTITIONS)
        recipient = self._hasher.keyed_hash("recipient", message.sender)
        inbound, effect = "", OptOutEffect.UNCHANGED
        if message.id:
            inbound = self._hasher.keyed_hash("inbound", provider, message.id, message.sender, str(message.at))
        if inbound or action:
            effect = await self._opt_outs.change(partition, recipient, action, inbound)
        if effect is OptOutEffect.KNOWN:
            return False
        METRICS.inbound_messages.labels(provider, action.value if action else OTHER).inc()
        if action:
            actor, result = f"sender at {provider}", effect.value
            await in_audit_thread(partial(AUDIT.record, action.value, actor=actor, result=result, subject=recipient))
        return True
