"""ACME SMS, a gateway that does not exist: how a package of one's own adds a provider.

A message is `POST {base_url}/messages` with the token in `X-Acme-Token` and `{"to", "text", "ref", "callback"}` as
JSON. HTTP 202 with `{"id"}` is acceptance; a refusal is any other status with `{"error"}`. The gateway calls `callback`
with `{"id", "state"}`; nothing signs that call, so only the token in its address proves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from otp_service.plugin import (
    BaseUrl,
    CommonProvider,
    DeliveryStatus,
    Finding,
    GatewayClient,
    GatewayResponse,
    OutboundMessage,
    Outcome,
    ProviderPlugin,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
    SecretText,
    SendResult,
    Text,
    foreign_answer,
    json_object,
)

OUTCOMES: Final[dict[str, Outcome]] = {
    "bad_token": Outcome.CONFIG_ERROR,
    "bad_sender": Outcome.CONFIG_ERROR,
    "no_credit": Outcome.FUNDS,
    "bad_number": Outcome.RECIPIENT_INVALID,
    "opted_out": Outcome.RECIPIENT_BLOCKED,
    "bad_text": Outcome.CONTENT_REJECTED,
    "slow_down": Outcome.THROTTLED,
    "down": Outcome.TRANSIENT,
}

STATES: Final[dict[str, DeliveryStatus]] = {
    "delivered": DeliveryStatus.DELIVERED,
    "lost": DeliveryStatus.UNDELIVERED,
}


class AcmesmsTable(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="acmesms"):
    """`[providers.<name>]` with `type = "acmesms"`. A short code has no name to show."""

    base_url: BaseUrl = "https://sms.acme.example"
    token: SecretText
    sender: Text | None = None
    short_code: Annotated[int, Meta(ge=1000, le=999_999)] | None = None

    def mistakes(self) -> Iterator[Finding]:
        """A message has one sender."""
        if self.sender is not None and self.short_code is not None:
            yield ("short_code",), "a second sender", "sender or short_code"


class Acmesms:
    """One account at ACME SMS."""

    def __init__(self, name: str, table: AcmesmsTable, client: GatewayClient) -> None:
        """Send through `client` as the account of `table`."""
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = True
        self.timeout_seconds = client.timeout_seconds
        self._table = table
        self._client = client

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Hand one message over; see the port."""
        message: dict[str, object] = {"to": outbound.to, "text": outbound.text, "ref": outbound.message_id}
        if sender := self._table.sender or self._table.short_code:
            message["from"] = sender
        if outbound.receipt_url:
            message["callback"] = outbound.receipt_url
        headers = {"Content-Type": "application/json", "X-Acme-Token": self._table.token.reveal()}
        url, content = f"{self._table.base_url}/messages", msgspec.json.encode(message)
        return read_answer(await self._client.call("POST", url, headers=headers, content=content))

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a callback; see the port `ReceiptProvider`."""
        if call.message_id is None:
            raise ReceiptForged
        body = json_object(call.body)
        state, identity = body.get("state"), body.get("id")
        if not isinstance(state, str) or not isinstance(identity, str):
            return []
        return [Receipt(call.message_id, STATES.get(state), provider_message_id=identity)]


def read_answer(reply: GatewayResponse | Outcome) -> SendResult:
    """Say what `reply` means."""
    if isinstance(reply, Outcome):
        return SendResult(reply)
    answer = json_object(reply.body)
    if reply.status == 202 and isinstance(answer.get("id"), str):
        return SendResult(Outcome.ACCEPTED, answer["id"])
    error = answer.get("error")
    return SendResult(OUTCOMES.get(error, Outcome.CONFIG_ERROR)) if isinstance(error, str) else foreign_answer(reply)


PLUGIN = ProviderPlugin(AcmesmsTable, Acmesms)
