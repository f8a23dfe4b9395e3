"""A naive model of a recipient's budgets and verifications: no packing, no trimming, nothing clever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from otp_service.domain.errors import Reason
from otp_service.domain.limits import Window
from otp_service.domain.transitions import Denied, Ended, Locked, SendPolicy, Unknown, WaitForSend
from otp_service.domain.verification import READABLE_AFTER_END_MS, Status

Chain = tuple[str, str]


def fits(events: Iterable[int], windows: Sequence[Window], at: int) -> bool:
    """Say whether one more event at that moment keeps every window: the definition, word by word."""
    events = list(events)
    return all(sum(at - window.seconds * 1000 < e <= at for e in events) < window.count for window in windows)


def wait_of(events: Sequence[int], windows: Sequence[Window], now: int) -> int:
    """Say how long until one more event fits: at some event's leaving of some window."""
    leavings = (event + window.seconds * 1000 for event in events for window in windows)
    return min(at - now for at in {now, *leavings} if at >= now and fits(events, windows, at))


@dataclass(eq=False)
class Proof:
    """One verification, as the model sees it."""

    tenant: str
    chain: Chain
    expires: int
    attempts: int
    status: Status = Status.PENDING
    ended: int = 0

    def status_at(self, now: int) -> Status | None:
        """Say the state; None once it is forgotten."""
        status = self.status
        if status is Status.PENDING and now >= self.expires:
            status = Status.EXPIRED
        ended = self.ended or self.expires
        return None if now >= ended + READABLE_AFTER_END_MS else status

    def end(self, status: Status, now: int) -> None:
        """End it."""
        self.status, self.ended = status, now


@dataclass
class Model:
    """One recipient: what it may do, and what every verb must answer."""

    policy: SendPolicy
    max_attempts: int
    now: int
    sends: list[int] = field(default_factory=list)
    failures: dict[str, list[int]] = field(default_factory=dict)
    chains: dict[Chain, list[int]] = field(default_factory=dict)
    ends: dict[Chain, int] = field(default_factory=dict)
    lasts: dict[Chain, int] = field(default_factory=dict)
    proofs: list[Proof] = field(default_factory=list)

    def send_wait(self, chain: Chain) -> tuple[int, Reason, str | None]:
        """Say what keeps the chain's next send waiting longest."""
        policy, waits = self.policy, [(wait_of(self.sends, self.policy.recipient, self.now), 2, "recipient")]
        if self.ends.get(chain, 0) > self.now and len(self.chains[chain]) >= policy.max_sends:
            waits.append((self.ends[chain] - self.now, 1, "max_sends"))
        if chain in self.lasts:
            waits.append((self.lasts[chain] + policy.cooldown_seconds * 1000 - self.now, 0, "cooldown"))
        wait, _, name = max(waits)
        return (wait, Reason.RESEND_TOO_SOON, None) if name == "cooldown" else (wait, Reason.RATE_LIMITED, name)

    def locked(self, tenant: str) -> int:
        """Say how long failures lock the recipient for a tenant."""
        return wait_of(self.failures.get(tenant, []), self.policy.recipient_failures, self.now)

    def request(self, chain: Chain) -> Denied | int:
        """Ask for a send: denied, or the sends that are left after it."""
        if locked := self.locked(chain[0]):
            return Denied(Reason.RECIPIENT_LOCKED, locked)
        wait, reason, limit = self.send_wait(chain)
        if wait > 0:
            return Denied(reason, wait, limit)
        if self.ends.get(chain, 0) <= self.now:
            self.chains[chain] = []
        self.sends.append(self.now)
        self.chains[chain].append(self.now)
        self.lasts[chain], self.ends[chain] = self.now, self.now + self.policy.ttl_seconds * 1000
        return self.policy.max_sends - len(self.chains[chain])

    def start(self, chain: Chain) -> None:
        """Start what was just requested; the one before it is superseded."""
        for proof in self.proofs:
            if proof.chain == chain and proof.status_at(self.now) is Status.PENDING:
                proof.end(Status.SUPERSEDED, self.now)
        self.proofs.append(Proof(chain[0], chain, self.now + self.policy.ttl_seconds * 1000, self.max_attempts))

    def spend(self, proof: Proof, tenant: str) -> Unknown | Locked | WaitForSend | Ended | int:
        """Pay for a guess: why not, or the attempts that are left."""
        status = proof.status_at(self.now)
        if status is None or proof.tenant != tenant:
            return Unknown()
        if locked := self.locked(tenant):
            return Locked(locked)
        if status is Status.EXHAUSTED:
            return WaitForSend(max(0, self.send_wait(proof.chain)[0]))
        if status is not Status.PENDING:
            return Ended(status)
        proof.attempts -= 1
        if proof.attempts == 0:
            proof.end(Status.EXHAUSTED, self.now)
        self.failures.setdefault(tenant, []).append(self.now)
        return proof.attempts

    def consume(self, proof: Proof) -> None:
        """Make the success of a guess that was just paid for."""
        proof.end(Status.VERIFIED, self.now)
        self.failures.pop(proof.tenant, None)
        if [one for one in self.proofs if one.chain == proof.chain][-1] is proof:
            self.chains[proof.chain], self.ends[proof.chain] = [], 0

    def cancel(self, proof: Proof, tenant: str) -> Status | None:
        """End it if it is pending; say how it stands."""
        status = proof.status_at(self.now)
        if status is None or proof.tenant != tenant:
            return None
        if status is Status.PENDING:
            proof.end(Status.CANCELED, self.now)
            return Status.CANCELED
        return status
