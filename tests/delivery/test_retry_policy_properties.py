"""What the retry policy never does, whatever the outcomes and however long the calls take."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.delivery.retry_policy import CallProvider, CodeLifetime, Finish, RetryRules, WaitFor, next_step
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.verification import Delivery

NAMES = ("a", "b", "c", "d")
TTL_MS = 300_000
STEPS = 1_000

routes = st.integers(0, 4).map(lambda count: NAMES[:count])
rules = st.builds(RetryRules, hold_ms=st.sampled_from([0, 1, 1_000, 15_000, 120_000]), max_texts=st.integers(1, 4))
outcomes = st.sampled_from(list(Outcome))
durations = st.sampled_from([0, 1, 50, 8_000, 30_000])


class SimulatedMessage:
    """A message whose calls have the `scripted` outcomes and durations."""

    def __init__(self, route: tuple[str, ...], rules: RetryRules, scripted: list[tuple[Outcome, int]]) -> None:
        self.route, self.rules = route, rules
        self.results: list[tuple[str, Outcome]] = []
        self.now = 0
        self._scripted = iter(scripted)
        self._deliveries: dict[str, Delivery] = {}

    def steps(self) -> Iterator[tuple[int, CallProvider | WaitFor | Finish]]:
        """Yield each step with its time, until the policy finishes or the code expires."""
        for _ in range(STEPS):
            if self.now >= TTL_MS:
                return
            step = next_step(
                tuple(self._deliveries.values()),
                self.route,
                self.rules,
                CodeLifetime(0, TTL_MS, self.now),
            )
            yield self.now, step
            match step:
                case CallProvider(provider):
                    self._call(provider)
                case WaitFor(ms):
                    self.now += ms
                case Finish():
                    return
        raise AssertionError("the policy does not finish")

    def _call(self, provider: str) -> None:
        outcome, ms = next(self._scripted, (Outcome.TRANSIENT, 0))
        self.now += ms
        self.results.append((provider, outcome))
        status = {Outcome.ACCEPTED: DeliveryStatus.SENT, Outcome.AMBIGUOUS: DeliveryStatus.UNKNOWN}.get(
            outcome, DeliveryStatus.QUEUED if outcome.retryable else DeliveryStatus.FAILED
        )
        error = "" if outcome is Outcome.ACCEPTED else outcome.value
        self._deliveries[provider] = Delivery(provider, status, self.now, error)


messages = st.builds(SimulatedMessage, routes, rules, st.lists(st.tuples(outcomes, durations), max_size=12))


@given(messages)
@settings(max_examples=100, deadline=None)
def test_provider_that_may_have_the_message_is_not_called_again(message: SimulatedMessage) -> None:
    """Neither after an acceptance nor after an ambiguous outcome; only providers of the route are called."""
    for _, step in message.steps():
        if isinstance(step, CallProvider):
            assert step.provider in message.route
            assert not any(p == step.provider and not o.definitely_not_sent for p, o in message.results)


@given(messages)
@settings(max_examples=100, deadline=None)
def test_max_texts_is_never_exceeded(message: SimulatedMessage) -> None:
    """At most `max_texts` providers may have accepted the message."""
    for _ in message.steps():
        pass
    assert sum(not outcome.definitely_not_sent for _, outcome in message.results) <= message.rules.max_texts


@given(messages)
@settings(max_examples=100, deadline=None)
def test_no_call_after_a_final_outcome(message: SimulatedMessage) -> None:
    """An acceptance or a rejected recipient is the last outcome."""
    for _ in message.steps():
        pass
    assert not any(o is Outcome.ACCEPTED or o.rejects_recipient for _, o in message.results[:-1])


@given(messages)
@settings(max_examples=100, deadline=None)
def test_no_call_during_the_hold(message: SimulatedMessage) -> None:
    """No provider is called during the hold, and none at all with `hold_ms` 0."""
    for now, step in message.steps():
        if isinstance(step, CallProvider):
            assert all(o.definitely_not_sent or message.rules.hold_ms > 0 for _, o in message.results)
            held = [d.at_ms for d in message._deliveries.values() if d.status == "unknown"]
            assert all(now >= at + message.rules.hold_ms for at in held)


@given(messages)
@settings(max_examples=100, deadline=None)
def test_waits_are_positive_and_end_before_expiry(message: SimulatedMessage) -> None:
    """Each wait is at least one millisecond and ends before the code expires, so every message ends."""
    for now, step in message.steps():
        if isinstance(step, WaitFor):
            assert step.ms > 0
            assert now + step.ms < TTL_MS


@given(messages)
@settings(max_examples=100, deadline=None)
def test_all_providers_are_called_before_any_retry(message: SimulatedMessage) -> None:
    """Fail over comes before a retry."""
    for _ in message.steps():
        pass
    called = [provider for provider, _ in message.results]
    assert called[: len(message.route)] == list(message.route)[: len(called)]
