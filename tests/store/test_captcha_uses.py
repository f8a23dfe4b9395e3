"""Uses of captcha tokens in the store: one request for each token, and a key that ends by itself."""

from __future__ import annotations

import asyncio
from collections import Counter

from otp_service.domain.captcha import CaptchaUse
from otp_service.store.captcha_uses import RedisCaptchaUses
from tests.store.replica_store import Store


async def test_one_of_many_requests_uses_a_token(store: Store) -> None:
    """Of 50 parallel requests exactly one uses the token; for the same request it stays usable."""
    uses = RedisCaptchaUses(store.topology)

    found = await asyncio.gather(*(uses.mark_used("token", f"request-{number}", 60) for number in range(50)))

    assert Counter(found) == {CaptchaUse.UNUSED: 1, CaptchaUse.OTHER: 49}
    winner = f"request-{found.index(CaptchaUse.UNUSED)}"
    assert await uses.use_of("token", winner) is CaptchaUse.SAME
    assert await uses.mark_used("token", winner, 60) is CaptchaUse.SAME
    assert await uses.use_of("token", "request-x") is CaptchaUse.OTHER


async def test_reading_a_use_writes_nothing(store: Store) -> None:
    """A token that was only looked for leaves no key; a used one has a TTL."""
    uses, before = RedisCaptchaUses(store.topology), await store.dump()

    assert await uses.use_of("token", "request") is CaptchaUse.UNUSED
    assert await store.dump() == before
    await uses.mark_used("token", "request", 60)

    [key] = await store.redis.keys("otp:u:*")
    assert 0 < await store.redis.pttl(key) <= 60_000
