"""What the plan never does, whatever the gateways say and however long they take."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.delivery.retry_policy import CallProvider, Finish, RetryRules, WaitFor, next_step
from otp_service.delivery.retry_policy import CodeLifetime as Moment
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.verification import Delivery

NAMES = ("a", "b", "c", "d")
TTL_MS = 300_000
STEPS = 1_000

routes = st.integers(0, 4).map(lambda count: NAMES[:count])
rules = st.builds(RetryRules, hold_ms=st.sampled_from([0, 1, 1_000, 15_000, 120_000]), max_texts=st.integers(1, 4))
outcomes = st.sampled_from(list(Outcome))
took = st.sampled_from([0, 1, 50, 8_000, 30_000])


class CodeLifetime:
    """A message on its way: gateways say what `scripted` says, and time passes as the plan and they want it."""

    def __init__(self, route: tuple[str, ...], rules: RetryRules, scripted: list[tuple[Outcome, int]]) -> None:
        self.route, self.rules = route, rules
        self.told: list[tuple[str, Outcome]] = []
        self.now = 0
        self._scripted = iter(scripted)
        self._deliveries: dict[str, Delivery] = {}

    def steps(self) -> Iterator[tuple[int, CallProvider | WaitFor | Finish]]:
        """Give every step and its moment, until the plan stops or the code is over."""
        for _ in range(STEPS):
            if self.now >= TTL_MS:
                return
            step = next_step(
                tuple(self._deliveries.values()),
                self.route,
                self.rules,
                Moment(0, TTL_MS, self.now),
            )
            yield self.now, step
            match step:
                case CallProvider(provider):
                    self._tell(provider)
                case WaitFor(ms):
                    self.now += ms
                case Finish():
                    return
        raise AssertionError("it does not end")

    def _tell(self, provider: str) -> None:
        outcome, ms = next(self._scripted, (Outcome.TRANSIENT, 0))
        self.now += ms
        self.told.append((provider, outcome))
        status = {Outcome.ACCEPTED: DeliveryStatus.SENT, Outcome.AMBIGUOUS: DeliveryStatus.UNKNOWN}.get(
            outcome, DeliveryStatus.QUEUED if outcome.retryable else DeliveryStatus.FAILED
        )
        error = "" if outcome is Outcome.ACCEPTED else outcome.value
        self._deliveries[provider] = Delivery(provider, status, self.now, error)


lives = st.builds(CodeLifetime, routes, rules, st.lists(st.tuples(outcomes, took), max_size=12))


@given(lives)
@settings(max_examples=100, deadline=None)
def test_who_may_have_the_text_is_never_asked_again(life: CodeLifetime) -> None:
    """Neither after an acceptance nor after an ambiguous outcome; a provider of the route is asked, and no other."""
    for _, step in life.steps():
        if isinstance(step, CallProvider):
            assert step.provider in life.route
            assert not any(p == step.provider and not o.definitely_not_sent for p, o in life.told)


@given(lives)
@settings(max_examples=100, deadline=None)
def test_no_more_gateways_may_have_the_text_than_is_allowed(life: CodeLifetime) -> None:
    """`max_texts` holds over the whole life."""
    for _ in life.steps():
        pass
    assert sum(not outcome.definitely_not_sent for _, outcome in life.told) <= life.rules.max_texts


@given(lives)
@settings(max_examples=100, deadline=None)
def test_nothing_is_tried_after_a_last_word(life: CodeLifetime) -> None:
    """An acceptance, or a verdict about the recipient, is the last that is heard."""
    for _ in life.steps():
        pass
    assert not any(o is Outcome.ACCEPTED or o.rejects_recipient for _, o in life.told[:-1])


@given(lives)
@settings(max_examples=100, deadline=None)
def test_an_ambiguous_outcome_is_held(life: CodeLifetime) -> None:
    """Nobody is asked before the hold is over, and with hold 0 nobody at all."""
    for now, step in life.steps():
        if isinstance(step, CallProvider):
            assert all(o.definitely_not_sent or life.rules.hold_ms > 0 for _, o in life.told)
            held = [d.at_ms for d in life._deliveries.values() if d.status == "unknown"]
            assert all(now >= at + life.rules.hold_ms for at in held)


@given(lives)
@settings(max_examples=100, deadline=None)
def test_waits_are_for_something_and_end_before_the_code(life: CodeLifetime) -> None:
    """A wait is at least a millisecond and ends while the code lives; so every life ends."""
    for now, step in life.steps():
        if isinstance(step, WaitFor):
            assert step.ms > 0
            assert now + step.ms < TTL_MS


@given(lives)
@settings(max_examples=100, deadline=None)
def test_everybody_is_asked_before_anybody_is_asked_again(life: CodeLifetime) -> None:
    """Fail over first."""
    for _ in life.steps():
        pass
    asked = [provider for provider, _ in life.told]
    assert asked[: len(life.route)] == list(life.route)[: len(asked)]
