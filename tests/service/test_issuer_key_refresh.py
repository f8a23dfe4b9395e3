"""When the key set of a token issuer is fetched: exact counts under a flood, and how long old keys are used."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from otp_service.crypto.jwt_verification import TokenRules
from otp_service.domain.errors import Reason, Refused
from otp_service.service.token_issuers import KeySetPolicy, TokenIssuer
from tests.issuer_simulator import public_jwk

POLICY = KeySetPolicy(ttl_seconds=3600, min_refresh_seconds=30, max_stale_seconds=86_400)
RULES = TokenRules("https://login.example.com", "otp-service", frozenset({"EdDSA"}))


class PublishedKeys:
    """A key set with a clock; `body` None is an issuer that does not answer."""

    def __init__(self) -> None:
        self.now, self.fetches = 0.0, 0
        self.body: bytes | None = b""
        self.error: Exception | None = None
        self.publish("k1")
        self.issuer = TokenIssuer("corp", RULES, self.fetch, POLICY, lambda: self.now)

    def publish(self, *key_ids: str) -> None:
        """Replace the published keys."""
        keys: list[dict[str, Any]] = [public_jwk(key_id, Ed25519PrivateKey.generate()) for key_id in key_ids]
        self.body = json.dumps({"keys": keys}).encode()

    async def fetch(self) -> bytes | None:
        """Answer after the others had their turn."""
        self.fetches += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.body

    async def has(self, key_id: str) -> bool:
        """Return whether the issuer has a key now."""
        return await self.issuer.key(key_id, "EdDSA") is not None


@pytest.fixture
async def published() -> PublishedKeys:
    """An issuer whose keys were fetched once, at time 0."""
    keys = PublishedKeys()
    assert await keys.has("k1")
    return keys


async def test_flood_of_unknown_keys_costs_one_fetch_in_an_interval(published: PublishedKeys) -> None:
    """1,000 tokens a second with random keys, over 100 seconds, cause 3 fetches: at 30, 60 and 90 seconds."""
    for second in range(100):
        published.now = second
        found = await asyncio.gather(*(published.has(f"random-{second}-{one}") for one in range(1000)))
        assert not any(found)

    assert published.fetches == 1 + 3


async def test_parallel_requests_share_one_fetch() -> None:
    """Whoever needs keys that are not there yet waits for the same fetch."""
    published = PublishedKeys()

    assert all(await asyncio.gather(*(published.has("k1") for _ in range(100))))
    assert published.fetches == 1


async def test_new_key_is_found_once_a_fetch_is_allowed(published: PublishedKeys) -> None:
    """An issuer that changes its key is followed after the minimal interval, not before it."""
    published.publish("k2")

    published.now = 29.9
    assert not await published.has("k2")
    published.now = 30
    assert await published.has("k2")
    assert not await published.has("k1")


async def test_old_keys_serve_while_new_ones_are_fetched(published: PublishedKeys) -> None:
    """After the TTL no request waits: it gets the old key, and starts one fetch in the background."""
    published.publish("k2")
    published.now = 3600

    assert published.issuer.known_key("k1", "EdDSA") is not None
    assert published.issuer.known_key("k1", "EdDSA") is not None
    for _ in range(3):
        await asyncio.sleep(0)

    assert published.fetches == 2
    assert published.issuer.known_key("k1", "EdDSA") is None
    assert published.issuer.known_key("k2", "EdDSA") is not None


@pytest.mark.parametrize("failure", [None, b"", b"<html>", b'{"keys": []}', RuntimeError("broken")])
async def test_stale_keys_are_used_up_to_their_bound(published: PublishedKeys, failure: Any) -> None:
    """While the issuer does not answer usably, its last keys are valid for a day, and then nothing is."""
    published.error = failure if isinstance(failure, Exception) else None
    published.body = None if published.error else failure

    published.now = 86_399
    assert await published.has("k1")
    published.now = 86_400
    with pytest.raises(Refused) as refused:
        await published.has("k1")

    assert refused.value.reason is Reason.ISSUER_UNAVAILABLE
    assert refused.value.retry_after_ms is not None and 0 < refused.value.retry_after_ms <= 5000


async def test_unknown_key_during_an_outage_is_not_called_invalid(published: PublishedKeys) -> None:
    """While fetches fail, a key that is not known may be a new one: only after a fetch it is known to be none."""
    published.body, published.now = None, 30
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await published.has("k2")
        assert refused.value.reason is Reason.ISSUER_UNAVAILABLE
        assert await published.has("k1")
    assert published.fetches == 2

    published.publish("k1")
    published.now = 35
    assert not await published.has("k2")


async def test_failed_fetches_are_paced_too(published: PublishedKeys) -> None:
    """An issuer that is down gets a fetch every 5 seconds at most, however many requests need it."""
    published.body = None
    published.now = before = 90_000.0
    for second in range(20):
        published.now = before + second
        for _ in range(50):
            with pytest.raises(Refused):
                await published.has("k1")

    assert published.fetches == 1 + 4


async def test_issuer_that_returns_is_used_again(published: PublishedKeys) -> None:
    """After an outage the next fetch that succeeds makes its tokens valid."""
    published.body = None
    published.now = 90_000
    with pytest.raises(Refused):
        await published.has("k1")
    published.publish("k1")
    published.now += 5

    assert await published.has("k1")


async def test_cancelled_request_leaves_the_fetch_to_the_others() -> None:
    """A client that disconnects while it waits does not end the fetch that others wait for."""
    published = PublishedKeys()
    impatient = asyncio.create_task(published.has("k1"))
    await asyncio.sleep(0)
    impatient.cancel()

    assert await published.has("k1")
    assert published.fetches == 1
