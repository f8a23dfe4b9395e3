"""A simple model of a recipient's limits and verifications, without packing or trimming."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from otp_service.domain.errors import Reason
from otp_service.domain.limits import DISABLED_RETRY_MS, SendPolicy, Window
from otp_service.domain.results import (
    AlreadyEnded,
    AttemptsExhausted,
    Denied,
    NotFound,
    RecipientLocked,
    Unlocked,
)
from otp_service.domain.verification import VerificationStatus

READABLE_AFTER_END_MS = 600_000
"""An ended verification can be read for 10 minutes; then its id is unknown."""

Chain = tuple[str, str]


def fits(events: Iterable[int], windows: Sequence[Window], at: int) -> bool:
    """Return whether one more event at `at` keeps every window: the definition, computed directly."""
    events = list(events)
    return all(sum(at - window.seconds * 1000 < e <= at for e in events) < window.count for window in windows)


def wait_for_next(events: Sequence[int], windows: Sequence[Window], now: int) -> int:
    """Return the ms until one more event fits: when some event leaves some window."""
    leavings = (event + window.seconds * 1000 for event in events for window in windows)
    return min(at - now for at in {now, *leavings} if at >= now and fits(events, windows, at))


def left_in(events: Sequence[int], window: Window, now: int) -> tuple[int, int]:
    """Return how many events fit into a window that is not empty, and the ms until there are more."""
    inside = [event for event in events if event > now - window.seconds * 1000]
    return window.count - len(inside), min(inside) + window.seconds * 1000 - now


@dataclass(eq=False)
class ModelVerification:
    """One verification of the model."""

    tenant: str
    chain: Chain
    expires: int
    attempts: int
    status: VerificationStatus = VerificationStatus.PENDING
    ended: int = 0

    def status_at(self, now: int) -> VerificationStatus | None:
        """Return the status; None after its readable time."""
        status = self.status
        if status is VerificationStatus.PENDING and now >= self.expires:
            status = VerificationStatus.EXPIRED
        ended = self.ended or self.expires
        return None if now >= ended + READABLE_AFTER_END_MS else status

    def end(self, status: VerificationStatus, now: int) -> None:
        """End it with a status."""
        self.status, self.ended = status, now


@dataclass(eq=False)
class ModelSend:
    """One reserved send; `running` until it is started or released. The rest is what a release restores."""

    chain: Chain
    at: int
    last_before: int | None
    ends_before: int
    running: bool = True


@dataclass
class FailureCount:
    """One tenant's wrong codes since its last success, the exhausted verifications, and the end of the wait."""

    failures: int = 0
    exhausted: int = 0
    ends: int = 0


