"""The load generator for the peer of figure (i), otpgateway: `python -m tests.bench.peer_load`, with the same `Job`.

A cycle creates a code (`PUT /api/otp/ID`), reads it from the text that the peer posts to its webhook, and verifies it
(`POST /api/otp/ID`). It counts only if the peer says that the code was right; any other answer ends the load.
"""

from __future__ import annotations

import base64
import json
import time
from typing import ClassVar, Final

import uvloop

from tests.bench.load_connections import Gateway, WebhookGateway
from tests.bench.load_generator import Generator, main, message_of

__all__ = ["PROVIDER", "PeerGenerator", "is_verified"]

PROVIDER: Final = "bench"
"""The peer's name of its webhook."""


class PeerGenerator(Generator):
    """Runs one job of kind `cycle`; the key of the job is `NAMESPACE:SECRET`."""

    gateway: ClassVar[type[Gateway]] = WebhookGateway

    def headers(self, key: str) -> str:
        """Return the header lines of each request."""
        credential = base64.b64encode(key.encode()).decode()
        return f"Authorization: Basic {credential}\r\nContent-Type: application/x-www-form-urlencoded\r\n"

    async def cycle(self, due: float) -> None:
        """Create a code, wait for its message, and verify it. The number is the id, too."""
        number = self.next_number()
        arrived, path = Gateway.expect_message(number), f"/api/otp/{number}"
        status, answer = await self.timed("request", due, f"PUT {path}", f"provider={PROVIDER}&to=%2B{number}".encode())
        if status != 200:
            raise SystemExit(f"the peer created no code: {status} {answer.decode()}")
        code, _ = await message_of(arrived)
        status, answer = await self.timed("verify", time.monotonic(), f"POST {path}", f"otp={code}".encode())
        if not is_verified(status, answer):
            raise SystemExit(f"the peer did not say that the code of its message is right: {status} {answer.decode()}")


def is_verified(status: int, answer: bytes) -> bool:
    """Return whether an answer of the peer says that the code was right."""
    if status != 200:
        return False
    said = json.loads(answer)
    return said["status"] == "success" and said["data"]["closed"] is True


if __name__ == "__main__":
    uvloop.run(main(PeerGenerator))
