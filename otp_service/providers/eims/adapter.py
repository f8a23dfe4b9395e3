"""EIMS / Ejoin, the Indonesian gateway: plain HTTP on port 20003, with JSON responses in HTTP 200 for every result.

Variant V1 sends account and password with every call, as the gateway's own document shows. Variant V2 signs account,
password and a time in GMT+8 instead, and its paths end with `V2`.

A send is a GET, as documented, or a POST of the same names in JSON, as other clients of this gateway send it;
with POST in V2, the credentials stay in the query. Reports and the balance are GETs, the only documented method.

The gateway has no idempotency key, and only the send response contains the message id. A lost response is therefore
ambiguous, and that message gets no report, unless `lookup_ambiguous` finds it in the list of accepted messages (V2).
Platforms may also push reports (`push_token`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from otp_service.domain.message import (
    Balance,
    DeliveryReport,
    InboundMessage,
    OutboundMessage,
    Receipt,
    ReceiptRequest,
    SendResult,
)
from otp_service.domain.outcomes import Outcome
from otp_service.providers.eims import wire
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.eims.inbox import PAGE_SIZE, parse_inbox
from otp_service.providers.eims.pushed_reports import is_token, parse_pushed_reports
from otp_service.providers.eims.result_codes import ACCOUNT_ERRORS, ACCOUNT_ERRORS_V2
from otp_service.providers.eims.sent_records import MARGIN_SECONDS, matching_ids, record_windows
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.responses import parse_date

__all__ = ["Eims"]


class Eims:
    """One account at one EIMS gateway."""

    def __init__(
        self, name: str, config: EimsConfig, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client`; `clock` returns Unix seconds, for signed calls."""
        self.name = name
        self.idempotent_send = False
        self.first_report_seconds = config.report_poll_seconds
        self.reports_delivery = config.reports_delivery
        self.finds_messages = config.lookup_ambiguous
        self.inbound_poll_seconds = config.inbox_poll_seconds
        self.inbound_page_size = PAGE_SIZE
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._account_errors = ACCOUNT_ERRORS if config.variant == "v1" else ACCOUNT_ERRORS_V2
        self._client = client
        self._clock = clock
        self._clock_offset: float | None = None

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`."""
        message = wire.message_parameters(self._config, outbound)
        call = self._post if self._config.method == "post" else self._get
        response = await call("sendsms", message)
        return wire.parse_send_response(response, message["numbers"], outbound.country, self._account_errors)

    async def fetch_report(self, provider_message_id: str) -> DeliveryReport:
        """Query the status of a message; see `PollingProvider.fetch_report`."""
        response = await self._get("getreport", {"ids": provider_message_id})
        return wire.parse_report_response(
            response, provider_message_id, zero_is_delivered=self._config.zero_is_delivered
        )

    async def find_message(self, to: str, country: str, after: float) -> str:
        """Find a message in the list of accepted ones; see `LookupProvider.find_message`.

        Rows have the gateway's time, so its clock is compared with ours first, by the `Date` header of a response. If
        two messages to the number were accepted since `after`, neither is certain to be ours.
        """
        if self._clock_offset is None:
            await self._get("getbalance", {})
        if self._clock_offset is None:
            return ""
        begin, end = (at + self._clock_offset for at in (after, self._clock()))
        ids: set[str] = set()
        for window in record_windows(begin - MARGIN_SECONDS, end + MARGIN_SECONDS):
            document = wire.successful_document(await self._get("getsentrcd", window))
            if isinstance(document, SendResult):
                return ""
            ids |= matching_ids(document, to, country, begin - MARGIN_SECONDS)
        return ids.pop() if len(ids) == 1 else ""

    async def fetch_inbound(self, since: int | None) -> Sequence[InboundMessage] | Outcome:
        """Read the inbox; see `InboundProvider.fetch_inbound`. Without `inbox_start_time` all of it is read."""
        bounded = {} if since is None or not self._config.inbox_start_time else {"start_time": str(since)}
        document = wire.successful_document(await self._get("getsms", bounded), self._account_errors)
        return document.outcome if isinstance(document, SendResult) else parse_inbox(document, self._config)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read pushed reports; see `ReceiptProvider.parse_receipts`."""
        config = self._config
        return parse_pushed_reports(call, config.push_token, config.country, zero_is_delivered=config.zero_is_delivered)

    def is_account_token(self, token: str) -> bool:
        """Whether this is `push_token`; see `AccountTokenProvider.is_account_token`."""
        return is_token(self._config.push_token, token)

    async def fetch_balance(self) -> Balance | Outcome:
        """Query the balance, bonus included; see `BalanceProvider.fetch_balance`."""
        return wire.parse_balance_response(await self._get("getbalance", {}))

    async def _get(self, operation: str, parameters: dict[str, str]) -> GatewayResponse | Outcome:
        url = wire.request_url(self._config, operation, self._credentials() | parameters)
        response = await self._client.call("GET", url, headers={"Content-Type": wire.JSON})
        if self.finds_messages and not isinstance(response, Outcome):
            self._compare_clocks(response)
        return response

    def _compare_clocks(self, response: GatewayResponse) -> None:
        if (date := parse_date(response.headers.get("date", ""))) is not None:
            self._clock_offset = date - self._clock()

    async def _post(self, operation: str, parameters: dict[str, str]) -> GatewayResponse | Outcome:
        query, body = self._credentials(), parameters
        if self._config.variant == "v1":
            query, body = {}, query | parameters
        url, content = wire.request_url(self._config, operation, query), msgspec.json.encode(body)
        return await self._client.call("POST", url, headers={"Content-Type": wire.JSON}, content=content)

    def _credentials(self) -> dict[str, str]:
        return wire.credentials(self._config, self._clock())
