"""An endpoint: where events are sent, with which signatures, and within which limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from otp_service.crypto.standard_webhooks import Ed25519SigningKey, SigningKey
from otp_service.domain.events import EventTarget, EventType

__all__ = ["DEFAULT_TIMEOUT_SECONDS", "Endpoint"]

DEFAULT_TIMEOUT_SECONDS: Final = 15.0
"""Standard Webhooks: 15 to 30 seconds."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A receiver of webhooks.

    Attributes:
        name: `tenant.name`, or the name alone for an endpoint of the operator.
        url: Where events are posted.
        keys: The keys that sign; two of a kind while one replaces the other.
        types: The types of events that it gets.
        allow_private_targets: It may be in a private network, or on this machine.
        timeout_seconds: The time of one attempt, from the DNS lookup to the head of the response.
        max_concurrent: Attempts at the same time by one process.
        full_recipient: Events contain the whole number or address instead of its masked form.
        ca_file: A file with the certificate authorities (PEM) that are trusted instead of the public ones; None: those.
    """

    name: str
    url: str
    keys: Sequence[SigningKey] = field(repr=False)
    types: frozenset[EventType]
    allow_private_targets: bool = False
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_concurrent: int = 8
    full_recipient: bool = False
    ca_file: str | None = None

    @property
    def public_keys(self) -> list[str]:
        """The public keys by which the receiver verifies signatures `v1a`, as `whpk_<base64>`."""
        return [key.public_text for key in self.keys if isinstance(key, Ed25519SigningKey)]

    @property
    def target(self) -> EventTarget:
        """What the store needs to know of it."""
        return EventTarget(self.name, self.types)
