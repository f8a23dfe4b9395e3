"""The desk where gateways hand in their receipts: is the call authentic, what does it say, and is that news?

A receipt's address holds a token: our message id and a MAC over it and the provider's name, so a wrong one is refused
without a look into the store, and no table of tokens is kept. Where a gateway signs instead, its adapter checks that,
and what must be used once is remembered for what it was used for: a repetition is taken, a forgery under it is not.
Whatever an authentic call says about a message that is gone, or is somebody else's, changes nothing and is no error.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.ports import ReceiptStore
from otp_service.domain.results import ReceiptEffect
from otp_service.observability import LOG, METRICS
from otp_service.providers.base import Provider, ReceiptProvider

__all__ = ["PATH", "ReceiptHandler", "ReceiptTokens"]

PATH: Final = "/v1/receipts/"
ONCE_SECONDS: Final = 49 * 3600
"""Longer than a signed receipt is believed (SendCloud's last retry comes after 43.7 hours)."""

_DOT: Final = "."


class KeyedHasher(Protocol):
    """Makes keyed hashes."""

    def keyed_hash(self, kind: str, *parts: str) -> str:
        """Name something private by a keyed hash."""


class ReceiptTokens:
    """Makes and reads the tokens in receipts' addresses."""

    def __init__(self, marks: KeyedHasher, public_url: str | None) -> None:
        """Sign by `marks`; `public_url` is where gateways reach us, None: nowhere."""
        self._marks = marks
        self._public_url = (public_url or "").rstrip("/")

    def url(self, provider: str, message_id: str) -> str:
        """Make the address for a message's receipts; "" without a public one."""
        if not self._public_url:
            return ""
        return f"{self._public_url}{PATH}{provider}/{message_id}{_DOT}{self._mac(provider, message_id)}"

    def public(self, path_and_query: str) -> str:
        """Say how the gateway wrote the address that it called."""
        return self._public_url + path_and_query

    def message_id(self, provider: str, token: str) -> str | None:
        """Read a token; None for a wrong one. Compared in constant time."""
        message_id, _, mac = token.rpartition(_DOT)
        right = self._mac(provider, message_id)
        return message_id if hmac.compare_digest(right.encode(), mac.encode()) else None

    def _mac(self, provider: str, message_id: str) -> str:
        return self._marks.keyed_hash("receipt", provider, message_id)


class ReceiptHandler:
    """Takes receipts in."""

    def __init__(
        self,
        receipt_store: ReceiptStore,
        providers: Mapping[str, Provider],
        tokens: ReceiptTokens,
        marks: KeyedHasher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Note in `receipt_store` what `providers` read; `clock` gives Unix seconds, for the age of a signature."""
        self._receiving = receipt_store
        self._providers = providers
        self._tokens = tokens
        self._marks = marks
        self._clock = clock

    async def receive(self, name: str, token: str | None, call: ReceiptRequest) -> None:
        """Take a call to the provider `name`; raises `Refused` (`key_invalid`) for one that is not authentic.

        `call.url` is path and query as they were called. Also raises `Refused` when the store does not answer: the
        gateway will come again.
        """
        provider = self._providers.get(name)
        message_id = None if token is None else self._tokens.message_id(name, token)
        if not isinstance(provider, ReceiptProvider) or (token is not None and message_id is None):
            raise _forged()
        whole = replace(call, message_id=message_id, url=self._tokens.public(call.url), now=self._clock())
        try:
            receipts = provider.parse_receipts(whole)
        except ReceiptForged:
            raise _forged() from None
        for receipt in receipts:
            await self._note(name, receipt)

    async def _note(self, name: str, receipt: Receipt) -> None:
        noted = ReceiptEffect.KNOWN
        if await self._usable(name, receipt):
            recipient = self._marks.keyed_hash("recipient", "+" + receipt.to.lstrip("+")) if receipt.to else ""
            noted = await self._receiving.record_receipt(name, receipt, recipient)
        status = receipt.status.value if receipt.status else "underway"
        METRICS.receipts.labels(name, status, noted.value).inc()
        known = (
            {} if noted is ReceiptEffect.UNKNOWN else {"verification_id": receipt.message_id}
        )  # else it is anybody's word
        error = receipt.error.value if receipt.error else None
        LOG.info("receipt", provider=name, status=status, error=error, noted=noted.value, **known)

    async def _usable(self, name: str, receipt: Receipt) -> bool:
        """Say whether what may be used once was used for nothing else."""
        if not receipt.once:
            return True
        keyed_hash = self._marks.keyed_hash("once", name, receipt.once)
        use = self._marks.keyed_hash("use", receipt.message_id, receipt.status or "", receipt.error or "")
        return await self._receiving.mark_used(keyed_hash, use, ONCE_SECONDS)


def _forged() -> Refused:
    return Refused(Reason.KEY_INVALID, "The receipt does not prove that it comes from the gateway.")
