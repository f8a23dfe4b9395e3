"""EIMS / Ejoin, the Indonesian gateway: plain HTTP on port 20003, an answer in HTTP 200 whatever happened.

This first form sends (`/sendsms`, variant V1) by GET, which the gateway's own document shows, or by POST with the
same names in JSON, which clients in the field use. A number that the gateway refuses is simply missing from `array`.
There is no idempotency key, and a lost answer loses the message's id for good: such an outcome is ambiguous.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from otp_service.domain.outcomes import Delivered, Outcome, Sending
from otp_service.domain.secret import Secret
from otp_service.providers.http import GatewayClient, Reply

__all__ = ["OUTCOMES", "Eims", "EimsAccount"]

OUTCOMES: Final[dict[int, Outcome]] = {
    # 0 to -13: three vendors' documents and three clients agree
    -1: Outcome.CONFIG_ERROR,  # authentication error
    -2: Outcome.CONFIG_ERROR,  # address not allowed
    -3: Outcome.CONTENT_REJECTED,  # sensitive words
    -4: Outcome.CONTENT_REJECTED,  # empty
    -5: Outcome.CONTENT_REJECTED,  # too long
    -6: Outcome.CONTENT_REJECTED,  # does not match the template
    -7: Outcome.CONTENT_REJECTED,  # too many numbers
    -8: Outcome.RECIPIENT_INVALID,  # number empty
    -9: Outcome.RECIPIENT_INVALID,  # abnormal number
    -10: Outcome.FUNDS,  # balance insufficient
    -11: Outcome.CONFIG_ERROR,  # time format wrong
    -12: Outcome.TRANSIENT,  # the platform failed to commit the batch: documented as not submitted
    -13: Outcome.CONFIG_ERROR,  # user locked
    # below -13 the variants disagree; these are of the signed family (documents of its resellers)
    -14: Outcome.CONFIG_ERROR,
    -15: Outcome.THROTTLED,  # too frequent
    -16: Outcome.CONFIG_ERROR,  # timestamp out of window
    -17: Outcome.CONTENT_REJECTED,  # template empty
    -18: Outcome.TRANSIENT,  # port or programme abnormal
    -19: Outcome.CONFIG_ERROR,  # pricing not agreed
    -20: Outcome.CONFIG_ERROR,
    -21: Outcome.CONFIG_ERROR,
    -22: Outcome.CONFIG_ERROR,
    -23: Outcome.CONFIG_ERROR,
    -24: Outcome.CONFIG_ERROR,
    -25: Outcome.CONFIG_ERROR,
    -26: Outcome.TRANSIENT,  # fee look-up failed
    -27: Outcome.THROTTLED,  # limit of the period
    -28: Outcome.RECIPIENT_BLOCKED,  # limit of this phone, against abuse: no other gateway is asked
    -29: Outcome.CONFIG_ERROR,
    -30: Outcome.CONFIG_ERROR,
    -31: Outcome.CONFIG_ERROR,
    -32: Outcome.CONFIG_ERROR,
}

JSON: Final = "application/json;charset=utf-8"
LONGEST_ID: Final = 64
"""Characters of a gateway's id that are kept; theirs are numbers of at most 20 digits."""


@dataclass(frozen=True, slots=True)
class EimsAccount:
    """How to reach the gateway and who we are there; `post`: send JSON by POST instead of a query by GET."""

    base_url: str
    account: str
    password: Secret
    post: bool = False


class Eims:
    """One account at one EIMS gateway."""

    def __init__(self, name: str, account: EimsAccount, client: GatewayClient) -> None:
        """Send through `client` as `account`."""
        self.name = name
        self.repeatable = False
        self.tells = False
        self.timeout_seconds = client.timeout_seconds
        self._account = account
        self._client = client

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, sending: Sending) -> Delivered:
        """Hand one message over; see the port."""
        to = sending.to.removeprefix("+")
        fields = {
            "account": self._account.account,
            "password": self._account.password.reveal(),
            "numbers": to,
            "content": sending.text,
        }
        url = self._account.base_url.rstrip("/") + "/sendsms"
        if self._account.post:
            reply = await self._client.call(
                "POST", url, headers={"Content-Type": JSON}, content=msgspec.json.encode(fields)
            )
        else:
            query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
            reply = await self._client.call("GET", f"{url}?{query}", headers={"Content-Type": JSON})
        return read_answer(reply, to)


def read_answer(reply: Reply | Outcome, to: str) -> Delivered:
    """Say what `reply` means for the number `to` (digits)."""
    if isinstance(reply, Outcome):
        return Delivered(reply)
    answer = _object(reply.body)
    status = _integer(answer.get("status"))
    if status is None or status > 0:  # the error page of a web framework has a positive `status`
        return Delivered(_by_http_status(reply))
    if status < 0:
        return Delivered(OUTCOMES.get(status, Outcome.CONFIG_ERROR))
    rows = answer.get("array")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, list) and len(row) >= 2 and str(row[0]).lstrip("+") == to:
            return Delivered(Outcome.ACCEPTED, str(row[1])[:LONGEST_ID])
    refused = bool(_integer(answer.get("fail"))) and not _integer(answer.get("success"))
    return Delivered(Outcome.TRANSIENT if refused else Outcome.AMBIGUOUS)


def _by_http_status(reply: Reply) -> Outcome:
    """Judge an answer that is not the gateway's own: a proxy's, a login page, a crash."""
    if reply.status in (401, 403, 404):
        return Outcome.CONFIG_ERROR
    if reply.status == 429:
        return Outcome.THROTTLED
    if reply.status == 503 and "retry-after" in reply.headers:  # who says this did not pass the request on
        return Outcome.TRANSIENT
    return Outcome.AMBIGUOUS


def _object(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _integer(value: object) -> int | None:
    """Read a number that comes as a number or as a string."""
    try:
        return int(value) if isinstance(value, int | str) else None
    except ValueError:
        return None
