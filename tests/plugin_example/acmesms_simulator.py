"""A simulator of the ACME SMS gateway, for tests only: it is not part of the package."""

from __future__ import annotations

from typing import Any

import msgspec

from otp_service.sandbox.simulators.http_server import Request, Respond, Simulator, SimulatorResponse

__all__ = ["AcmesmsSimulator", "refusal"]


def refusal(error: str, status: int = 400) -> Respond:
    """Return the behavior of a gateway that refuses a message with `error`."""
    return Respond(_json_response({"error": error}, status))


class AcmesmsSimulator(Simulator):
    """A gateway with one account. `messages` holds the accepted messages as they were sent, oldest first."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self._token = token

    def answer(self, request: Request) -> SimulatorResponse:
        """Accept a message, or refuse the request."""
        if (request.method, request.target) != ("POST", "/messages"):
            return _json_response({"error": "not_found"}, 404)
        if request.headers.get("x-acme-token") != self._token:
            return _json_response({"error": "bad_token"}, 401)
        self.messages.append(msgspec.json.decode(request.body, type=dict[str, Any]))
        return _json_response({"id": f"acme-{len(self.messages)}"}, 202)


def _json_response(members: dict[str, str], status: int) -> SimulatorResponse:
    return SimulatorResponse(msgspec.json.encode(members), status, {"Content-Type": "application/json"})
