"""CSU SMS Hub: a login for a token that lives half a year, then texts by JSON, in front of Nexmo or Twilio.

The hub holds texts back to one a second, so a call may take long: a timeout has probably been taken, and is ambiguous.
There is no id, no receipt, no balance and no idempotency key. The answer to a text is an opaque string: the hub's own
samples look at the HTTP status alone, so a 2xx is acceptance here, for want of any other sign; but not an HTML page,
which the hub never writes: something before it does, and may have passed the text on.

A 401 is the one refusal that is asked again: nothing was taken. With a token from before, after one new login, which is
shared by all who wait for it; with a fresh one, once in the other form of the header, because the hub's samples write
`Bearer <token>` in one place and the bare token in another. The form that worked is kept; so is that of the login.
"""

from __future__ import annotations

import asyncio
import base64
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.lenient_json import (
    is_page,
    json_object,
    json_value,
    names_destination,
    seconds_to_wait,
    text_of_body,
    without_echo,
)

__all__ = ["OUTCOMES", "REASONS", "Smshub", "SmshubAccount", "Token", "read_answer", "read_token"]

OUTCOMES: Final[dict[int, Outcome]] = {
    # what HTTP itself says; the hub's documents name no error. Any other 4xx is a refusal of unknown meaning
    401: Outcome.CONFIG_ERROR,  # after a fresh login
    408: Outcome.AMBIGUOUS,  # a proxy may say so about the hub
    429: Outcome.THROTTLED,
}

REASONS: Final[tuple[tuple[str, Outcome], ...]] = (
    # words of a refusal in this order (assumed: ASP.NET names the member that it does not like)
    (r"program|permission|authori[sz]", Outcome.CONFIG_ERROR),
    (r"insufficient|credit|balance|funds", Outcome.FUNDS),
    (r"phone|number|recipient", Outcome.RECIPIENT_INVALID),
    (r"textmessage\.message|message field|message is|too long|length|content|empty", Outcome.CONTENT_REJECTED),
)
_BLOCKED: Final = re.compile(r"unsubscri|opted out|opt-out|blacklist|donottext|do not text", re.IGNORECASE)
"""Looked for first: a recipient who wants no text gets none, whatever else is said."""

_REASONS: Final = tuple((re.compile(words, re.IGNORECASE), outcome) for words, outcome in REASONS)

JSON: Final = "application/json; charset=utf-8"
FORM: Final = "application/x-www-form-urlencoded"
_AROUND: Final = " \t\r\n\0\ufeff"
RENEW_SECONDS: Final = 300
"""A token is not used in its last minutes."""

_JWT: Final = re.compile(r"[A-Za-z0-9_=-]+\.([A-Za-z0-9_=-]+)\.[A-Za-z0-9_=-]+")


