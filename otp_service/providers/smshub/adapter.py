"""CSU SMS Hub: a login for a token that is valid for half a year, then messages as JSON; it sends via Nexmo or Twilio.

The hub queues messages and sends one a second, so a call may take long: after a timeout the hub has probably accepted
the message, and the outcome is ambiguous. There is no message id, receipt, balance or idempotency key.

A 401 is the only refusal after which the adapter repeats a message, because nothing was sent:

- With a stored token, it logs in again, once, and all messages that wait share that login.
- With a new token, it sends again with the other form of the `Authorization` header. The hub's samples write
  `Bearer <token>` in one place and the bare token in another.

The form that worked is kept, and so is that of the login (a form or JSON).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.smshub import wire
from otp_service.providers.smshub.config import SmshubConfig
from otp_service.providers.smshub.wire import Token, parse_send_response

__all__ = ["Smshub"]


class Smshub:
    """One program at one hub."""

    def __init__(
        self, name: str, config: SmshubConfig, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client`; `clock` returns Unix seconds, for the expiry of a token."""
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = config.reports_delivery
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client
        self._clock = clock
        self._token: Token | None = None
        self._login: asyncio.Task[Token | SendResult] | None = None
        self._login_as_form = False
        self._bearer_prefix = True

    async def close(self) -> None:
        """Cancel a login in progress, and close the client."""
        if self._login is not None:
            self._login.cancel()
            await asyncio.wait({self._login})
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`. Logins and repetitions count towards `timeout_seconds`."""
        response = await self._post("/TextMessages", wire.message_body(self._config, outbound))
        return response if isinstance(response, SendResult) else parse_send_response(response, outbound.text)

    async def resubscribe(self, to: str) -> Outcome:
        """End the opt-out of a number at the hub; see `SubscriptionProvider.resubscribe`.

        The hub keeps the numbers that answered STOP, and its document does not say how to read them or end that. A
        public client posts to `/Subscribers`.
        """
        response = await self._post("/Subscribers", wire.subscriber_body(to))
        return response.outcome if isinstance(response, SendResult) else parse_send_response(response).outcome

    async def _post(self, path: str, content: bytes) -> GatewayResponse | Outcome | SendResult:
        """Post with a token; return the result instead of a response if there is no token, or no time left."""
        deadline = asyncio.get_running_loop().time() + self.timeout_seconds
        token = self._usable_token(None)
        if token is not None:
            response = await self._post_with(token, path, content, bearer_prefix=self._bearer_prefix)
            if not _is_unauthorized(response):
                return response
        new_token = await self._new_token(token, deadline)
        if isinstance(new_token, SendResult):
            return new_token
        try:
            async with asyncio.timeout_at(deadline):
                return await self._post_with_new_token(path, content, new_token)
        except TimeoutError:
            return Outcome.AMBIGUOUS

    async def _post_with_new_token(self, path: str, content: bytes, token: Token) -> GatewayResponse | Outcome:
        """Post with a token that cannot have expired; after a 401, post again with the other header form."""
        bearer_prefix = self._bearer_prefix
        response = await self._post_with(token, path, content, bearer_prefix=bearer_prefix)
        if not _is_unauthorized(response):
            return response
        response = await self._post_with(token, path, content, bearer_prefix=not bearer_prefix)
        if _is_unauthorized(response):
            self._token = None if self._token is token else self._token
        elif isinstance(response, GatewayResponse) and response.status < 500:
            self._bearer_prefix = not bearer_prefix
        return response

    async def _post_with(
        self, token: Token, path: str, content: bytes, *, bearer_prefix: bool
    ) -> GatewayResponse | Outcome:
        jwt = token.jwt.reveal()
        return await self._client.call(
            "POST",
            self._config.base_url.rstrip("/") + path,
            headers={"Content-Type": wire.JSON, "Authorization": f"Bearer {jwt}" if bearer_prefix else jwt},
            content=content,
        )

    def _usable_token(self, refused: Token | None) -> Token | None:
        """Return the stored token, unless it has expired or is the one that was refused."""
        token = self._token
        return token if token is not None and token is not refused and self._clock() < token.usable_until else None

    async def _new_token(self, refused: Token | None, deadline: float) -> Token | SendResult:
        """Return a token newer than `refused`: a stored one, or that of a single login for all who wait.

        The login is a task of its own, so that a caller that stops waiting does not cancel it for the others.
        """
        token = self._usable_token(refused)
        if token is not None:
            return token
        if self._login is None or self._login.done():
            self._login = asyncio.create_task(self._log_in())
        login = self._login
        await asyncio.wait({login}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        return login.result() if login.done() and not login.cancelled() else SendResult(Outcome.TRANSIENT)

    async def _log_in(self) -> Token | SendResult:
        """Log in and store the token; after a 400 or 415, try again with the other body format."""
        as_form = self._login_as_form
        response = await self._post_login(as_form=as_form)
        if isinstance(response, GatewayResponse) and response.status in (400, 415):
            as_form = not as_form
            response = await self._post_login(as_form=as_form)
        token = wire.parse_login_response(response)
        if isinstance(token, Token):
            self._token, self._login_as_form = token, as_form
        return token

    async def _post_login(self, *, as_form: bool) -> GatewayResponse | Outcome:
        return await self._client.call(
            "POST",
            self._config.base_url.rstrip("/") + "/Login",
            headers={"Content-Type": wire.FORM if as_form else wire.JSON},
            content=wire.login_body(self._config, as_form=as_form),
        )


def _is_unauthorized(response: GatewayResponse | Outcome) -> bool:
    return isinstance(response, GatewayResponse) and response.status == 401
