"""An account at Twilio: what the simulators of its APIs share, which are authentication, errors and the balance.

The simulators are stricter than the gateway: an unknown or repeated parameter, or a wrongly encoded form, gets HTTP 400
and the reason as text. What Twilio itself refuses gets its error resource: `code`, `message`, `more_info`, `status`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender
from otp_service.sandbox.simulators.twilio_requests import InvalidRequest, TwilioRefused

__all__ = ["ACCOUNT_SID", "API_VERSION", "TwilioAccountSimulator", "refusal", "sign"]

ACCOUNT_SID: Final = "AC" + "0123456789abcdef" * 2
API_VERSION: Final = "2010-04-01"
READ_TIMEOUT_SECONDS: Final = 15.0
"""Twilio's limit for the answer to a webhook."""

HTTP_STATUSES: Final[Mapping[int, int]] = {20003: 401, 20005: 403, 20403: 403, 20404: 404, 20429: 429, 63038: 429,
                                           70051: 401}  # fmt: skip
"""The HTTP status of an error code; it is 400 for all others."""

_Message = TypeVar("_Message")


def refusal(code: int, status: int | None = None, headers: Mapping[str, str] | None = None) -> Respond:
    """Return the behavior that refuses a request with an error code, and the HTTP status that belongs to it."""
    return Respond(_error(code, status, headers))


def sign(auth_token: str, url: str, parameters: Mapping[str, str]) -> str:
    """Return the signature of a webhook: over the URL, followed by the parameters sorted by name."""
    text = url + "".join(name + parameters[name] for name in sorted(parameters))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class TwilioAccountSimulator(ReceiptSender[_Message]):
    """One account; a subclass serves one of its resources.

    Attributes:
        funds: The balance in USD; None is unlimited, and is shown as 100.
    """

    answer_seconds = READ_TIMEOUT_SECONDS
    price: float
    """What one message or call costs, in USD."""

    def __init__(
        self,
        account_sid: str = ACCOUNT_SID,
        auth_token: str = "twilio-auth-token",  # noqa: S107 - only the simulator accepts it
        *,
        api_key: tuple[str, str] | None = None,
        refused: Mapping[str, int] | None = None,
        funds: float | None = None,
        is_subaccount: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create an account.

        Args:
            account_sid: The account's SID.
            auth_token: Its auth token, which is also the key of the signatures.
            api_key: SID and secret of an API key.
            refused: The error code for numbers (E.164) that are refused.
            funds: The balance in USD; None is unlimited.
            is_subaccount: The account has no balance of its own.
            clock: The gateway's Unix time in seconds.
        """
        super().__init__()
        self.funds = funds
        self.clock = clock
        self.account_sid, self.auth_token = account_sid, auth_token
        self._credentials = [(account_sid, auth_token), *([api_key] if api_key else [])]
        self._refused = refused or {}
        self._is_subaccount = is_subaccount

    @abstractmethod
    def serve(self, request: Request, resource: Sequence[str]) -> tuple[int, Mapping[str, Any]]:
        """Return the status and the JSON for a resource of the account, which is given by the parts of its path.

        Raises:
            TwilioRefused, InvalidRequest: The request is refused.
        """

    def answer(self, request: Request) -> SimulatorResponse:
        """Authenticate the request, and serve the resource or the balance."""
        prefix = f"/{API_VERSION}/Accounts/{self.account_sid}/"
        try:
            self._authenticate(request.headers.get("authorization", ""))
            path = request.path.removeprefix(prefix)
            if (request.method, path) == ("GET", "Balance.json"):
                return _json(200, self._balance())
            status, body = self.serve(request, path.removesuffix(".json").split("/"))
            return _json(status, body)
        except InvalidRequest as problem:
            return SimulatorResponse(str(problem).encode(), 400, {"Content-Type": "text/plain;charset=utf-8"})
        except TwilioRefused as refused:
            return _error(refused.code)

    def charge(self, to: str) -> None:
        """Take the price of a message or call to a number; raises `TwilioRefused`."""
        if code := self._refused.get(to):
            raise TwilioRefused(code)
        if self.funds is not None:
            if self.funds <= 0:
                raise TwilioRefused(20005)
            self.funds = round(self.funds - self.price, 5)

    def _authenticate(self, authorization: str) -> None:
        allowed = [
            "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in self._credentials
        ]
        if authorization not in allowed:
            raise TwilioRefused(20003)

    def _balance(self) -> dict[str, Any]:
        balance = None if self._is_subaccount else str(100.0 if self.funds is None else self.funds)
        return {"account_sid": self.account_sid, "balance": balance, "currency": "USD"}


def _error(code: int, status: int | None = None, headers: Mapping[str, str] | None = None) -> SimulatorResponse:
    status = HTTP_STATUSES.get(code, 400) if status is None else status
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return _json(status, {"code": code, "message": "Refused", "more_info": more_info, "status": status}, headers)


def _json(status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> SimulatorResponse:
    content_type = {"Content-Type": "application/json;charset=utf-8"}
    return SimulatorResponse(json.dumps(value).encode(), status, content_type | dict(headers or {}))
