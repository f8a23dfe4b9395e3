"""What the tests of the hub share: a provider against a simulator, and what was asked of it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.smshub.adapter import Smshub, SmshubAccount
from otp_service.sandbox.simulators.smshub import SmshubSimulator

SID, KEY = "hub-sid", "hub-key"
SENDING = OutboundMessage("m-1", "+19706904544", "US", "9706904544", "Acme: code 739251 \u2713", "739251", 300)
ACCEPTED = SendResult(Outcome.ACCEPTED)
NOW = 1_800_000_000


class Clock:
    """A clock that stands until it is moved."""

    now: float = NOW

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@asynccontextmanager
async def hub(
    simulator: SmshubSimulator,
    *,
    seconds: float = 5.0,
    program: str | None = None,
    key: str = KEY,
    ours: Clock | None = None,
) -> AsyncIterator[Smshub]:
    """Run a provider against a simulator."""
    async with simulator:
        account = SmshubAccount(simulator.url + "/", Secret(SID), Secret(key), program)
        provider = Smshub("hub", account, GatewayClient(seconds), clock=ours or time.time)
        yield provider
        await provider.close()


def paths(simulator: SmshubSimulator) -> list[str]:
    """Name what was asked, in order: L for a login, T for a text."""
    return [request.path[1] for request in simulator.requests]


def count(simulator: SmshubSimulator) -> tuple[int, int, int]:
    """Count logins that were asked for, texts that were asked for, and texts that were taken."""
    asked = paths(simulator)
    return asked.count("L"), asked.count("T"), len(simulator.messages)


def jwt_of(claims: dict[str, Any]) -> str:
    """Make a token that somebody else signed."""
    return jwt.encode(claims, "a key of somebody else, long enough", algorithm="HS256")
