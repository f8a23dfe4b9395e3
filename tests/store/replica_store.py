"""The store under test: a real Redis server with a stopped clock, and values to call it with."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from redis.asyncio import Redis

from otp_service.domain.limits import SendPolicy, Window
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import (
    Admission,
    Admitted,
    ClaimedMessage,
    Denied,
    NotFound,
    RateLimit,
    Started,
    Unlocked,
    Unreadable,
)
from otp_service.domain.verification import Delivery, VerificationRecord, VerificationSnapshot
from otp_service.store.attempts import RedisAttempts, RedisLockouts
from otp_service.store.encoding import encode_windows
from otp_service.store.idempotency_keys import RedisIdempotency
from otp_service.store.keys import ALL_PARTITIONS, limit_key, new_verification_id
from otp_service.store.opt_outs import RedisInboundCursors, RedisOptOuts
from otp_service.store.outbox import RedisOutbox
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology, connect
from otp_service.store.verifications import RedisVerifications

NOW_KEY: Final = "test:now"
PARTITION: Final = 7
TENANT: Final = "acme"
PURPOSE: Final = "login"
RECIPIENT: Final = "alice"
CODE: Final = b"sealed-code"
MAX_TEXTS: Final = 2
KEY_ID: Final = "k1"
POLICY: Final = SendPolicy(
    cooldown_seconds=30,
    max_sends=5,
    ttl_seconds=300,
    recipient=(Window(5, 3600), Window(10, 86400)),
    recipient_failures=(Window(20, 86400),),
)


STILL_CLOCK: Final = f"""
local function now_ms()
  local now = redis.call('GET', '{NOW_KEY}')
  if now then return tonumber(now) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""
"""The clock of scripts under test: the moment under `test:now`, so that tests expect exact milliseconds."""


