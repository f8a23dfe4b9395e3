"""Handles the delivery receipts that gateways send: authenticates them and records what they report.

The URL of a receipt contains a token: our message id, the number of the call to the provider, and a MAC over them and
the provider's name. So a wrong token is rejected without a query to the store, no tokens are stored, and a receipt of
an earlier call to the provider does not change what is known of the last one. A gateway that signs its calls is
authenticated by its adapter instead. The nonce of a signature is stored with a hash of the receipt: the same receipt
may be repeated, and another one with the same nonce is ignored. An authentic receipt for a message that is unknown,
expired or belongs to another provider changes nothing and is not an error.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from otp_service.delivery.charge_queries import ChargeQueries
from otp_service.delivery.in_band_events import ProviderEvents
from otp_service.delivery.inbound import InboundHandler, KeyedHasher
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.message import (
    GatewayEvent,
    InboundMessage,
    LinkClick,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
    TemplateReview,
)
from otp_service.domain.ports import ReceiptStore
from otp_service.domain.provider_policy import Charges
from otp_service.domain.recipient import hashed_as, is_address
from otp_service.domain.results import ReceiptEffect
from otp_service.observability import LOG, METRICS
from otp_service.providers.base import (
    AccountTokenProvider,
    InBandProvider,
    Provider,
    ReceiptProvider,
    UrlCheckProvider,
)
from otp_service.store.keys import PARTITIONS

__all__ = ["RECEIPTS_PATH", "ReceiptHandler", "ReceiptTokens"]

RECEIPTS_PATH: Final = "/v1/receipts/"

NONCE_TTL_SECONDS: Final = 49 * 3600
"""Longer than a signed receipt is accepted (SendCloud's last retry comes after 43.7 hours)."""

_SEPARATOR: Final = "."


class ReceiptTokens:
    """Creates the receipt URLs of messages, and verifies the tokens in them."""

    def __init__(self, hasher: KeyedHasher, public_url: str | None) -> None:
        """Create URLs under `public_url`, where gateways reach this service; None: it has no public URL."""
        self._hasher = hasher
        self._public_url = (public_url or "").rstrip("/")

    def url(self, provider: str, message_id: str, call: int) -> str:
        """Return the URL for a provider's receipts of one call with a message; "" without a public URL.

        `call` is the number of the lease under which the call is made.
        """
        if not self._public_url:
            return ""
        subject = f"{message_id}{_SEPARATOR}{call}"
        mac = self._mac(provider, subject)
        return f"{self._public_url}{RECEIPTS_PATH}{provider}/{subject}{_SEPARATOR}{mac}"

    def public(self, path_and_query: str) -> str:
        """Return the public URL that the gateway called."""
        return self._public_url + path_and_query

    def read(self, provider: str, token: str) -> tuple[str, int | None] | None:
        """Return our message id and the call from a token; None if its MAC is wrong (compared in constant time).

        The tokens of earlier versions name no call.
        """
        subject, _, mac = token.rpartition(_SEPARATOR)
        if not hmac.compare_digest(self._mac(provider, subject).encode(), mac.encode()):
            return None
        message_id, _, call = subject.partition(_SEPARATOR)
        return message_id, int(call) if call else None

    def _mac(self, provider: str, subject: str) -> str:
        return self._hasher.keyed_hash("receipt", provider, subject)


class ReceiptHandler:
    """Authenticates and records receipts."""

    def __init__(
        self,
        receipt_store: ReceiptStore,
        charges: Charges,
        providers: Mapping[str, Provider],
        tokens: ReceiptTokens,
        hasher: KeyedHasher,
        *,
        inbound: InboundHandler,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Record in `receipt_store` the receipts that `providers` parse, and in `charges` the prices in them.

        Inbound messages go to `inbound`.

        `clock` returns Unix seconds, to check the age of a signature.
        """
        self._inbound = inbound
        self._receipt_store = receipt_store
        self._charges = charges
        self._charge_queries = ChargeQueries(providers, charges)
        self._providers = providers
        self._tokens = tokens
        self._hasher = hasher
        self._clock = clock

    async def receive(self, name: str, token: str | None, call: ReceiptRequest) -> str | None:
        """Handle a call of a gateway.

        Args:
            name: The provider in the path.
            token: The token in the path; None if there is none.
            call: The request; its `url` is the path and query of the request.

        Returns:
            The text that the gateway expects if it checks our URL; None for receipts.

        Raises:
            Refused: The call is not authentic (`key_invalid`), or the store is unavailable and the gateway should
                retry.
        """
        provider = self._providers.get(name)
        named = None if token is None else self._tokens.read(name, token)
        if not isinstance(provider, ReceiptProvider):
            raise _not_authentic()
        of_account = token is not None and named is None
        if of_account and not (isinstance(provider, AccountTokenProvider) and provider.is_account_token(token or "")):
            raise _not_authentic()
        message_id, of_call = named or (None, None)
        url, now = self._tokens.public(call.url), self._clock()
        complete = replace(call, message_id=message_id, url=url, now=now, has_account_token=of_account)
        try:
            if isinstance(provider, UrlCheckProvider) and (text := provider.answer_url_check(complete)) is not None:
                return text
            events = provider.parse_receipts(complete)
        except ReceiptForged:
            raise _not_authentic() from None
        for event in events:
            await self._handle(name, replace(event, call=of_call) if isinstance(event, Receipt) else event)
        return None

    async def stop(self) -> None:
        """Drop the queries for prices that are still due."""
        await self._charge_queries.stop()

    async def _handle(self, name: str, event: GatewayEvent) -> None:
        match event:
            case Receipt():
                await self._record(name, event)
            case InboundMessage():
                if await self._is_first_use(name, event.nonce, event.sender, event.id, event.action or ""):
                    await self._inbound.handle(name, event)
            case LinkClick(message_id):
                METRICS.link_clicks.labels(name).inc()
                LOG.info("link_clicked", provider=name, verification_id=message_id)
            case TemplateReview(template_id, approved):
                LOG.warning("template_reviewed", provider=name, template_id=template_id, approved=approved)

    def connect_providers(self) -> None:
        """Let providers that keep a connection connect, and handle what their gateways send over it."""
        for name, provider in self._providers.items():
            if isinstance(provider, InBandProvider):
                hash_id = partial(self._hasher.keyed_hash, "sent", name)
                provider.connect(ProviderEvents(name, self._receipt_store, hash_id, self._record, self._inbound.handle))

    async def _record(self, name: str, receipt: Receipt) -> None:
        effect = ReceiptEffect.KNOWN
        use = (receipt.message_id, receipt.status or "", receipt.error or "")
        if await self._is_first_use(name, receipt.nonce, *use):
            to = receipt.to if is_address(receipt.to) else "+" + receipt.to.lstrip("+")
            recipient = self._hasher.keyed_hash(*hashed_as("recipient", to)) if receipt.to else ""
            if not receipt.message_id:
                partition = self._hasher.partition_for(*hashed_as("partition", to), PARTITIONS)
                found = await self._receipt_store.find_message(partition, recipient, name, receipt.provider_message_id)
                receipt = replace(receipt, message_id=found)
            effect = await self._receipt_store.record_receipt(name, receipt, recipient)
            if receipt.charged is not None and effect not in (ReceiptEffect.OTHER, ReceiptEffect.EARLIER):
                currency = receipt.charged_currency
                await self._charges.correct_charge(name, receipt.message_id, receipt.charged, currency)
            elif effect is ReceiptEffect.NOTED and receipt.status is not None:
                self._charge_queries.query_later(name, receipt)
        status = receipt.status.value if receipt.status else "underway"
        METRICS.receipts.labels(name, status, effect.value).inc()
        # An unknown id may be any text that the caller sent, so it is not logged.
        known = {} if effect is ReceiptEffect.UNKNOWN else {"verification_id": receipt.message_id}
        error = receipt.error.value if receipt.error else None
        LOG.info("receipt", provider=name, status=status, error=error, effect=effect.value, **known)

    async def _is_first_use(self, name: str, nonce: str, *use: str) -> bool:
        """Return whether an event's nonce is new, or was used for the same event before."""
        if not nonce:
            return True
        nonce_hash = self._hasher.keyed_hash("once", name, nonce)
        return await self._receipt_store.mark_used(nonce_hash, self._hasher.keyed_hash("use", *use), NONCE_TTL_SECONDS)


def _not_authentic() -> Refused:
    return Refused(Reason.KEY_INVALID, "Send the token from the receipt URL, or a valid signature of the gateway.")
