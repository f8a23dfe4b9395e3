"""Any SMS gateway with an HTTP API: the configuration describes the request and what a response means.

One message is one request, sent once. What the configuration does not describe is ambiguous, so that no second message
is sent while the first one may be on its way. Bodies and URLs have the code and credentials: they are never logged.
"""

from __future__ import annotations

from collections.abc import Sequence

from otp_service.domain.message import Balance, OutboundMessage, Receipt, ReceiptRequest, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.http import wire
from otp_service.providers.http.config import BalanceQuery, HttpConfig
from otp_service.providers.http.receipts import is_token, parse_call
from otp_service.providers.http.request_template import NotRenderable
from otp_service.providers.http_client import GatewayClient, GatewayResponse

__all__ = ["HttpProvider", "HttpProviderWithBalance", "make_http_provider"]


class HttpProvider:
    """One account at one gateway."""

    def __init__(self, name: str, config: HttpConfig, client: GatewayClient) -> None:
        """Send through `client`."""
        self.name = name
        self.idempotent_send = config.idempotent_send
        self.reports_delivery = config.reports_delivery
        self.reports_charge = bool(config.charged or (config.receipts and config.receipts.charged))
        self.timeout_seconds = client.timeout_seconds
        self._sends_text = "text" in config.message_placeholders()
        self._config = config
        self._client = client

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`. A message that the templates cannot express is not sent."""
        if outbound.needs_text and not self._sends_text:
            return SendResult(Outcome.CONTENT_REJECTED)
        try:
            request = wire.build_request(self._config, outbound)
        except NotRenderable:
            return SendResult(Outcome.CONTENT_REJECTED)
        return wire.parse_send_response(self._config, await self._call(request), outbound)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a call; see `ReceiptProvider.parse_receipts`. Without `receipts` none is accepted."""
        return parse_call(self.name, self._config.receipts, call)

    def is_account_token(self, token: str) -> bool:
        """Whether this is the account's token, and not one for a header; see `AccountTokenProvider`."""
        mapping = self._config.receipts
        return mapping is not None and mapping.token_header is None and is_token(mapping, token)

    async def _call(self, request: wire.GatewayRequest) -> GatewayResponse | Outcome:
        return await self._client.call(request.method, request.url, headers=request.headers, content=request.content)


class HttpProviderWithBalance(HttpProvider):
    """An account whose balance can be queried."""

    def __init__(self, name: str, config: HttpConfig, client: GatewayClient, balance: BalanceQuery) -> None:
        """Query the balance by `balance`."""
        super().__init__(name, config, client)
        self._balance = balance

    async def fetch_balance(self) -> Balance | Outcome:
        """Query the balance; see `BalanceProvider.fetch_balance`."""
        try:
            request = wire.balance_request(self._config, self._balance)
        except NotRenderable:
            return Outcome.CONFIG_ERROR
        return wire.parse_balance_response(self._config, self._balance, await self._call(request))


def make_http_provider(name: str, config: HttpConfig, client: GatewayClient) -> HttpProvider:
    """Make the provider of a table; it has a balance only if the table says how to query it."""
    if config.balance is None:
        return HttpProvider(name, config, client)
    return HttpProviderWithBalance(name, config, client, config.balance)
