"""The body of a webhook: `{"type", "timestamp", "data"}`, the same bytes at each attempt. It never contains a code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from otp_service.crypto.keyring import DecryptionError
from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.domain.events import EventType, StoredEvent
from otp_service.domain.recipient import is_address, mask_recipient
from otp_service.observability import LOG

__all__ = ["EventBodies"]

_STATUSES: Final = {
    EventType.REQUESTED: "pending",
    EventType.VERIFIED: "verified",
    EventType.EXHAUSTED: "exhausted",
    EventType.LOCKED: "locked",
}


class EventBodies:
    """Builds bodies."""

    def __init__(self, cipher: VerificationCipher) -> None:
        """Open what is sealed in events with `cipher`."""
        self._cipher = cipher

    def build(self, event: StoredEvent, *, full_recipient: bool) -> bytes:
        """Return the body of an event, with the whole number or address, or its masked form."""
        at = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data: dict[str, Any] = {}
        if event.verification_id:
            data = {"verification_id": event.verification_id, "tenant": event.tenant}
            data |= self._opened(event, full_recipient=full_recipient)
            if status := _STATUSES.get(event.type):
                data["status"] = status
        data |= sorted(event.facts.items())  # a script may have written them in another order at each attempt
        if data.get("country") == "":
            data["country"] = None
        return msgspec.json.encode({"type": event.type.value, "timestamp": at, "data": data})

    def _opened(self, event: StoredEvent, *, full_recipient: bool) -> dict[str, str | None]:
        """Return the recipient and the reference; null when forgotten, or when their key is not configured any more."""
        is_email = event.facts.get("channel") == "email"
        if not event.recipient:
            return {"email" if is_email else "phone": None, "reference": None}
        try:
            to = self._cipher.open_sealed_recipient(
                event.verification_id, event.recipient, event.key_id, is_email=is_email
            )
            reference = self._cipher.open_reference(event.verification_id, event.reference, event.key_id)
        except DecryptionError:
            LOG.warning("webhook_event_sealed", verification_id=event.verification_id)
            return {"email" if is_email else "phone": None, "reference": None}
        shown = to if full_recipient else mask_recipient(to)
        return {"email" if is_address(to) else "phone": shown, "reference": reference}