class Store:
    """The adapters of one replica on one server, and the clock that all replicas read."""

    def __init__(self, url: str, key_ids: tuple[str, ...] = (KEY_ID,)) -> None:
        self.url = url
        self.topology: Topology = connect(url)
        self.verifications = RedisVerifications(self.topology, {}, {}, key_ids=key_ids)
        self.attempts = RedisAttempts(self.topology, key_ids)
        self.lockouts = RedisLockouts(self.topology)
        self.opt_outs = RedisOptOuts(self.topology)
        self.inbound_cursors = RedisInboundCursors(self.topology)
        self.idempotency = RedisIdempotency(self.topology)
        self.outbox = RedisOutbox(self.topology, MAX_TEXTS, key_ids)
        self.redis: Any = Redis.from_url(url.replace("+cluster", "").replace("+sentinel", "").partition(",")[0])

    async def close(self) -> None:
        """Close every connection."""
        await self.topology.close()
        await self.redis.aclose()

    async def stop_clock(self) -> None:
        """Empty the store and stop its clock at the server's time."""
        await self.redis.flushdb()
        seconds, micros = await self.redis.time()
        await self.redis.set(NOW_KEY, int(seconds) * 1000 + int(micros) // 1000)

    async def now(self) -> int:
        """Return the time of the clock in ms."""
        return int(await self.redis.get(NOW_KEY))

    async def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        await self.redis.incrby(NOW_KEY, round(seconds * 1000))

    async def admitted(self, **wanted: Any) -> Admitted:
        """Admit `admission(**wanted)`, which must succeed."""
        found = await self.verifications.admit(admission(**wanted))
        assert isinstance(found, Admitted), found
        return found

    async def denied(self, **wanted: Any) -> Denied:
        """Admit `admission(**wanted)`, which must be denied."""
        found = await self.verifications.admit(admission(**wanted))
        assert isinstance(found, Denied), found
        return found

    async def started(self, *, sealed_code: bytes | None = CODE, **wanted: Any) -> str:
        """Admit and start a verification; return its id."""
        return await self.start(await self.admitted(**wanted), sealed_code=sealed_code)

    async def start(self, admitted: Admitted, *, sealed_code: bytes | None = CODE, **members: Any) -> str:
        """Start what was admitted; return the id."""
        verification_id = new_verification_id(ALL_PARTITIONS[admitted.admission.partition])
        record = replace_in(record_of(admitted), **members)
        found = await self.verifications.start(admitted, verification_id, record, sealed_code, None)
        assert isinstance(found, Started), found
        return verification_id

    async def snapshot(self, verification_id: str, tenant: str = TENANT) -> VerificationSnapshot:
        """Read a verification, which must exist."""
        found = await self.verifications.read(verification_id, tenant)
        assert isinstance(found, VerificationSnapshot), found
        return found

    async def status(self, verification_id: str) -> str:
        """Return a verification's status, `unknown` when it is gone."""
        found = await self.verifications.read(verification_id, TENANT)
        assert not isinstance(found, Unreadable)
        return "unknown" if isinstance(found, NotFound) else found.record.status_at(found.now_ms).value

    async def delivery(self, verification_id: str, provider: str = "first") -> Delivery | None:
        """Return the delivery at one provider."""
        deliveries = (await self.snapshot(verification_id)).record.deliveries
        return next((one for one in deliveries if one.provider == provider), None)

    async def claimed(self) -> list[ClaimedMessage]:
        """Lease what is due."""
        entries, _, _ = await self.outbox.claim()
        return entries

    async def acquire_limit(self, keyed_hash: str, *windows: Window) -> Sequence[Any]:
        """Take one event from a limit, with its script; return the beginning of its reply."""
        return (await self.tell_limit(keyed_hash, *windows))[:2]

    async def tell_limit(self, keyed_hash: str, *windows: Window) -> Sequence[Any]:
        """Take one event from a limit; return also what is left of each window, or the wait of each."""
        [reply] = await self.topology.send(
            [ScriptCall(script("rate_limit_acquire"), (limit_key("x", keyed_hash),), (encode_windows(windows), "left"))]
        )
        return list(reply)

    async def release_limit(self, keyed_hash: str, at_ms: int) -> bytes:
        """Release one event of a limit."""
        [reply] = await self.topology.send(
            [ScriptCall(script("rate_limit_release"), (limit_key("x", keyed_hash),), (at_ms,))]
        )
        return bytes(reply[0])

    async def unlock(self, *, tenant: str = TENANT, policy: SendPolicy = POLICY) -> Unlocked:
        """Unlock the recipient at a tenant."""
        return await self.lockouts.unlock(PARTITION, RECIPIENT, tenant, policy)

    async def keys(self) -> set[str]:
        """Return all key names except those of the tests."""
        return {name.decode() for name in await self.redis.keys("*")} - {NOW_KEY}

    async def dump(self) -> dict[str, bytes]:
        """Return every key and its content, without TTLs."""
        return {name: await self.redis.dump(name) for name in sorted(await self.keys())}


def admission(
    recipient: str = RECIPIENT,
    *,
    tenant: str = TENANT,
    purpose: str = PURPOSE,
    policy: SendPolicy = POLICY,
    rate_limits: tuple[RateLimit, ...] = (),
    partition: int = PARTITION,
    **more: Any,
) -> Admission:
    """Return an admission of one send."""
    return Admission(partition, recipient, tenant, purpose, policy, rate_limits, **more)


def record_of(admitted: Admitted, *, max_attempts: int = 5) -> VerificationRecord:
    """Return the record that the service would create."""
    asked, now = admitted.admission, admitted.now_ms
    return VerificationRecord(
        tenant=asked.tenant,
        purpose=asked.purpose,
        recipient=asked.recipient,
        created_ms=now,
        expires_ms=now + asked.policy.ttl_seconds * 1000,
        attempts_left=max_attempts,
        keeps_code=asked.policy.reuse,
        deliveries=(Delivery("first", DeliveryStatus.QUEUED, now),),
        key_id=KEY_ID,
        code_hash="$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
        phone="sealed-phone",
        channel="sms",
        country="ID",
        locale="",
        code_length=6,
        resend_ms=now + asked.policy.cooldown_seconds * 1000,
        sends_left=admitted.sends_left,
        code_created_ms=now,
    )


def replace_in(record: VerificationRecord, **members: Any) -> VerificationRecord:
    """Return a copy of a record with some members changed."""
    return msgspec.structs.replace(record, **members)


def policy(**changes: Any) -> SendPolicy:
    """Return a variant of `POLICY`."""
    return replace(POLICY, **changes)


ReplicaFactory = Callable[[int], list[Store]]


@contextlib.asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Open a store within the block."""
    store = Store(url)
    try:
        yield store
    finally:
        await store.close()


def record_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return a list to which the names of the scripts of each batch are added that the store sends from now on."""
    sent: list[list[str]] = []

    def recording(send: Callable[[Sequence[ScriptCall]], Any]) -> Callable[[Sequence[ScriptCall]], Any]:
        def recorded(calls: Sequence[ScriptCall]) -> Any:
            sent.append([call.script.name for call in calls])
            return send(calls)

        return recorded

    for name in ("send", "send_each"):
        monkeypatch.setattr(store.topology, name, recording(getattr(store.topology, name)))
    return sent
