"""EIMS / Ejoin, the Indonesian gateway: plain HTTP on port 20003, an answer in HTTP 200 whatever happened.

Variant V1 says account and password in every call, as the gateway's own document shows; V2 signs account, password
and a time in GMT+8 instead, under paths that end with `V2`. A send is a GET, which the document shows, or a POST with
the same names in JSON, which clients in the field use (in V2 who we are stays in the query then). Reports and the
balance are GETs, the only way that is documented. A number that the gateway refuses is simply missing from `array`.
There is no idempotency key, and a lost answer loses the message's id for good: such an outcome is ambiguous.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from otp_service.domain.message import Balance, DeliveryReport, OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.eims.reports import read_report
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.lenient_json import LONGEST_ID, foreign_answer, integer, json_object, number_of

__all__ = ["OUTCOMES", "SURE", "SURE_SIGNED", "Eims", "EimsAccount", "read_answer", "sign"]

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
    -19: Outcome.DESTINATION_UNSUPPORTED,  # pricing not agreed: for this country or network
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

SURE: Final = frozenset({-1, -2, -13})
"""The statuses of `config_error` that surely concern the account. The others are about one request, or disputed."""

SURE_SIGNED: Final = SURE | {-29, -30, -31, -32}
"""Of the signed interface, which alone documents them: workspace or key disabled, address not allowed, no right."""

_MOST_ROWS: Final = 16
"""One number was asked for: more rows than this are not looked through."""

JSON: Final = "application/json;charset=utf-8"
GMT_PLUS_8: Final = timezone(timedelta(hours=8))
"""The platform's own time, wherever a gateway stands (signed interface; it takes 30 minutes of difference)."""


@dataclass(frozen=True, slots=True)
class EimsAccount:
    """How to reach the gateway and who we are there.

    `post`: send JSON by POST instead of a query by GET. `first_report_seconds`: when the gateway is first asked what
    became of a message, 0: never. `zero_is_delivered`: it has no delivery status of its own, and "sent" is the best
    that it ever says.
    """

    base_url: str
    account: str
    password: Secret
    post: bool = False
    variant: Literal["v1", "v2"] = "v1"
    sender_id: str | None = None
    first_report_seconds: float = 0.0
    zero_is_delivered: bool = False


class Eims:
    """One account at one EIMS gateway."""

    def __init__(
        self, name: str, account: EimsAccount, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client` as `account`; `clock` gives Unix seconds, for signed calls."""
        self.name = name
        self.idempotent_send = False
        self.first_report_seconds = account.first_report_seconds
        self.reports_delivery = account.first_report_seconds > 0
        self.timeout_seconds = client.timeout_seconds
        self._account = account
        self._sure = SURE if account.variant == "v1" else SURE_SIGNED
        self._client = client
        self._clock = clock

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Hand one message over; see the port."""
        to = outbound.to.removeprefix("+")
        message = {"numbers": to, "content": outbound.text}
        if self._account.sender_id:
            message = {"sender" if self._account.variant == "v1" else "senderid": self._account.sender_id} | message
        if not self._account.post:
            return read_answer(await self._get("sendsms", message), to, outbound.country, self._sure)
        query, body = ({}, self._who() | message) if self._account.variant == "v1" else (self._who(), message)
        reply = await self._client.call(
            "POST", self._url("sendsms", query), headers={"Content-Type": JSON}, content=msgspec.json.encode(body)
        )
        return read_answer(reply, to, outbound.country, self._sure)

    async def fetch_report(self, message_id: str) -> DeliveryReport:
        """Ask what became of a message; see the port."""
        reply = await self._get("getreport", {"ids": message_id})
        answer = _answer(reply)
        if not isinstance(answer, dict):
            return DeliveryReport(None)
        return read_report(answer, message_id, zero_is_delivered=self._account.zero_is_delivered)

    async def fetch_balance(self) -> Balance | Outcome:
        """Ask what is left: real money and the bonus, which is spent as well. The gateway names no currency."""
        answer = _answer(await self._get("getbalance", {}))
        if not isinstance(answer, dict):
            return answer.outcome
        amounts = [_decimal(answer.get(name, "0")) for name in ("balance", "gift")]
        if "balance" not in answer or None in amounts:
            return Outcome.AMBIGUOUS
        return Balance(sum((amount for amount in amounts if amount is not None), Decimal(0)))

    async def _get(self, verb: str, fields: dict[str, str]) -> GatewayResponse | Outcome:
        return await self._client.call("GET", self._url(verb, self._who() | fields), headers={"Content-Type": JSON})

    def _who(self) -> dict[str, str]:
        """Say who calls: with the password itself, or with a signature and its time."""
        account, password = self._account.account, self._account.password
        if self._account.variant == "v1":
            return {"account": account, "password": password.reveal()}
        now = datetime.fromtimestamp(self._clock(), GMT_PLUS_8).strftime("%Y%m%d%H%M%S")
        return {"account": account, "sign": sign(account, password, now), "datetime": now}

    def _url(self, verb: str, query: dict[str, str]) -> str:
        """Write an address; every byte of a value that is not unreserved is %XX, a space too."""
        path = verb if self._account.variant == "v1" else verb + "V2"
        pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return f"{self._account.base_url.rstrip('/')}/{path}" + (f"?{pairs}" if pairs else "")


def sign(account: str, password: Secret, at: str) -> str:
    """Sign a call of the signed interface: MD5, in lower-case hex, of account, password and time."""
    return hashlib.md5(f"{account}{password.reveal()}{at}".encode(), usedforsecurity=False).hexdigest()


def read_answer(
    reply: GatewayResponse | Outcome, to: str, country: str = "", sure: Collection[int] = SURE
) -> SendResult:
    """Say what `reply` means for the number `to` (digits) of `country`; `sure`: the statuses that concern the account.

    One number was asked for: a single row that is counted as a success is ours, unless it names another number.
    """
    answer = _answer(reply, sure)
    if not isinstance(answer, dict):
        return answer
    found = answer.get("array")
    rows = [row for row in found if isinstance(row, list) and len(row) >= 2] if isinstance(found, list) else []
    taken, failed = integer(answer.get("success")), integer(answer.get("fail"))
    is_only_one = len(rows) == 1 and taken == 1 and not failed
    for row in rows[:_MOST_ROWS]:
        named = number_of(row[0], f"+{to}", country)
        if named == f"+{to}" or (named is None and is_only_one):
            return SendResult(Outcome.ACCEPTED, str(row[1])[:LONGEST_ID])
    return SendResult(Outcome.TRANSIENT if failed and not taken else Outcome.AMBIGUOUS)


def _answer(reply: GatewayResponse | Outcome, sure: Collection[int] = SURE) -> dict[str, Any] | SendResult:
    """Read an answer with status 0, or what another one, or none, means."""
    if isinstance(reply, Outcome):
        return SendResult(reply)
    answer = json_object(reply.body)
    status = integer(answer.get("status"))
    if status is None or status > 0:  # the error page of a web framework has a positive `status`
        return foreign_answer(reply)
    if status == 0:
        return answer
    outcome = OUTCOMES.get(status, Outcome.CONFIG_ERROR)
    return SendResult.undocumented() if outcome is Outcome.CONFIG_ERROR and status not in sure else SendResult(outcome)


def _decimal(value: object) -> Decimal | None:
    """Read an amount of money, which comes as text or as a number."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
