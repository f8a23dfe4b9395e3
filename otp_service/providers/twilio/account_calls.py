"""Requests to the resources of one account: the URL, and Basic auth."""

from __future__ import annotations

from otp_service.domain.outcomes import Outcome
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.twilio import wire
from otp_service.providers.twilio.account import TwilioAccount

__all__ = ["AccountCalls"]


class AccountCalls:
    """Calls the API on behalf of one account."""

    def __init__(self, account: TwilioAccount, client: GatewayClient) -> None:
        """Call through `client`, which its owner closes."""
        self._account = account
        self._client = client

    async def post(self, resource: str, form: bytes) -> GatewayResponse | Outcome:
        """Post a form to a resource, such as `Messages`."""
        headers = {"Authorization": wire.authorization(self._account), "Content-Type": wire.FORM}
        url = wire.account_url(self._account, resource)
        return await self._client.call("POST", url, headers=headers, content=form)

    async def get(self, resource: str) -> GatewayResponse | Outcome:
        """Fetch a resource, such as `Balance`."""
        headers = {"Authorization": wire.authorization(self._account)}
        return await self._client.call("GET", wire.account_url(self._account, resource), headers=headers)
