"""Every way that a verification can end, for tests that run over each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from otp_service.domain.results import AttemptReserved
from tests.store.replica_store import POLICY, TENANT, Store

Ending = Callable[[Store, str], Awaitable[None]]


async def verified(store: Store, verification_id: str) -> None:
    """End it by success, after 50 seconds."""
    await store.advance(50)
    await store.attempts.consume(verification_id)


async def canceled(store: Store, verification_id: str) -> None:
    """Cancel it, after 50 seconds."""
    await store.advance(50)
    await store.verifications.cancel(verification_id, TENANT)


async def superseded(store: Store, verification_id: str) -> None:
    """Supersede it, after 50 seconds."""
    await store.advance(50)
    await store.started()


async def exhausted(store: Store, verification_id: str) -> None:
    """Use its last attempt, after 50 seconds."""
    await store.advance(50)
    while isinstance(await store.attempts.reserve_attempt(verification_id, TENANT, POLICY), AttemptReserved):
        pass


async def expired(store: Store, verification_id: str) -> None:
    """Let it expire, after 300 seconds."""
    await store.advance(300)


ENDINGS: Final[list[Ending]] = [verified, canceled, superseded, exhausted, expired]

for_each_ending: Final = pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
