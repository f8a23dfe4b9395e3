"""What the retry policy never does, whatever the outcomes and however long the calls take."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.delivery.retry_policy import CallProvider, CodeLifetime, Finish, RetryRules, WaitFor, next_step
from otp_service.domain.channel_route import ChannelRoute
from otp_service.domain.message import Channel
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.verification import Delivery

NAMES = ("a", "b", "c", "d")
TTL_MS = 300_000
STEPS = 1_000

HOLDS_MS = st.sampled_from([0, 1, 1_000, 15_000, 120_000])


def split(ends: list[int]) -> tuple[ChannelRoute, ...]:
    """Return a route for each channel: the providers are split at `ends`."""
    parts = [NAMES[start:end] for start, end in pairwise([0, *sorted(ends)])]
    return tuple(ChannelRoute(channel, part) for channel, part in zip(Channel, parts, strict=False) if part)


routes = st.integers(0, 4).map(lambda count: split([count]))
channel_routes = st.lists(st.integers(0, 4), min_size=2, max_size=4).map(split)
rules = st.builds(RetryRules, hold_ms=HOLDS_MS, max_texts=st.integers(1, 4), channel_hold_ms=HOLDS_MS)
outcomes = st.sampled_from(list(Outcome))
durations = st.sampled_from([0, 1, 50, 8_000, 30_000])


class SimulatedMessage:
    """A message whose calls have the `scripted` outcomes and durations. No receipt comes."""

    def __init__(
        self, routes: tuple[ChannelRoute, ...], rules: RetryRules, scripted: list[tuple[Outcome, int]]
    ) -> None:
        self.routes, self.rules = routes, rules
        self.channel_of = {name: route.channel for route in routes for name in route.providers}
        self.route = tuple(self.channel_of)
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
                self.routes,
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
        self._deliveries[provider] = Delivery(
            provider, status, self.now, error, channel=self.channel_of[provider].value
        )

    def delivery(self, provider: str) -> Delivery:
        """Return the state of the message at a provider."""
        return self._deliveries[provider]


scripts = st.lists(st.tuples(outcomes, durations), max_size=12)
messages = st.builds(SimulatedMessage, routes, rules, scripts)
channel_messages = st.builds(SimulatedMessage, channel_routes, rules, scripts)
any_messages = st.one_of(messages, channel_messages)


@given(any_messages)
@settings(max_examples=150, deadline=None)
def test_provider_that_may_have_the_message_is_not_called_again(message: SimulatedMessage) -> None:
    """Neither after an acceptance nor after an ambiguous outcome; only providers of the route are called."""
    for _, step in message.steps():
        if isinstance(step, CallProvider):
            assert step.provider in message.route
            assert not any(p == step.provider and not o.definitely_not_sent for p, o in message.results)


@given(any_messages)
@settings(max_examples=150, deadline=None)
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


@given(any_messages)
@settings(max_examples=150, deadline=None)
def test_no_call_during_the_hold(message: SimulatedMessage) -> None:
    """No provider is called during the hold, and none at all with `hold_ms` 0."""
    for now, step in message.steps():
        if isinstance(step, CallProvider):
            assert message.rules.hold_ms > 0 or not any(o is Outcome.AMBIGUOUS for _, o in message.results)
            held = [d.at_ms for d in message._deliveries.values() if d.status == "unknown"]
            assert all(now >= at + message.rules.hold_ms for at in held)


@given(any_messages)
@settings(max_examples=150, deadline=None)
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


@given(channel_messages)
@settings(max_examples=150, deadline=None)
def test_only_a_later_channel_is_called_after_an_acceptance(message: SimulatedMessage) -> None:
    """And not before the time for a receipt has passed; with `channel_hold_ms` 0, none is called."""
    order = list(Channel)
    for now, step in message.steps():
        if isinstance(step, CallProvider):
            channel = order.index(message.channel_of[step.provider])
            for name in {name for name, outcome in message.results if outcome is Outcome.ACCEPTED}:
                assert 0 < message.rules.channel_hold_ms <= now - message.delivery(name).at_ms
                assert order.index(message.channel_of[name]) < channel


@given(channel_messages)
@settings(max_examples=150, deadline=None)
def test_a_rejected_recipient_is_final_for_the_channel(message: SimulatedMessage) -> None:
    """The other channels are still called."""
    for _, step in message.steps():
        if isinstance(step, CallProvider):
            rejected = {message.channel_of[name] for name, outcome in message.results if outcome.rejects_recipient}
            assert message.channel_of[step.provider] not in rejected


@given(channel_messages)
@settings(max_examples=150, deadline=None)
def test_channels_are_first_called_in_their_order(message: SimulatedMessage) -> None:
    """Also the providers of each: none is called for the first time before one that stands in front of it."""
    for _ in message.steps():
        pass
    first_calls = list(dict.fromkeys(name for name, _ in message.results))
    assert first_calls == sorted(first_calls, key=message.route.index)