@dataclass(frozen=True, slots=True)
class SmshubAccount:
    """How to reach the hub (`base_url` ends before `/Login`) and which program we are there."""

    base_url: str
    program_sid: Secret
    program_key: Secret
    program_id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A token, and until when (Unix seconds) it is used. Two logins may give the same text: it is told by identity."""

    text: Secret
    until: float


class Smshub:
    """One program at one hub."""

    def __init__(
        self, name: str, account: SmshubAccount, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client` as `account`; `clock` gives Unix seconds, for the end of a token."""
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = False
        self.timeout_seconds = client.timeout_seconds
        self._account = account
        self._client = client
        self._clock = clock
        self._token: Token | None = None
        self._login: asyncio.Task[Token | SendResult] | None = None
        self._login_by_form = False
        self._bearer = True

    async def close(self) -> None:
        """Break a login off, and close the client."""
        if self._login is not None:
            self._login.cancel()
            await asyncio.wait({self._login})
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Hand one message over; see the port. Logins and repetitions stay within the one `timeout_seconds`."""
        deadline = asyncio.get_running_loop().time() + self.timeout_seconds
        token = self._usable(None)
        if token is not None:
            bearer = self._bearer
            reply = await self._text(outbound, token, bearer=bearer)
            if not _unauthorized(reply):
                return read_answer(reply, outbound.text)
        fresh = await self._fresh(token, deadline)
        if isinstance(fresh, SendResult):
            return fresh
        try:
            async with asyncio.timeout_at(deadline):
                return read_answer(await self._text_with_fresh(outbound, fresh), outbound.text)
        except TimeoutError:
            return SendResult(Outcome.AMBIGUOUS)

    async def _text_with_fresh(self, outbound: OutboundMessage, token: Token) -> GatewayResponse | Outcome:
        """Send with a token that cannot be old: when it is not believed, it is written in the other form."""
        bearer = self._bearer
        reply = await self._text(outbound, token, bearer=bearer)
        if not _unauthorized(reply):
            return reply
        reply = await self._text(outbound, token, bearer=not bearer)
        if _unauthorized(reply):
            self._token = None if self._token is token else self._token
        elif isinstance(reply, GatewayResponse) and reply.status < 500:
            self._bearer = not bearer
        return reply

    async def _text(self, outbound: OutboundMessage, token: Token, *, bearer: bool) -> GatewayResponse | Outcome:
        message = {"Message": outbound.text, "PhoneNumber": outbound.to.removeprefix("+")}
        if self._account.program_id:
            message["ProgramId"] = self._account.program_id
        authorization = f"Bearer {token.text.reveal()}" if bearer else token.text.reveal()
        return await self._client.call(
            "POST",
            self._account.base_url.rstrip("/") + "/TextMessages",
            headers={"Content-Type": JSON, "Authorization": authorization},
            content=msgspec.json.encode(message),
        )

    def _usable(self, refused: Token | None) -> Token | None:
        """Give the token that there is, unless it is the one that was refused, or ends."""
        token = self._token
        return token if token is not None and token is not refused and self._clock() < token.until else None

    async def _fresh(self, refused: Token | None, deadline: float) -> Token | SendResult:
        """Give a token newer than `refused`: the one that somebody else has got, or that of one login for all.

        The login is nobody's own: who gives up waiting does not break it off for the others.
        """
        token = self._usable(refused)
        if token is not None:
            return token
        if self._login is None or self._login.done():
            self._login = asyncio.create_task(self._log_in())
        login = self._login
        await asyncio.wait({login}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        return login.result() if login.done() and not login.cancelled() else SendResult(Outcome.TRANSIENT)

    async def _log_in(self) -> Token | SendResult:
        """Get a token; what fails here has sent nothing."""
        by_form = self._login_by_form
        reply = await self._ask_for_token(by_form=by_form)
        if isinstance(reply, GatewayResponse) and reply.status in (400, 415):
            by_form = not by_form
            reply = await self._ask_for_token(by_form=by_form)
        token = read_token(reply)
        if isinstance(token, Token):
            self._token, self._login_by_form = token, by_form
        return token

    async def _ask_for_token(self, *, by_form: bool) -> GatewayResponse | Outcome:
        account = self._account
        fields = {"ProgramSID": account.program_sid.reveal(), "ProgramKey": account.program_key.reveal()}
        return await self._client.call(
            "POST",
            account.base_url.rstrip("/") + "/Login",
            headers={"Content-Type": FORM if by_form else JSON},
            content=urlencode(fields).encode() if by_form else msgspec.json.encode(fields),
        )


def read_answer(reply: GatewayResponse | Outcome, text: str = "") -> SendResult:
    """Say what the answer to `text` means; a 2xx is acceptance, whatever it holds but a page."""
    if isinstance(reply, Outcome):
        return SendResult(reply)
    if 200 <= reply.status < 300:
        return SendResult(Outcome.AMBIGUOUS if is_page(text_of_body(reply.body)) else Outcome.ACCEPTED)
    if reply.status in (400, 403):
        return _refusal(reply, text)
    if 400 <= reply.status < 500 and reply.status not in OUTCOMES:
        return SendResult.undocumented()
    outcome = OUTCOMES.get(reply.status, Outcome.AMBIGUOUS)
    if reply.status == 503 and "retry-after" in reply.headers:  # who says this did not pass the request on
        outcome = Outcome.TRANSIENT
    return SendResult(outcome, retry_after=seconds_to_wait(reply.headers) if outcome.retryable else None)


def read_token(reply: GatewayResponse | Outcome) -> Token | SendResult:
    """Read the answer to a login: a JSON string with a token of three parts, and when it ends.

    The end (`exp`) is read without checking who signed it: it only tells when to ask again. Without one the token is
    used until it is refused. A 2xx without a token is how the samples know that the program is not known.
    """
    if isinstance(reply, Outcome):
        return SendResult(Outcome.TRANSIENT)
    if 200 <= reply.status < 300:
        found = _JWT.fullmatch(_unquoted(reply.body))
        if found:
            return Token(Secret(found[0]), _end(found[1]) - RENEW_SECONDS)
        return SendResult.undocumented() if is_page(text_of_body(reply.body)) else SendResult(Outcome.CONFIG_ERROR)
    if reply.status == 429:
        return SendResult(Outcome.THROTTLED, retry_after=seconds_to_wait(reply.headers))
    if reply.status == 408 or reply.status >= 500:
        return SendResult(Outcome.TRANSIENT, retry_after=seconds_to_wait(reply.headers))
    return SendResult(Outcome.CONFIG_ERROR) if reply.status == 401 else SendResult.undocumented()


def _refusal(reply: GatewayResponse, text: str) -> SendResult:
    """Judge a 400 or a 403 by its words; those about our program are assumed, so they count and trip nothing.

    A page is a web server's, which has not judged the number. A 400 without known words is about the number.
    """
    words = without_echo(text_of_body(reply.body), text)
    outcome = _reason(words, reply.status)
    if words.startswith("<") or outcome is Outcome.CONFIG_ERROR:
        return SendResult.undocumented()
    return SendResult(outcome)


def _reason(words: str, status: int) -> Outcome:
    if _BLOCKED.search(words):
        return Outcome.RECIPIENT_BLOCKED
    if names_destination(words):
        return Outcome.DESTINATION_UNSUPPORTED
    unknown = Outcome.RECIPIENT_INVALID if status == 400 else Outcome.CONFIG_ERROR
    outcome = next((found for pattern, found in _REASONS if pattern.search(words)), unknown)
    if outcome is Outcome.RECIPIENT_INVALID and status == 403:  # forbidden, not malformed: another gateway may send it
        return Outcome.DESTINATION_UNSUPPORTED
    return outcome


def _unquoted(body: bytes) -> str:
    """Read a JSON string, and be content with quotes and backslashes that are left, as the hub's C# sample is."""
    text = json_value(body)
    if not isinstance(text, str):
        text = text_of_body(body)
    return text.replace("\\", "").replace('"', "").strip(_AROUND)


def _end(payload: str) -> float:
    """Read `exp` out of a token's middle part, in Unix seconds."""
    try:
        claims = json_object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return math.inf


def _unauthorized(reply: GatewayResponse | Outcome) -> bool:
    return isinstance(reply, GatewayResponse) and reply.status == 401
