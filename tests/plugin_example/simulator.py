"""ACME SMS as its adapter sees it; not part of the package, and never installed with it."""

from __future__ import annotations

from typing import Any

import msgspec

from otp_service.sandbox.simulators.http_server import Request, Say, Simulator, SimulatorResponse

__all__ = ["AcmesmsSimulator", "refusing"]


def refusing(error: str, status: int = 400) -> Say:
    """Make the behaviour of a gateway that refuses, and sends nothing."""
    return Say(_reply({"error": error}, status))


class AcmesmsSimulator(Simulator):
    """One account; `messages` is what was taken, oldest first, as it was written."""

    def __init__(self, token: str) -> None:
        """Answer to `token`."""
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self._token = token

    def answer(self, request: Request) -> SimulatorResponse:
        """Take a message, or say why not."""
        if (request.method, request.target) != ("POST", "/messages"):
            return _reply({"error": "nothing is here"}, 404)
        if request.headers.get("x-acme-token") != self._token:
            return _reply({"error": "bad_token"}, 401)
        self.messages.append(msgspec.json.decode(request.body, type=dict[str, Any]))
        return _reply({"id": f"acme-{len(self.messages)}"}, 202)


def _reply(members: dict[str, str], status: int) -> SimulatorResponse:
    return SimulatorResponse(msgspec.json.encode(members), status, {"Content-Type": "application/json"})
