"""The judge of `make chaos` sees every promise that is broken, and no promise broken where none is."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.verification import Delivery, VerificationRecord
from tests.chaos.concurrent_callers import LOST, Ask
from tests.chaos.gateway_faults import Mood, Text
from tests.chaos.invariants import DENIED, judge
from tests.chaos.scenario import Plan
from tests.chaos.scenario_run import Found

NUMBER, ID, CODE = "6281200100000", "Averification", "123456"
EXPIRES_MS = 25_000


def text(gateway: str = "jakarta", at_ms: float = 100, mood: Mood = Mood.TAKES, **other: Any) -> Text:
    """Make a text of the one message."""
    return Text(gateway, other.get("number", NUMBER), other.get("code", CODE), at_ms, mood, other.get("reference", ""))


def story(*texts: Text, deliveries: str = "jakarta sent", **other: Any) -> Found:
    """Make what was found of one caller; `deliveries`: provider, status and error, `?` behind one that was doubtful."""
    told = [one.split() for one in deliveries.split(", ")] if deliveries else []
    record = VerificationRecord(
        tenant="acme", purpose="login", recipient="r", created_ms=0, expires_ms=EXPIRES_MS, attempts_left=5,
        ended_ms=other.get("ended_ms", 0), key_id="k1", code_hash="", phone="", channel="sms", country="ID", locale="",
        code_length=6, resend_ms=0, sends_left=1, code_created_ms=0,
        deliveries=tuple(
            Delivery(one[0], DeliveryStatus(one[1]), 0, ambiguous_since_ms=500 if one[-1] == "?" else 0) for one in told
        ),
    )  # fmt: skip
    states = [{"provider": one[0], "status": one[1], "error": one[2] if one[2:] else None} for one in told]
    return Found(
        plan=Plan.of(1),
        asks=[Ask(NUMBER, "key", 0, other.get("answers", ["202"]), set(other.get("ids", (ID,))))],
        texts=list(texts),
        states={ID: {"status": other.get("status", "pending"), "deliveries": states}},
        records=other.get("records", {ID: record}),
        strays=set(other.get("strays", ())),
        settled=other.get("settled", True),
        in_flight=1,
        kills_ms=[300],
        downs_ms={"jakarta": [], "keda": [2000], "aurora": []},
        lag_ms=20,
        seconds=1,
        log=other.get("log", ""),
        wrong=list(other.get("wrong", ())),
    )


KEPT = {
    "one text": (story(text()), {}, {}),
    "a failure": (story(deliveries="jakarta failed transient"), {}, {"transient": 1}),
    "a doubt": (story(deliveries="jakarta unknown ambiguous"), {}, {"ambiguous": 1}),
    "called off": (story(deliveries="", status="canceled", ended_ms=50), {}, {"called off": 1}),
    "silence": (
        story(text(mood=Mood.HANGS), text("keda", 1600), deliveries="jakarta unknown ambiguous ?, keda sent"),
        {"hung": 1},
        {},
    ),
    "a late receipt": (
        story(text(mood=Mood.CUTS), text("keda", 1600), deliveries="jakarta delivered ?, keda sent"),
        {"cut": 1},
        {},
    ),
    "a kill": (
        story(text(), text("keda", 1600), deliveries="jakarta unknown ambiguous ?, keda sent"),
        {"killed": 1},
        {},
    ),
    "an outage": (
        story(text("keda", 1900), text(at_ms=3500), deliveries="keda unknown ambiguous ?, jakarta sent"),
        {"outage": 1},
        {},
    ),
    "undelivered": (
        story(text(), text("keda", 1600), deliveries="jakarta undelivered, keda sent"),
        {"undelivered": 1},
        {},
    ),
    "denials": (
        story(
            text(mood=Mood.DENIES),
            text("keda", 200, Mood.DENIES),
            text(at_ms=900),
            deliveries="keda failed, jakarta sent",
        ),
        {DENIED: 2},
        {},
    ),
    "a call under way at the end": (story(text(at_ms=800), status="canceled", ended_ms=300), {}, {}),
    "a lost answer": (story(text(), answers=[LOST, "202"]), {}, {}),
    "nobody told": (story(text(), ids=(), answers=[LOST], strays=("B",)), {}, {}),
}


@pytest.mark.parametrize("name", KEPT)
def test_it_lets_pass_what_is_right(name: str) -> None:
    """What may happen breaks nothing, and is counted by its cause."""
    found, doubled, textless = KEPT[name]
    verdict = judge(found)

    assert verdict.breaches == []
    assert (dict(verdict.doubled), dict(verdict.textless)) == (doubled, textless)


BROKEN = {
    "no text and no failure": story(deliveries=""),
    "still under way": story(deliveries="jakarta queued transient"),
    "3 texts": story(
        text(mood=Mood.HANGS),
        text("keda", 1600, Mood.HANGS),
        text("aurora", 3000),
        deliveries="jakarta unknown ?, keda unknown ?, aurora sent",
    ),
    "without a cause": story(text(), text("keda", 1600), deliveries="jakarta sent, keda sent"),
    "different codes": story(
        text(), text("keda", 1600, code="654321"), deliveries="jakarta undelivered, keda delivered"
    ),
    "two verifications": story(text(), ids=(ID, "B"), records=dict.fromkeys((ID, "B"), story().records[ID])),
    "a text of {'B'}": story(text("keda", reference="B"), deliveries="keda sent"),
    "2 texts at keda": story(text("keda", mood=Mood.CUTS), text("keda", 1600), deliveries="keda unknown ?"),
    "2 texts at aurora": story(text("aurora", mood=Mood.DENIES), text("aurora", 1600), deliveries="aurora sent"),
    "571 ms after the end": story(text(at_ms=871), status="canceled", ended_ms=300),
    "ms after the end": story(text(at_ms=EXPIRES_MS + 600), status="expired"),
    "which is failed": story(text(mood=Mood.PAGE), deliveries="jakarta failed transient"),
    "which is not told": story(text(), deliveries="keda sent"),
    "never settled": story(text(), settled=False),
    "nobody was told of": story(text(), strays=("B",)),
    "traceback": story(text(), log="Traceback (most recent call last)"),
    "stands in a log": story(text(), log=f"to {NUMBER}"),
    "is not in the store": story(text(), records={}),
    "a receipt was refused": story(text(), wrong=("a receipt was refused",)),
}


@pytest.mark.parametrize("breach", BROKEN)
def test_it_sees_what_is_broken(breach: str) -> None:
    """Each broken promise is told in its own words."""
    assert any(breach in told for told in judge(BROKEN[breach]).breaches)


def test_it_knows_what_a_dead_process_had_begun() -> None:
    """A verification from before the kill is one that the lost answer was about."""
    verdict = judge(story(text(), answers=[LOST, "idempotency_in_flight", "202"]))

    assert (dict(verdict.repeated), verdict.begun) == ({LOST: 1}, 1)


def test_a_seed_draws_the_same_story_again() -> None:
    """A story that broke something can be played again."""
    assert [Plan.of(seed) for seed in range(1, 30)] == [Plan.of(seed) for seed in range(1, 30)]
    assert len({Plan.of(seed) for seed in range(1, 30)}) == 29