@dataclass
class RecipientModel:
    """One recipient: what it may do, and what every method of the store must return."""

    policy: SendPolicy
    max_attempts: int
    now: int
    sends: list[int] = field(default_factory=list)
    failures: dict[str, list[int]] = field(default_factory=dict)
    rows: dict[str, FailureCount] = field(default_factory=dict)
    chains: dict[Chain, list[ModelSend]] = field(default_factory=dict)
    ends: dict[Chain, int] = field(default_factory=dict)
    lasts: dict[Chain, int | None] = field(default_factory=dict)
    proofs: list[ModelVerification] = field(default_factory=list)

    def send_wait(self, chain: Chain) -> tuple[int, Reason, str | None]:
        """Return the limit that makes the next send of the chain wait longest."""
        policy, waits = self.policy, [(wait_for_next(self.sends, self.policy.recipient, self.now), 2, "recipient")]
        if self.ends.get(chain, 0) > self.now and len(self.chains[chain]) >= policy.max_sends:
            waits.append((self.ends[chain] - self.now, 1, "max_sends"))
        if (last := self.lasts.get(chain)) is not None:
            waits.append((last + policy.cooldown_seconds * 1000 - self.now, 0, "cooldown"))
        wait, _, name = max(waits)
        return (wait, Reason.RESEND_TOO_SOON, None) if name == "cooldown" else (wait, Reason.RATE_LIMITED, name)

    def row(self, tenant: str) -> FailureCount:
        """Return the tenant's count of wrong codes in a row."""
        return self.rows.setdefault(tenant, FailureCount())

    def disabled(self, tenant: str) -> bool:
        """Return whether only an operator can unlock the recipient."""
        return self.row(tenant).failures >= self.policy.lockout.max_failures

    def locked(self, tenant: str) -> int:
        """Return for how many ms wrong codes lock the recipient at a tenant."""
        return wait_for_next(self.failures.get(tenant, []), self.policy.recipient_failures, self.now)

    def denied(self, chain: Chain) -> Denied | None:
        """Return why a send is not admitted now; None: it is."""
        wait, reason, limit = self.send_wait(chain)
        if self.disabled(chain[0]):
            return Denied(Reason.RECIPIENT_LOCKED, DISABLED_RETRY_MS, disabled=True)
        row_wait = self.row(chain[0]).ends - self.now
        if (locked := max(self.locked(chain[0]), row_wait)) > 0:
            return Denied(Reason.RECIPIENT_LOCKED, max(locked, wait))
        return Denied(reason, wait, limit) if wait > 0 else None

    def request(self, chain: Chain) -> Denied | ModelSend:
        """Ask for a send: denied or reserved."""
        if denied := self.denied(chain):
            return denied
        if self.ends.get(chain, 0) <= self.now:
            self.chains[chain] = []
        send = ModelSend(chain, self.now, self.lasts.get(chain), self.ends.get(chain, 0))
        self.sends.append(self.now)
        self.chains[chain].append(send)
        self.lasts[chain], self.ends[chain] = self.now, self.now + self.policy.ttl_seconds * 1000
        return send

    def start(self, send: ModelSend) -> None:
        """Start a reserved send; the older verification is superseded."""
        chain, send.running = send.chain, False
        for proof in self.proofs:
            if proof.chain == chain and proof.status_at(self.now) is VerificationStatus.PENDING:
                proof.end(VerificationStatus.SUPERSEDED, self.now)
        expires = send.at + self.policy.ttl_seconds * 1000
        self.ends[chain] = max(self.ends[chain], expires)
        self.proofs.append(ModelVerification(chain[0], chain, expires, self.max_attempts))

    def release(self, send: ModelSend) -> None:
        """Release a send, with its cooldown if no later send was reserved."""
        chain = send.chain
        self.sends.remove(send.at)
        self.chains[chain].remove(send)
        if self.lasts[chain] == send.at:
            self.lasts[chain], self.ends[chain] = send.last_before, send.ends_before

    def reserve_attempt(
        self, proof: ModelVerification, tenant: str
    ) -> NotFound | RecipientLocked | AttemptsExhausted | AlreadyEnded | int:
        """Take one attempt: return the attempts left, or why there is none."""
        status = proof.status_at(self.now)
        if status is None or proof.tenant != tenant:
            return NotFound()
        if self.disabled(tenant):
            return RecipientLocked(DISABLED_RETRY_MS, disabled=True)
        if locked := self.locked(tenant):
            return RecipientLocked(locked)
        if status is VerificationStatus.EXHAUSTED:
            return AttemptsExhausted(max(0, self.send_wait(proof.chain)[0], self.row(tenant).ends - self.now))
        if status is not VerificationStatus.PENDING:
            return AlreadyEnded(status)
        proof.attempts -= 1
        if proof.attempts == 0:
            proof.end(VerificationStatus.EXHAUSTED, self.now)
        self.count(tenant, exhausted=proof.attempts == 0)
        return proof.attempts

    def count(self, tenant: str, *, exhausted: bool) -> None:
        """Count a wrong code in the windows and in the row; an exhausted verification doubles the wait."""
        self.failures.setdefault(tenant, []).append(self.now)
        row, lockout = self.row(tenant), self.policy.lockout
        row.failures += 1
        if exhausted:
            wait = lockout.first_seconds
            for _ in range(row.exhausted):
                wait = min(2 * wait, lockout.longest_seconds)
            row.exhausted += 1
            row.ends = max(row.ends, self.now + min(wait, lockout.longest_seconds) * 1000)

    def consume(self, proof: ModelVerification) -> None:
        """Make the success of a reserved attempt; open reservations continue in a new chain."""
        proof.end(VerificationStatus.VERIFIED, self.now)
        self.forget(proof.tenant)
        if [one for one in self.proofs if one.chain == proof.chain][-1] is proof:
            self.chains[proof.chain] = [send for send in self.chains[proof.chain] if send.running]
            if not self.chains[proof.chain]:
                self.ends[proof.chain] = 0

    def forget(self, tenant: str) -> None:
        """Forget the tenant's wrong codes."""
        self.failures.pop(tenant, None)
        self.rows.pop(tenant, None)

    def unlock(self, tenant: str) -> Unlocked:
        """Forget the wrong codes for an operator; return whether anything was locked."""
        row = self.row(tenant)
        locked = self.disabled(tenant) or self.locked(tenant) > 0 or row.ends > self.now
        self.forget(tenant)
        return Unlocked(locked, row.failures)

    def cancel(self, proof: ModelVerification, tenant: str) -> VerificationStatus | None:
        """End it if it is pending; return its status."""
        status = proof.status_at(self.now)
        if status is None or proof.tenant != tenant:
            return None
        if status is VerificationStatus.PENDING:
            proof.end(VerificationStatus.CANCELED, self.now)
            return VerificationStatus.CANCELED
        return status
