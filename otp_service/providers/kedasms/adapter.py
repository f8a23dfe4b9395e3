"""KedaSMS: encrypted messages, posted to a proxy; callbacks report their delivery status.

Documented: the encrypted envelope, the parameters, success as `code` "0" with a `taskId`, and the form of a callback,
of a status response and of the request that sets limits. Not documented: the response to that request, every error,
and how a `taskId` relates to the `msgid` of callbacks and status queries.

The proxy forwards to a back end. A timeout or a 5xx may have been forwarded, and is ambiguous. There is no idempotency
key. The adapter repeats a request only if it was refused (4xx) for its timestamp: once, with the time of the response's
`Date` header. Status responses and refusals may echo the text with its code: bodies are never stored or logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import quote

from otp_service.domain.message import (
    AccountLimits,
    DeliveryReport,
    LinkClick,
    OutboundMessage,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
    SendResult,
)
from otp_service.domain.outcomes import Outcome
from otp_service.observability import LOG
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.kedasms import wire
from otp_service.providers.kedasms.click_tracking import parse_short_link_response, short_link_body
from otp_service.providers.kedasms.config import KedasmsConfig
from otp_service.providers.responses import parse_date

__all__ = ["Kedasms"]

CLOCK_TOLERANCE_SECONDS: Final = 2.0
"""`Date` has whole seconds. A smaller difference is not the reason why a timestamp was refused."""


class Kedasms:
    """One account at KedaSMS.

    `clock_offset` is what has to be added to our clock, in seconds, to get the gateway's.
    """

    def __init__(
        self, name: str, config: KedasmsConfig, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client`; `clock` returns Unix seconds."""
        self.name = name
        self.idempotent_send = False
        self.reports_charge = True
        self.reports_delivery = True
        self.first_report_seconds = config.report_poll_seconds
        self.timeout_seconds = client.timeout_seconds
        self.shortens_links = config.short_links
        self.clock_offset = 0.0
        self._config = config
        self._client = client
        self._clock = clock

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`. The provider's message id is the `taskId`."""
        if not wire.can_name_country(outbound.country):
            return SendResult(Outcome.CONTENT_REJECTED)
        deadline = asyncio.get_running_loop().time() + self.timeout_seconds
        response = await self._post("/api/sms/send", partial(wire.send_body, self._config, outbound), deadline)
        return wire.parse_send_response(response, self._clock() + self.clock_offset, outbound.text)

    async def shorten(self, url: str, message_id: str) -> str | None:
        """Make a short address; see `ShortLinkProvider.shorten`. The request contains no id of ours."""
        del message_id
        deadline = asyncio.get_running_loop().time() + self.timeout_seconds
        response = await self._post("/api/shortlinks", partial(short_link_body, self._config, url), deadline)
        return parse_short_link_response(self._config, response)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt | LinkClick]:
        """Read a callback; see `ReceiptProvider.parse_receipts`.

        Callbacks are not signed. Only the token in the callback URL, which gives `message_id`, authenticates them.
        """
        if call.message_id is None:
            raise ReceiptForged
        return wire.parse_callback(call.body, call.message_id)

    async def fetch_report(self, provider_message_id: str) -> DeliveryReport:
        """Query the status of a message by the `msgid` that one of its callbacks named.

        A send returns only a `taskId`, and no document says how to get a `msgid` from it. A query for a `taskId`
        gives no status, because only a response that names the requested id counts.
        """
        if not provider_message_id:
            return DeliveryReport(None)
        url = self._status_url(f"/api/sms/status?msgid={quote(provider_message_id, safe='')}")
        return wire.parse_status_response(await self._client.call("GET", url), provider_message_id)

    async def set_limits(self, limits: AccountLimits) -> Outcome:
        """Set the account's daily limits; see `AccountLimitsProvider.set_limits`."""
        content = wire.limits_body(self._config, limits)
        url = self._status_url("/api/external/accounts/limits")
        headers = {"Content-Type": wire.JSON}
        return wire.parse_limits_response(await self._client.call("PUT", url, headers=headers, content=content))

    async def _post(self, path: str, body: Callable[[int], bytes], deadline: float) -> GatewayResponse | Outcome:
        """Post a body with a timestamp; if the gateway refuses that, post again with one by its clock."""
        offset = self.clock_offset
        response = await self._call(path, body(int(self._clock() + offset)))
        if not self._corrects_clock(response, offset):
            return response
        try:
            async with asyncio.timeout_at(deadline):
                return await self._call(path, body(int(self._clock() + self.clock_offset)))
        except TimeoutError:
            return Outcome.AMBIGUOUS

    async def _call(self, path: str, content: bytes) -> GatewayResponse | Outcome:
        url = self._config.base_url.rstrip("/") + path
        return await self._client.call("POST", url, headers={"Content-Type": wire.JSON}, content=content)

    def _status_url(self, path: str) -> str:
        return self._config.status_base_url.rstrip("/") + path

    def _corrects_clock(self, response: GatewayResponse | Outcome, offset: float) -> bool:
        """Set `clock_offset` from a response that refuses the timestamp of a request.

        Args:
            response: The response, or the outcome of a call without one.
            offset: The clock offset with which the request was made.

        Returns:
            Whether the offset has changed, so that the request is worth repeating.
        """
        if isinstance(response, Outcome) or not wire.rejects_timestamp(response):
            return False
        date = parse_date(response.headers.get("date", ""))
        new_offset = offset if date is None else date - self._clock()
        if abs(new_offset - offset) <= CLOCK_TOLERANCE_SECONDS:
            return False
        self.clock_offset = new_offset
        LOG.warning("gateway_clock_differs", provider=self.name, seconds=round(new_offset))
        return True
