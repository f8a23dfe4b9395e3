"""Helpers for tests of the SMS Hub adapter: the provider, and the requests that a simulator received."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.smshub.adapter import Smshub
from otp_service.providers.smshub.config import SmshubConfig
from otp_service.sandbox.simulators.smshub import SmshubSimulator

SID, KEY = "hub-sid", "hub-key"
MESSAGE = OutboundMessage("m-1", "+19706904544", "US", "9706904544", "Acme: code 739251 \u2713", "739251", 300)
ACCEPTED = SendResult(Outcome.ACCEPTED)
NOW = 1_800_000_000


class Clock:
    """A clock that shows a fixed time until a test changes it."""

    now: float = NOW

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.now


def new_config(base_url: str, key: str = KEY, program_id: str | None = None) -> SmshubConfig:
    """Return the table of a provider."""
    return SmshubConfig(base_url=base_url, program_sid=Secret(SID), program_key=Secret(key), program_id=program_id)


@asynccontextmanager
async def hub(
    simulator: SmshubSimulator,
    *,
    seconds: float = 5.0,
    program_id: str | None = None,
    key: str = KEY,
    clock: Clock | None = None,
) -> AsyncIterator[Smshub]:
    """Run a provider that sends to a simulator."""
    async with simulator:
        config = new_config(simulator.url + "/", key, program_id)
        provider = Smshub("hub", config, GatewayClient(seconds), clock=clock or time.time)
        yield provider
        await provider.close()


def request_kinds(simulator: SmshubSimulator) -> list[str]:
    """Return the kind of each request in order: L for a login, T for a text message."""
    return [request.path[1] for request in simulator.requests]


def request_counts(simulator: SmshubSimulator) -> tuple[int, int, int]:
    """Return the numbers of login requests, of message requests and of accepted messages."""
    kinds = request_kinds(simulator)
    return kinds.count("L"), kinds.count("T"), len(simulator.messages)


def jwt_of(claims: dict[str, Any]) -> str:
    """Return a token that is signed with a key other than the simulator's."""
    return jwt.encode(claims, "another key, of at least 32 bytes", algorithm="HS256")
