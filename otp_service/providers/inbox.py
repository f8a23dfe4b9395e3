"""The inbox keeps messages in memory instead of sending them: for trying the service out, never for serving it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome

__all__ = ["Inbox", "InboxMessage"]

KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """A text as its recipient would see it."""

    id: str
    to: str
    text: str
    provider: str
    sent_at: datetime


class Inbox:
    """A provider whose every message is accepted and kept, the newest 1000 of them."""

    def __init__(self, name: str) -> None:
        """Be called `name`."""
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = False
        self.timeout_seconds = 1.0
        self._messages: deque[InboxMessage] = deque(maxlen=KEPT)

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Keep the text."""
        message = InboxMessage(outbound.message_id, outbound.to, outbound.text, self.name, datetime.now(UTC))
        self._messages.appendleft(message)
        return SendResult(Outcome.ACCEPTED, outbound.message_id)

    async def close(self) -> None:
        """Hold nothing."""

    def messages(self) -> list[InboxMessage]:
        """List what was sent, newest first."""
        return list(self._messages)
