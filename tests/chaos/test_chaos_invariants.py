"""The checks of `make chaos` find every violated invariant, and report none where none is violated."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.verification import Delivery, VerificationRecord
from tests.chaos.concurrent_callers import LOST, Caller
from tests.chaos.gateway_faults import AcceptedMessage, Fault
from tests.chaos.invariants import DENIED, check_invariants
from tests.chaos.scenario import Scenario
from tests.chaos.scenario_run import Observations

NUMBER, ID, CODE = "6281200100000", "Averification", "123456"
EXPIRES_MS = 25_000


def message(gateway: str = "jakarta", at_ms: float = 100, fault: Fault = Fault.NONE, **other: Any) -> AcceptedMessage:
    """Return an accepted message to the caller."""
    return AcceptedMessage(
        gateway, other.get("number", NUMBER), other.get("code", CODE), at_ms, fault, other.get("reference", "")
    )


def observed(*messages: AcceptedMessage, deliveries: str = "jakarta sent", **other: Any) -> Observations:
    """Return observations of one caller; `deliveries`: provider, status, error, and `?` after an ambiguous one."""
    parts = [part.split() for part in deliveries.split(", ")] if deliveries else []
    record = VerificationRecord(
        tenant="acme", purpose="login", recipient="r", created_ms=0, expires_ms=EXPIRES_MS, attempts_left=5,
        ended_ms=other.get("ended_ms", 0), key_id="k1", code_hash="", phone="", channel="sms", country="ID", locale="",
        code_length=6, resend_ms=0, sends_left=1, code_created_ms=0,
        deliveries=tuple(
            Delivery(one[0], DeliveryStatus(one[1]), 0, ambiguous_since_ms=500 if one[-1] == "?" else 0)
            for one in parts
        ),
    )  # fmt: skip
    states = [{"provider": one[0], "status": one[1], "error": one[2] if one[2:] else None} for one in parts]
    return Observations(
        scenario=Scenario.of(1),
        callers=[Caller(NUMBER, "key", 0, other.get("responses", ["202"]), set(other.get("ids", (ID,))))],
        messages=list(messages),
        states={ID: {"status": other.get("status", "pending"), "deliveries": states}},
        records=other.get("records", {ID: record}),
        unreported_ids=set(other.get("unreported_ids", ())),
        settled=other.get("settled", True),
        in_flight=1,
        kills_ms=[300],
        outages_ms={"jakarta": [], "keda": [2000], "aurora": []},
        lag_ms=20,
        seconds=1,
        log=other.get("log", ""),
        errors=list(other.get("errors", ())),
    )


VALID = {
    "one message": (observed(message()), {}, {}),
    "a rejection": (observed(deliveries="jakarta failed transient"), {}, {"transient": 1}),
    "an ambiguous result": (observed(deliveries="jakarta unknown ambiguous"), {}, {"ambiguous": 1}),
    "canceled": (observed(deliveries="", status="canceled", ended_ms=50), {}, {"canceled": 1}),
    "no response": (
        observed(
            message(fault=Fault.HANGS), message("keda", 1600), deliveries="jakarta unknown ambiguous ?, keda sent"
        ),
        {"hung": 1},
        {},
    ),
    "a late receipt": (
        observed(message(fault=Fault.CUTS), message("keda", 1600), deliveries="jakarta delivered ?, keda sent"),
        {"cut": 1},
        {},
    ),
    "a kill": (
        observed(message(), message("keda", 1600), deliveries="jakarta unknown ambiguous ?, keda sent"),
        {"killed": 1},
        {},
    ),
    "an outage": (
        observed(message("keda", 1900), message(at_ms=3500), deliveries="keda unknown ambiguous ?, jakarta sent"),
        {"outage": 1},
        {},
    ),
    "undelivered": (
        observed(message(), message("keda", 1600), deliveries="jakarta undelivered, keda sent"),
        {"undelivered": 1},
        {},
    ),
    "denials": (
        observed(
            message(fault=Fault.DENIES),
            message("keda", 200, Fault.DENIES),
            message(at_ms=900),
            deliveries="keda failed, jakarta sent",
        ),
        {DENIED: 2},
        {},
    ),
    "a call in progress at the end": (observed(message(at_ms=800), status="canceled", ended_ms=300), {}, {}),
    "a lost response": (observed(message(), responses=[LOST, "202"]), {}, {}),
    "response never received": (observed(message(), ids=(), responses=[LOST], unreported_ids=("B",)), {}, {}),
}


@pytest.mark.parametrize("name", VALID)
def test_valid_observations_violate_nothing(name: str) -> None:
    """They are counted by their cause."""
    observations, duplicates, unsent = VALID[name]
    report = check_invariants(observations)

    assert report.violations == []
    assert (dict(report.duplicates), dict(report.unsent)) == (duplicates, unsent)


VIOLATED = {
    "no message and no error": observed(deliveries=""),
    "still in progress": observed(deliveries="jakarta queued transient"),
    "3 messages": observed(
        message(fault=Fault.HANGS),
        message("keda", 1600, Fault.HANGS),
        message("aurora", 3000),
        deliveries="jakarta unknown ?, keda unknown ?, aurora sent",
    ),
    "without a cause": observed(message(), message("keda", 1600), deliveries="jakarta sent, keda sent"),
    "different codes": observed(
        message(), message("keda", 1600, code="654321"), deliveries="jakarta undelivered, keda delivered"
    ),
    "two verifications": observed(message(), ids=(ID, "B"), records=dict.fromkeys((ID, "B"), observed().records[ID])),
    "a message of {'B'}": observed(message("keda", reference="B"), deliveries="keda sent"),
    "2 messages at keda": observed(
        message("keda", fault=Fault.CUTS), message("keda", 1600), deliveries="keda unknown ?"
    ),
    "2 messages at aurora": observed(
        message("aurora", fault=Fault.DENIES), message("aurora", 1600), deliveries="aurora sent"
    ),
    "571 ms after the end": observed(message(at_ms=871), status="canceled", ended_ms=300),
    "ms after the end": observed(message(at_ms=EXPIRES_MS + 600), status="expired"),
    "which is failed": observed(message(fault=Fault.PAGE), deliveries="jakarta failed transient"),
    "which is not recorded": observed(message(), deliveries="keda sent"),
    "never settled": observed(message(), settled=False),
    "that no caller received": observed(message(), unreported_ids=("B",)),
    "traceback": observed(message(), log="Traceback (most recent call last)"),
    "is in a log": observed(message(), log=f"to {NUMBER}"),
    "is not in the store": observed(message(), records={}),
    "a receipt was refused": observed(message(), errors=("a receipt was refused",)),
}


@pytest.mark.parametrize("violation", VIOLATED)
def test_violated_invariant_is_found(violation: str) -> None:
    """Each violation has a description of its own."""
    assert any(violation in words for words in check_invariants(VIOLATED[violation]).violations)


def test_verification_started_before_the_kill_is_counted() -> None:
    """A verification from before the kill belongs to the lost response."""
    report = check_invariants(observed(message(), responses=[LOST, "idempotency_in_flight", "202"]))

    assert (dict(report.accepted_on_retry), report.started_before_kill) == ({LOST: 1}, 1)


def test_seed_reproduces_its_scenario() -> None:
    """A scenario that violated an invariant can be run again."""
    assert [Scenario.of(seed) for seed in range(1, 30)] == [Scenario.of(seed) for seed in range(1, 30)]
    assert len({Scenario.of(seed) for seed in range(1, 30)}) == 29
