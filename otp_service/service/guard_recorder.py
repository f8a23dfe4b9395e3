"""The guard against SMS pumping in the use cases: what it checks, and how verifications and decisions are stored.

Its counts are acquired with the limits of a request (`store.verifications`). Verifications and decisions are collected
here and stored at an interval, so that no request waits for them. Those that were not stored are lost with the process.
The events of decisions are not: the store adds them before a request is answered (`store.guard_events`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from otp_service.crypto.keyring import Keyring
from otp_service.delivery.regular_sync import RegularSync
from otp_service.domain.conversion import number_prefix
from otp_service.domain.guard import (
    GuardDecision,
    GuardMode,
    GuardPolicy,
    GuardRequest,
    GuardStore,
    GuardSubject,
    GuardVerified,
    RecordedDecision,
)
from otp_service.domain.phone import number_block
from otp_service.domain.recipient import hashed_as
from otp_service.domain.verification import VerificationRecord
from otp_service.observability import LOG, METRICS

__all__ = ["GuardRecorder"]

SYNC_INTERVAL_SECONDS: Final = 0.5
MAX_PENDING: Final = 10_000
"""Verifications, and different decisions, that wait for the next synchronization; more are dropped."""

_KNOWN: Final = "k"
_QUIET: Final = "q"


class GuardRecorder:
    """The guard of one process."""

    def __init__(
        self,
        store: GuardStore,
        keyring: Keyring,
        policies: Mapping[str, GuardPolicy],
    ) -> None:
        """Use the policy of each tenant."""
        self._store = store
        self._keyring = keyring
        self._policies = {name: policy for name, policy in policies.items() if policy.mode is not GuardMode.OFF}
        self._verified: list[GuardVerified] = []
        self._decided: Counter[tuple[object, ...]] = Counter()
        self._last: dict[tuple[object, ...], GuardDecision] = {}
        self._syncing = RegularSync("guard", self.sync, SYNC_INTERVAL_SECONDS)

    def request_for(
        self, tenant: str, country: str, e164: str, address: str, *, decoy: bool = False, relayed: bool = False
    ) -> GuardRequest | None:
        """Return what the guard checks of a request; None if it is off for the tenant. `address` "": not known."""
        policy = self._policies.get(tenant)
        if policy is None:
            return None
        keyed_hash = self._keyring.keyed_hash
        subject = GuardSubject(
            tenant=tenant,
            country=country,
            area=number_prefix(e164),
            block=keyed_hash("prefix", number_block(e164)),
            recipient=keyed_hash(*hashed_as("recipient", e164)),
            address=keyed_hash("client_ip", address) if address else "",
            decoy=decoy,
            relayed=relayed,
        )
        return GuardRequest(subject, policy)

    def count_verified(self, e164: str, record: VerificationRecord) -> None:
        """Count a verified code, if the guard has counted its message; returns at once."""
        if not record.guard or not e164 or len(self._verified) >= MAX_PENDING:
            return
        request = self.request_for(record.tenant, record.country, e164, "")
        if request is not None:
            kind, quiet, address = record.guard[:1], record.guard[1:2], record.guard[2:]
            counted = GuardRequest(_with_address(request.subject, address), request.policy)
            self._verified.append(GuardVerified(counted, record.created_ms, kind == _KNOWN, quiet == _QUIET))

    def record(self, decision: GuardDecision | None) -> None:
        """Count, log and keep a decision (None: nothing was found); returns at once."""
        if decision is None:
            return
        for rule in decision.rules:
            METRICS.guard_decisions.labels(rule, decision.country, decision.mode.value).inc()
        LOG.warning("guard_triggered", **_log_fields(decision))
        key = (decision.mode, decision.tenant, decision.country, decision.area, decision.known, decision.rules)
        if key in self._last or len(self._last) < MAX_PENDING:
            self._decided[key] += 1
            self._last[key] = decision

    def start(self) -> None:
        """Start to store what is collected, if the guard is on for any tenant."""
        if self._policies:
            self._syncing.start()

    async def stop(self) -> None:
        """Stop, and store what remains if the store answers."""
        await self._syncing.stop()

    async def sync(self) -> None:
        """Store what was collected; raises `Refused` if the store is unavailable, and drops it then."""
        verified, self._verified = self._verified, []
        decided, self._decided = self._decided, Counter()
        last, self._last = self._last, {}
        if verified:
            await self._store.count_verified(verified)
        if decided:
            await self._store.record([RecordedDecision(last[key], count) for key, count in decided.items()])


def _with_address(subject: GuardSubject, address: str) -> GuardSubject:
    return GuardSubject(subject.tenant, subject.country, subject.area, subject.block, subject.recipient, address)


def _log_fields(decision: GuardDecision) -> dict[str, object]:
    """Return the fields of the log line; figures are numbers of their own, because text with digits is masked."""
    fields: dict[str, object] = {
        "mode": decision.mode.value,
        "denied": decision.denies,
        "tenant": decision.tenant,
        "country": decision.country,
        "area": decision.area,
        "known": decision.known,
        "rules": ",".join(decision.rules),
    }
    for finding in decision.findings:
        for name, figure in finding.figures.items():
            fields[f"{finding.rule}_{finding.level}_{name}"] = figure
    return fields
