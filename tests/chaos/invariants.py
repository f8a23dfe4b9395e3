"""What a story has shown: which promises were broken, and why a recipient got a second text.

A text that a gateway denies to have taken is beyond the service's knowledge: what follows from it is counted apart,
and breaks no promise. Every other text is one that the service has to reckon with, whatever it heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from otp_service.domain.verification import VerificationRecord
from tests.chaos.concurrent_callers import LOST, Ask
from tests.chaos.gateway_faults import Mood, Text
from tests.chaos.scenario import MAX_TEXTS, TIMEOUT_SECONDS
from tests.chaos.scenario_run import Found

__all__ = ["DENIED", "Verdict", "judge"]

DENIED: Final = "denied"
"""The cause of a second text that no service can help."""

CALLED_OFF: Final = "called off"
ONCE: Final = "aurora"
"""The gateway that sends a message once, however often it is asked for it."""

KILLED_MS: Final = 1_500
"""A call's lease: whoever is killed within it has not written down what it heard."""

SLACK_MS: Final = 50
_UNDER_WAY: Final = frozenset({"queued", "sending"})
_ENDED_BADLY: Final = frozenset({"failed", "unknown", "undelivered"})
_MAYBE_THERE: Final = frozenset({"sent", "delivered", "unknown", "undelivered"})


@dataclass
class Verdict:
    """One seed's figures. `repeated` is who got a 202 only on asking again, by what came first: `LOST`, or a refusal.

    `begun` are those of the lost whose verification the dead process had made. `never` is who was never told of one,
    by the last answer that it got.
    """

    seed: int
    accepted: int = 0
    repeated: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    never: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    doubled: Counter[str] = field(default_factory=Counter)
    textless: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """One verification that somebody was told of."""

    found: Found
    ask: Ask
    state: dict[str, Any]
    record: VerificationRecord
    texts: Sequence[Text]

    @property
    def owned(self) -> list[Text]:
        """The texts that the service has to reckon with."""
        return [text for text in self.texts if text.mood is not Mood.DENIES]

    def status_at(self, gateway: str) -> str:
        """Say how it stands at a gateway, "" if that was not asked."""
        return next((str(one["status"]) for one in self.state["deliveries"] if one["provider"] == gateway), "")

    def __str__(self) -> str:
        began = self.record.created_ms
        texts = [f"{text.gateway} {text.mood.value} +{text.at_ms - began:.0f}" for text in self.texts]
        at = [
            (one.provider, one.status, one.error, one.at_ms - began, one.ambiguous_since_ms)
            for one in self.record.deliveries
        ]
        return f"{self.ask.number} {self.ask.answers} {self.state['status']} {at} texts {texts}"


def judge(found: Found) -> Verdict:
    """Add up what was found, and say what was broken."""
    verdict = Verdict(found.plan.seed, texts=len(found.texts), breaches=list(found.wrong))
    verdict.breaches += _of_the_whole(found)
    for ask in found.asks:
        if not ask.id:
            verdict.never[ask.answers[-1]] += 1
        elif ask.id not in found.records:
            verdict.breaches.append(f"{ask.number}: {ask.id} is not in the store")
        else:
            texts = [text for text in found.texts if text.number == ask.number]
            _count(verdict, Case(found, ask, found.states[ask.id], found.records[ask.id], texts))
    return verdict


def _of_the_whole(found: Found) -> Iterator[str]:
    never = [ask.number for ask in found.asks if not ask.id]
    if not found.settled:
        yield "it never settled"
    if len(found.strays) > len(never):
        yield f"{len(found.strays)} verifications that nobody was told of, and {len(never)} callers without one"
    if "Traceback" in found.log:
        yield "a process logged a traceback"
    for ask in found.asks:
        if ask.number in found.log:
            yield f"{ask.number} stands in a log"


def _count(verdict: Verdict, case: Case) -> None:
    verdict.accepted += 1
    first = case.ask.answers[0]
    if first != "202":
        verdict.repeated[first] += 1
        verdict.begun += first == LOST and any(case.record.created_ms < killed for killed in case.found.kills_ms)
    if not case.texts:
        verdict.textless[_failure(case)] += 1
    for at, text in enumerate(case.texts[1:], 1):
        verdict.doubled[_cause(case, case.texts[:at], text)] += 1
    verdict.breaches += [f"{breach}: {case}" for law in _LAWS for breach in law(case)]


