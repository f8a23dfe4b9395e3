"""The store against a simple model of one recipient: in any order of steps both return the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otp_service.domain.limits import Lockout, SendPolicy, Window
from otp_service.domain.results import Admitted, AttemptReserved, Verified
from otp_service.domain.verification import VerificationSnapshot
from tests.store.recipient_model import Chain, ModelSend, RecipientModel
from tests.store.replica_store import NOW_KEY, Store

POLICY = SendPolicy(
    cooldown_seconds=5,
    max_sends=3,
    ttl_seconds=30,
    recipient=(Window(4, 40), Window(7, 200)),
    recipient_failures=(Window(4, 60), Window(6, 300)),
    lockout=Lockout(first_seconds=7, longest_seconds=20, max_failures=8),
)
MAX_ATTEMPTS = 3
LONGEST_RUN_MS = 10_000
"""A request that was reserved longer ago does not start."""
STEADY = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Request:
    """Ask for a code, and start it, release it as a request without a route does, or leave it open."""

    chain: Chain
    then: Literal["start", "release", "run"] = "start"


@dataclass(frozen=True)
class Finish:
    """Start the oldest open request, or release it."""

    start: bool


@dataclass(frozen=True)
class Unlock:
    """Unlock the recipient at a tenant."""

    tenant: str


@dataclass(frozen=True)
class Attempt:
    """Submit a code for the verification `back` steps before the latest."""

    back: int
    right: bool


@dataclass(frozen=True)
class Cancel:
    """Cancel or read a verification, perhaps as another tenant."""

    back: int
    tenant: str
    reads: bool


@dataclass(frozen=True)
class Pause:
    """Let time pass."""

    ms: int


Step = Request | Finish | Attempt | Cancel | Unlock | Pause

LOGIN = ("a", "login")
chains = st.sampled_from([LOGIN, LOGIN, LOGIN, ("a", "reset"), ("b", "login")])
backs = st.sampled_from([0, 0, 0, 0, 1, 2])
pauses = st.one_of(
    st.sampled_from([1, 4_999, 5_000, 5_001, 29_999, 30_000, 40_000, 60_000, 599_999, 600_000]),
    st.integers(1, 40_000),
)
steps = st.lists(
    st.one_of(
        st.builds(Request, chains),
        st.builds(Request, chains, st.sampled_from(["start", "release", "run", "run"])),
        st.builds(Finish, st.booleans()),
        st.builds(Attempt, backs, st.booleans()),
        st.builds(Attempt, backs, st.just(False)),
        st.builds(Cancel, backs, st.sampled_from(["a", "b"]), st.booleans()),
        st.builds(Unlock, st.sampled_from(["a", "a", "b"])),
        st.builds(Pause, pauses),
        st.builds(Pause, st.sampled_from([5_000, 5_001, 7_000, 14_000])),
    ),
    min_size=10,
    max_size=60,
)


class Run:
    """The store and the model side by side."""

    def __init__(self, store: Store, now: int) -> None:
        self.store = store
        self.model = RecipientModel(POLICY, MAX_ATTEMPTS, now)
        self.ids: list[str] = []
        self.running: list[tuple[Admitted, ModelSend]] = []

    async def do(self, step: Step) -> None:
        """Do one step in both, and compare."""
        match step:
            case Request(chain, then):
                await self.request(chain, then)
            case Finish(start):
                await self.finish(start=start)
            case Attempt(back, right):
                await self.attempt(back, right=right)
            case Cancel(back, tenant, reads):
                await self.cancel(back, tenant, reads=reads)
            case Unlock(tenant):
                assert await self.store.unlock(tenant=tenant, policy=POLICY) == self.model.unlock(tenant)
            case Pause(ms):
                while self.running and self.running[0][1].at + LONGEST_RUN_MS < self.model.now + ms:
                    await self.finish(start=True)
                self.model.now += ms
                await self.store.redis.set(NOW_KEY, self.model.now)

    async def request(self, chain: Chain, then: str) -> None:
        """Ask for a code, and continue as the step says."""
        tenant, purpose = chain
        send = self.model.request(chain)
        if not isinstance(send, ModelSend):
            assert await self.store.denied(tenant=tenant, purpose=purpose, policy=POLICY) == send
            return
        admitted = await self.store.admitted(tenant=tenant, purpose=purpose, policy=POLICY)
        left = POLICY.max_sends - len(self.model.chains[chain])
        assert (admitted.now_ms, admitted.sends_left) == (self.model.now, left)
        self.running.append((admitted, send))
        if then != "run":
            await self.finish(-1, start=then == "start")

    async def finish(self, place: int = 0, *, start: bool) -> None:
        """Start an open request, or release it."""
        if not self.running:
            return
        admitted, send = self.running.pop(place)
        if start:
            self.model.start(send)
            self.ids.append(await self.store.start(admitted, attempts_left=MAX_ATTEMPTS))
        else:
            self.model.release(send)
            await self.store.verifications.release(admitted)

    async def attempt(self, back: int, *, right: bool) -> None:
        """Reserve an attempt, and consume if the code is right."""
        if back >= len(self.ids):
            return
        verification_id, proof = self.ids[-1 - back], self.model.proofs[-1 - back]
        answer = await self.store.attempts.reserve_attempt(verification_id, proof.tenant, POLICY)
        expected = self.model.reserve_attempt(proof, proof.tenant)
        assert (answer.attempts_left if isinstance(answer, AttemptReserved) else answer) == expected
        if isinstance(answer, AttemptReserved) and right:
            assert await self.store.attempts.consume(verification_id) == Verified(self.model.now)
            self.model.consume(proof)

    async def cancel(self, back: int, tenant: str, *, reads: bool) -> None:
        """Cancel or read one; both return its status."""
        if back >= len(self.ids):
            return
        verification_id, proof = self.ids[-1 - back], self.model.proofs[-1 - back]
        verbs = self.store.verifications
        answer = await (verbs.read if reads else verbs.cancel)(verification_id, tenant)
        known = proof.status_at(self.model.now) if tenant == proof.tenant else None
        expected = known if reads else self.model.cancel(proof, tenant)
        shown = answer.record.status_at(answer.now_ms) if isinstance(answer, VerificationSnapshot) else None
        assert shown == expected
        if isinstance(answer, VerificationSnapshot):
            assert answer.record.attempts_left == proof.attempts
            assert (answer.record.ended_at(answer.now_ms) or 0) == (
                0 if expected == "pending" else proof.ended or proof.expires
            )


@STEADY
@given(steps)
@example(
    [
        Request(LOGIN),
        Attempt(0, False),
        Attempt(0, False),
        Attempt(0, False),
        Attempt(0, True),
        Pause(5_000),
        Request(LOGIN),
    ]
)
@example([Request(LOGIN), Pause(5_000), Request(LOGIN), Attempt(0, True), Request(LOGIN), Pause(5_000), Request(LOGIN)])
@example(
    [Request(LOGIN), Pause(5_000), Request(LOGIN, "run"), Attempt(0, True), Finish(True), Pause(5_000), Request(LOGIN)]
)
@example(
    [Request(LOGIN), Pause(5_000), Request(LOGIN, "run"), Attempt(0, True), Finish(False), Pause(5_000), Request(LOGIN)]
)
@example([*[Request(LOGIN), *[Attempt(0, False)] * 4, Pause(60_000)] * 4, Unlock("a"), Unlock("a"), Request(LOGIN)])
@example([*[Request(LOGIN), *[Attempt(0, False)] * 3, Pause(300_000)] * 3, Request(LOGIN), Unlock("a"), Request(LOGIN)])
async def test_the_store_agrees_with_the_model(store: Store, steps: list[Step]) -> None:
    """Requests, attempts, cancels, unlocks, pauses: each result, to the millisecond; every key has a TTL."""
    await store.stop_clock()
    run = Run(store, await store.now())

    for step in steps:
        await run.do(step)

    for name in await store.keys():
        assert await store.redis.pttl(name) > 0, name
