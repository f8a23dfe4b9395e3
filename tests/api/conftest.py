"""Fixtures for the tests of the HTTP contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otp_service.crypto.hashing import HashPool
from tests.issuer_simulator import IssuerSimulator


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls to the hash pool, which still does its work."""
    counted: Counter[str] = Counter()
    for name in ("hash", "matches", "matches_none"):
        original = getattr(HashPool, name)

        async def counting(self: HashPool, *args: Any, _name: str = name, _original: Any = original) -> Any:
            counted[_name] += 1
            return await _original(self, *args)

        monkeypatch.setattr(HashPool, name, counting)
    return counted


@pytest.fixture
async def issuer() -> AsyncIterator[IssuerSimulator]:
    """An authorization server with one Ed25519 key."""
    async with IssuerSimulator() as running:
        yield running
