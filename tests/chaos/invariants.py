"""Check the invariants of a scenario, and name the cause of each duplicate message.

If a gateway accepts a message but responds that it did not, the service cannot know. Duplicates that follow from this
are counted separately and violate no invariant. The service must take every other message into account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from otp_service.domain.verification import VerificationRecord
from tests.chaos.concurrent_callers import LOST, Caller
from tests.chaos.gateway_faults import AcceptedMessage, Fault
from tests.chaos.scenario import MAX_TEXTS, TIMEOUT_SECONDS
from tests.chaos.scenario_run import Observations

__all__ = ["DENIED", "Report", "check_invariants"]

DENIED: Final = "denied"
"""The cause of a duplicate that no service can prevent."""

CANCELED: Final = "canceled"
IDEMPOTENT_GATEWAY: Final = "aurora"
"""The gateway that deduplicates sends."""

CALL_LEASE_MS: Final = 1_500
"""The lease of a call: a process that is killed within it has not recorded the result."""

SLACK_MS: Final = 50
_IN_PROGRESS: Final = frozenset({"queued", "sending"})
_UNSUCCESSFUL: Final = frozenset({"failed", "unknown", "undelivered"})
_POSSIBLY_ACCEPTED: Final = frozenset({"sent", "delivered", "unknown", "undelivered"})


@dataclass
class Report:
    """The figures of one seed.

    Attributes:
        seed: The seed.
        accepted: How many callers got a 202.
        accepted_on_retry: How many of them only on a retry, by the first result: `LOST`, or an error code.
        started_before_kill: How many of the lost requests had started a verification before the kill.
        never_accepted: How many callers never got a 202, by their last result.
        messages: How many messages the gateways accepted.
        duplicates: How many recipients got another message, by cause.
        unsent: How many verifications have no message, by the recorded error.
        violations: The violated invariants.
    """

    seed: int
    accepted: int = 0
    accepted_on_retry: Counter[str] = field(default_factory=Counter)
    started_before_kill: int = 0
    never_accepted: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    duplicates: Counter[str] = field(default_factory=Counter)
    unsent: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """One verification that a caller received, its record, and the messages to its recipient."""

    observations: Observations
    caller: Caller
    state: dict[str, Any]
    record: VerificationRecord
    messages: Sequence[AcceptedMessage]

    @property
    def known_messages(self) -> list[AcceptedMessage]:
        """The messages that the service must take into account."""
        return [message for message in self.messages if message.fault is not Fault.DENIES]

    def status_at(self, gateway: str) -> str:
        """Return the delivery status at a gateway; "" if it was not called."""
        return next((str(one["status"]) for one in self.state["deliveries"] if one["provider"] == gateway), "")

    def __str__(self) -> str:
        started = self.record.created_ms
        messages = [
            f"{message.gateway} {message.fault.value} +{message.at_ms - started:.0f}" for message in self.messages
        ]
        index = [
            (one.provider, one.status, one.error, one.at_ms - started, one.ambiguous_since_ms)
            for one in self.record.deliveries
        ]
        return f"{self.caller.number} {self.caller.responses} {self.state['status']} {index} messages {messages}"


def check_invariants(observations: Observations) -> Report:
    """Count what was observed, and list the violated invariants."""
    report = Report(
        observations.scenario.seed, messages=len(observations.messages), violations=list(observations.errors)
    )
    report.violations += _check_observations(observations)
    for caller in observations.callers:
        if not caller.id:
            report.never_accepted[caller.responses[-1]] += 1
        elif caller.id not in observations.records:
            report.violations.append(f"{caller.number}: {caller.id} is not in the store")
        else:
            messages = [message for message in observations.messages if message.number == caller.number]
            _count(
                report,
                Case(observations, caller, observations.states[caller.id], observations.records[caller.id], messages),
            )
    return report


def _check_observations(observations: Observations) -> Iterator[str]:
    never_accepted = [caller.number for caller in observations.callers if not caller.id]
    if not observations.settled:
        yield "it never settled"
    if len(observations.unreported_ids) > len(never_accepted):
        unreported = len(observations.unreported_ids)
        yield f"{unreported} verifications that no caller received, and {len(never_accepted)} callers without one"
    if "Traceback" in observations.log:
        yield "a process logged a traceback"
    for caller in observations.callers:
        if caller.number in observations.log:
            yield f"{caller.number} is in a log"


def _count(report: Report, case: Case) -> None:
    report.accepted += 1
    first = case.caller.responses[0]
    if first != "202":
        report.accepted_on_retry[first] += 1
        report.started_before_kill += first == LOST and any(
            case.record.created_ms < killed for killed in case.observations.kills_ms
        )
    if not case.messages:
        report.unsent[_failure(case)] += 1
    for index, message in enumerate(case.messages[1:], 1):
        report.duplicates[_cause(case, case.messages[:index], message)] += 1
    report.violations += [f"{violation}: {case}" for invariant in _INVARIANTS for violation in invariant(case)]


def _failure(case: Case) -> str:
    """Return the recorded error of a verification without a message; "" if there is none."""
    unsuccessful = [one for one in case.state["deliveries"] if one["status"] in _UNSUCCESSFUL]
    if not unsuccessful:
        return CANCELED if case.state["status"] == "canceled" else ""
    ambiguous = any(one["status"] == "unknown" for one in unsuccessful)
    return "ambiguous" if ambiguous else str(unsuccessful[-1]["error"])


def _cause(case: Case, before: Sequence[AcceptedMessage], message: AcceptedMessage) -> str:
    """Return why `message` was sent although those in `before` were; "" if the deliveries show no cause."""
    first = next((one for one in before if one.fault is not Fault.DENIES), None)
    if first is None:
        return DENIED
    if case.status_at(first.gateway) == "undelivered":
        return "undelivered"
    ambiguous = any(one.provider == first.gateway and one.ambiguous_since_ms for one in case.record.deliveries)
    return _why_unconfirmed(case.observations, first) if ambiguous else ""


def _why_unconfirmed(observations: Observations, message: AcceptedMessage) -> str:
    """Return why the service did not learn that a message was accepted."""
    if message.fault not in (Fault.NONE, Fault.SLOW):
        return message.fault.value
    if any(-SLACK_MS < killed - message.at_ms < CALL_LEASE_MS for killed in observations.kills_ms):
        return "killed"
    if any(0 <= outage - message.at_ms < TIMEOUT_SECONDS * 1000 for outage in observations.outages_ms[message.gateway]):
        return "outage"
    return "unconfirmed"


def _has_message_or_error(case: Case) -> Iterator[str]:
    """It has a message or a recorded error or was canceled, and no delivery is in progress."""
    if not case.messages and not _failure(case):
        yield "no message and no error"
    if any(one["status"] in _IN_PROGRESS for one in case.state["deliveries"]):
        yield "a delivery is still in progress"


def _within_max_texts(case: Case) -> Iterator[str]:
    """At most `max_texts` gateways accepted the message."""
    if len(case.known_messages) > MAX_TEXTS:
        yield f"{len(case.known_messages)} messages"


def _duplicates_have_a_cause(case: Case) -> Iterator[str]:
    """The deliveries show a cause for every message after the first."""
    for index, message in enumerate(case.messages[1:], 1):
        if not _cause(case, case.messages[:index], message):
            yield f"another message at {message.gateway} without a cause"


def _one_code(case: Case) -> Iterator[str]:
    """All messages contain the same code, and belong to the verification that the caller received."""
    if len({message.code for message in case.messages}) > 1:
        yield "messages with different codes"
    if len(case.caller.ids) > 1:
        yield "two verifications under one key"
    if others := {message.reference for message in case.messages} - {"", *case.caller.ids}:
        yield f"a message of {others}"


def _no_repeat_at_one_gateway(case: Case) -> Iterator[str]:
    """A gateway that may have the message is not called again, unless it deduplicates sends."""
    for gateway in {message.gateway for message in case.messages}:
        at_gateway = [message for message in case.messages if message.gateway == gateway]
        if len(at_gateway) > 1 and (
            gateway == IDEMPOTENT_GATEWAY or any(message.fault is not Fault.DENIES for message in at_gateway[:-1])
        ):
            yield f"{len(at_gateway)} messages at {gateway}"


def _not_sent_after_end(case: Case) -> Iterator[str]:
    """Nothing is sent after the verification ended, except by a call in progress."""
    ends_ms = case.record.ended_ms or case.record.expires_ms
    latest_ms = ends_ms + TIMEOUT_SECONDS * 1000 + case.observations.lag_ms + SLACK_MS
    for message in case.messages:
        if message.at_ms > latest_ms:
            yield f"a message {message.at_ms - ends_ms:.0f} ms after the end"


def _delivery_matches_message(case: Case) -> Iterator[str]:
    """If a gateway accepted the message, the delivery never says that it did not."""
    for message in case.known_messages:
        if (status := case.status_at(message.gateway)) not in _POSSIBLY_ACCEPTED:
            yield f"a message at {message.gateway}, which is {status or 'not recorded'}"


_INVARIANTS: Final[tuple[Callable[[Case], Iterator[str]], ...]] = (
    _has_message_or_error,
    _within_max_texts,
    _duplicates_have_a_cause,
    _one_code,
    _no_repeat_at_one_gateway,
    _not_sent_after_end,
    _delivery_matches_message,
)
