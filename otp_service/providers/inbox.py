"""The inbox: a provider that keeps messages in memory instead of sending them, for development and tests only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from otp_service.domain.message import Channel, OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.config_fields import BaseUrl, CommonProvider

__all__ = ["Inbox", "InboxConfig", "InboxMessage"]

MAX_MESSAGES: Final = 1000


class InboxConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="inbox"):
    """The table of an inbox. `base_url` is accepted and not used."""

    base_url: BaseUrl | None = None

    @property
    def channels(self) -> frozenset[Channel]:
        """Every channel: nothing leaves the process."""
        return frozenset(Channel)

    @property
    def reports_delivery(self) -> bool:
        """Nobody reads the messages."""
        return False


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """A message as its recipient would see it."""

    id: str
    to: str
    text: str
    provider: str
    sent_at: datetime
    channel: str = Channel.SMS.value


class Inbox:
    """A provider that accepts every message and keeps the newest 1,000."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = False
        self.timeout_seconds = 1.0
        self._messages: deque[InboxMessage] = deque(maxlen=MAX_MESSAGES)

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Keep the message; it is always accepted."""
        self._messages.appendleft(
            InboxMessage(
                id=outbound.message_id,
                to=outbound.to,
                text=outbound.text,
                provider=self.name,
                sent_at=datetime.now(UTC),
                channel=outbound.channel.value,
            )
        )
        return SendResult(Outcome.ACCEPTED, outbound.message_id)

    async def close(self) -> None:
        """Do nothing: an inbox has no connection."""

    def messages(self) -> list[InboxMessage]:
        """Return the messages that were sent, newest first."""
        return list(self._messages)
