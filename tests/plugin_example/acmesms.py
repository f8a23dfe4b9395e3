"""ACME SMS, a gateway that does not exist: an example of a package that adds a provider.

A message is `POST {base_url}/messages` with the token in `X-Acme-Token` and `{"to", "text", "ref", "callback"}` as
JSON. HTTP 202 with `{"id"}` is acceptance; any other status with `{"error"}` is a refusal. The gateway calls `callback`
with `{"id", "state"}`. That call is not signed: only the token in the callback URL authenticates it.
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
    json_object,
    undocumented_response,
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


class AcmesmsConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="acmesms"):
    """`[providers.<name>]` with `type = "acmesms"`. A message is from a `sender` or from a `short_code`."""

    base_url: BaseUrl = "https://sms.acme.example"
    token: SecretText
    sender: Text | None = None
    short_code: Annotated[int, Meta(ge=1000, le=999_999)] | None = None

    def cross_check(self) -> Iterator[Finding]:
        """Reject a table with both a sender and a short code."""
        if self.sender is not None and self.short_code is not None:
            yield ("short_code",), "a second sender", "sender or short_code"


class Acmesms:
    """One account at ACME SMS."""

    def __init__(self, name: str, config: AcmesmsConfig, client: GatewayClient) -> None:
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = True
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`."""
        message: dict[str, object] = {"to": outbound.to, "text": outbound.text, "ref": outbound.message_id}
        if sender := self._config.sender or self._config.short_code:
            message["from"] = sender
        if outbound.receipt_url:
            message["callback"] = outbound.receipt_url
        headers = {"Content-Type": "application/json", "X-Acme-Token": self._config.token.reveal()}
        url, content = f"{self._config.base_url}/messages", msgspec.json.encode(message)
        return parse_send_response(await self._client.call("POST", url, headers=headers, content=content))

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a callback; see `ReceiptProvider.parse_receipts`."""
        if call.message_id is None:
            raise ReceiptForged
        body = json_object(call.body)
        state, provider_message_id = body.get("state"), body.get("id")
        if not isinstance(state, str) or not isinstance(provider_message_id, str):
            return []
        return [Receipt(call.message_id, STATES.get(state), provider_message_id=provider_message_id)]


def parse_send_response(response: GatewayResponse | Outcome) -> SendResult:
    """Classify the response to a message."""
    if isinstance(response, Outcome):
        return SendResult(response)
    answer = json_object(response.body)
    if response.status == 202 and isinstance(answer.get("id"), str):
        return SendResult(Outcome.ACCEPTED, answer["id"])
    error = answer.get("error")
    if isinstance(error, str):
        return SendResult(OUTCOMES.get(error, Outcome.CONFIG_ERROR))
    return undocumented_response(response)


PLUGIN = ProviderPlugin(AcmesmsConfig, Acmesms)