def _failure(case: Case) -> str:
    """Name what is recorded of a verification without a text, "" if nothing is."""
    bad = [one for one in case.state["deliveries"] if one["status"] in _ENDED_BADLY]
    if not bad:
        return CALLED_OFF if case.state["status"] == "canceled" else ""
    doubtful = any(one["status"] == "unknown" for one in bad)
    return "ambiguous" if doubtful else str(bad[-1]["error"])


def _cause(case: Case, before: Sequence[Text], text: Text) -> str:
    """Say why `text` was sent although those `before` it were, "" if nothing in the deliveries says why."""
    first = next((one for one in before if one.mood is not Mood.DENIES), None)
    if first is None:
        return DENIED
    if case.status_at(first.gateway) == "undelivered":
        return "undelivered"
    doubtful = any(one.provider == first.gateway and one.ambiguous_since_ms for one in case.record.deliveries)
    return _silence(case.found, first) if doubtful else ""


def _silence(found: Found, text: Text) -> str:
    """Say why nobody heard that a text was taken."""
    if text.mood not in (Mood.TAKES, Mood.SLOW):
        return text.mood.value
    if any(-SLACK_MS < killed - text.at_ms < KILLED_MS for killed in found.kills_ms):
        return "killed"
    if any(0 <= down - text.at_ms < TIMEOUT_SECONDS * 1000 for down in found.downs_ms[text.gateway]):
        return "outage"
    return "unheard"


def _ends_told(case: Case) -> Iterator[str]:
    """It has a text, or a recorded failure, or was called off; and nothing is under way."""
    if not case.texts and not _failure(case):
        yield "no text and no failure"
    if any(one["status"] in _UNDER_WAY for one in case.state["deliveries"]):
        yield "a delivery is still under way"


def _few_enough(case: Case) -> Iterator[str]:
    """No more than `max_texts` gateways have taken it."""
    if len(case.owned) > MAX_TEXTS:
        yield f"{len(case.owned)} texts"


def _doubled_for_a_cause(case: Case) -> Iterator[str]:
    """Every text after the first has its cause in the deliveries."""
    for at, text in enumerate(case.texts[1:], 1):
        if not _cause(case, case.texts[:at], text):
            yield f"another text at {text.gateway} without a cause"


def _one_code(case: Case) -> Iterator[str]:
    """All texts carry the same code, and name the verification that the caller was told of."""
    if len({text.code for text in case.texts}) > 1:
        yield "texts with different codes"
    if len(case.ask.ids) > 1:
        yield "two verifications under one key"
    if strangers := {text.reference for text in case.texts} - {"", *case.ask.ids}:
        yield f"a text of {strangers}"


def _asked_once(case: Case) -> Iterator[str]:
    """A gateway that may have it is not asked again, but for the one that sends it once."""
    for gateway in {text.gateway for text in case.texts}:
        here = [text for text in case.texts if text.gateway == gateway]
        if len(here) > 1 and (gateway == ONCE or any(text.mood is not Mood.DENIES for text in here[:-1])):
            yield f"{len(here)} texts at {gateway}"


def _in_time(case: Case) -> Iterator[str]:
    """Nothing is sent of what has ended, but for a call that was under way."""
    ends_ms = case.record.ended_ms or case.record.expires_ms
    latest_ms = ends_ms + TIMEOUT_SECONDS * 1000 + case.found.lag_ms + SLACK_MS
    for text in case.texts:
        if text.at_ms > latest_ms:
            yield f"a text {text.at_ms - ends_ms:.0f} ms after the end"


def _reckoned_with(case: Case) -> Iterator[str]:
    """Where a text is, it is never told as one that is not there."""
    for text in case.owned:
        if (status := case.status_at(text.gateway)) not in _MAYBE_THERE:
            yield f"a text at {text.gateway}, which is {status or 'not told'}"


_LAWS: Final[tuple[Callable[[Case], Iterator[str]], ...]] = (
    _ends_told,
    _few_enough,
    _doubled_for_a_cause,
    _one_code,
    _asked_once,
    _in_time,
    _reckoned_with,
)
