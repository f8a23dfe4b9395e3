"""CSU SMS Hub: one login for all, the two forms of its header, and never a text twice."""

import asyncio
import json
import time

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulators.http_server import Behaviour, Cut, Hang, Raw, Say, Slow
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from otp_service.sandbox.simulators.smshub import LIFETIME_SECONDS, SmshubSimulator, refusing
from tests.providers.smshub_kit import ACCEPTED, NOW, SENDING, Clock, count, hub, paths

PROGRAM = "D2B67BE0-79A2-49DD-9476-7C793FDC3297"


async def test_the_two_requests_are_exactly_these_bytes() -> None:
    """A login and a text by JSON, digits without a plus, a Bearer token, and nothing in an address."""
    simulator = SmshubSimulator(program_id=PROGRAM)
    async with hub(simulator, program=PROGRAM) as provider:
        assert await provider.send(SENDING) == ACCEPTED
    login, text = simulator.requests
    assert (login.method, login.target, login.body) == (
        "POST", "/Login", b'{"ProgramSID":"hub-sid","ProgramKey":"hub-key"}'
    )  # fmt: skip
    assert (text.method, text.target) == ("POST", "/TextMessages")
    assert text.body == (
        b'{"Message":"Acme: code 739251 \xe2\x9c\x93","PhoneNumber":"19706904544",'
        b'"ProgramId":"D2B67BE0-79A2-49DD-9476-7C793FDC3297"}'
    )
    assert {r.headers["content-type"] for r in (login, text)} == {"application/json; charset=utf-8"}
    assert "authorization" not in login.headers
    scheme, token = text.headers["authorization"].split(" ")
    assert scheme == "Bearer" and token.count(".") == 2
    assert [(m.to, m.text) for m in simulator.messages] == [("19706904544", SENDING.text)]


async def test_a_token_serves_many_texts_and_no_program_is_named_unasked() -> None:
    """Without a program id there is no such member; the second text needs no login."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        assert [await provider.send(SENDING) for _ in range(3)] == [ACCEPTED] * 3
    assert paths(simulator) == ["L", "T", "T", "T"]
    assert json.loads(simulator.requests[1].body).keys() == {"Message", "PhoneNumber"}


async def test_parallel_sends_share_one_login() -> None:
    """50 sends without a token: one login, 50 texts."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        assert await asyncio.gather(*(provider.send(SENDING) for _ in range(50))) == [ACCEPTED] * 50
    assert count(simulator) == (1, 50, 50)


async def test_parallel_sends_share_one_new_login() -> None:
    """50 sends with a token that the hub does not believe any more: 50 refusals, one login, 50 texts."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        await provider.send(SENDING)
        simulator.expire_tokens()
        assert await asyncio.gather(*(provider.send(SENDING) for _ in range(50))) == [ACCEPTED] * 50
    assert count(simulator) == (2, 101, 51)


async def test_parallel_sends_share_one_refused_login() -> None:
    """50 sends with a wrong key: one login, no text."""
    simulator = SmshubSimulator()
    async with hub(simulator, key="wrong") as provider:
        answers = await asyncio.gather(*(provider.send(SENDING) for _ in range(50)))
    assert {answer.outcome for answer in answers} == {Outcome.CONFIG_ERROR}
    assert count(simulator) == (1, 0, 0)


async def test_parallel_sends_find_the_raw_form() -> None:
    """50 sends to a hub that wants the bare token: each is refused once, none logs in again; then it is known."""
    simulator = SmshubSimulator(scheme="raw")
    async with hub(simulator) as provider:
        assert await asyncio.gather(*(provider.send(SENDING) for _ in range(50))) == [ACCEPTED] * 50
        assert count(simulator) == (1, 100, 50)
        assert await provider.send(SENDING) == ACCEPTED
        assert count(simulator) == (1, 101, 51)


async def test_one_who_gives_up_leaves_the_login_to_the_others() -> None:
    """A cancelled send does not break off the login that another waits for."""
    simulator = SmshubSimulator()
    simulator.script(Slow(0.2))
    async with hub(simulator) as provider:
        impatient = asyncio.create_task(provider.send(SENDING))
        patient = asyncio.create_task(provider.send(SENDING))
        while not simulator.requests:
            await asyncio.sleep(0.01)
        impatient.cancel()
        assert await patient == ACCEPTED
        assert impatient.cancelled()
    assert count(simulator) == (1, 1, 1)


async def test_a_token_is_renewed_before_it_ends() -> None:
    """Five minutes before `exp` it is used no more, though the hub would still take it."""
    clock = Clock()
    simulator = SmshubSimulator(clock=clock)
    async with hub(simulator, ours=clock) as provider:
        await provider.send(SENDING)
        clock.now = NOW + LIFETIME_SECONDS - 301
        await provider.send(SENDING)
        assert paths(simulator) == ["L", "T", "T"]
        clock.now += 1
        await provider.send(SENDING)
    assert paths(simulator) == ["L", "T", "T", "L", "T"]


async def test_a_token_that_is_short_lived_is_used_once() -> None:
    """Where every token ends within five minutes, each send logs in, and is sent."""
    simulator = SmshubSimulator(lifetime=60)
    async with hub(simulator) as provider:
        assert [await provider.send(SENDING) for _ in range(2)] == [ACCEPTED] * 2
    assert paths(simulator) == ["L", "T", "L", "T"]


async def test_what_a_hub_wants_may_change() -> None:
    """A form that worked is given up when the hub, asked with a fresh token, wants the other one."""
    simulator = SmshubSimulator(scheme="raw")
    async with hub(simulator) as provider:
        assert await provider.send(SENDING) == ACCEPTED
        simulator.scheme = "bearer"
        assert [await provider.send(SENDING) for _ in range(2)] == [ACCEPTED] * 2
    assert paths(simulator) == ["L", "T", "T", "T", "L", "T", "T", "T"]


async def test_a_hub_that_believes_nothing_is_asked_three_times_at_most() -> None:
    """The old token, one new login, and the fresh one in both forms: then it is the account's fault."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        await provider.send(SENDING)
        simulator.script(*[refusing(401)], None, *[refusing(401)] * 2)
        assert (await provider.send(SENDING)).outcome is Outcome.CONFIG_ERROR
        assert paths(simulator) == ["L", "T", "T", "L", "T", "T"]
        assert await provider.send(SENDING) == ACCEPTED  # the refused token was forgotten
    assert paths(simulator)[6:] == ["L", "T"]


@pytest.mark.parametrize("status", [400, 415])
async def test_a_login_by_form_is_found_and_kept(status: int) -> None:
    """A hub that reads forms only is asked by form after JSON once; the next login is by form at once."""
    simulator = SmshubSimulator(login_as="form", login_status=status)
    async with hub(simulator) as provider:
        assert await provider.send(SENDING) == ACCEPTED
        simulator.expire_tokens()
        assert await provider.send(SENDING) == ACCEPTED
    assert paths(simulator) == ["L", "L", "T", "T", "L", "T"]
    assert simulator.requests[4].body == b"ProgramSID=hub-sid&ProgramKey=hub-key"
    assert simulator.requests[4].headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("behaviour", "outcome", "logins"),
    [
        (refusing(400), Outcome.CONFIG_ERROR, 2),
        (refusing(401), Outcome.CONFIG_ERROR, 1),
        (refusing(403), Outcome.CONFIG_ERROR, 1),
        (refusing(404), Outcome.CONFIG_ERROR, 1),
        (refusing(429, headers={"Retry-After": "9"}), Outcome.THROTTLED, 1),
        (refusing(500), Outcome.TRANSIENT, 1),
        (refusing(200), Outcome.CONFIG_ERROR, 1),
        (Say(Answer(b"<html>a.b.c</html>")), Outcome.CONFIG_ERROR, 1),
        (Say(Answer(b'""')), Outcome.CONFIG_ERROR, 1),
        (Hang(), Outcome.TRANSIENT, 1),
        (Cut(), Outcome.TRANSIENT, 1),
        (Raw(b"?\r\n"), Outcome.TRANSIENT, 1),
    ],
)
async def test_a_login_that_fails_has_sent_nothing(behaviour: Behaviour, outcome: Outcome, logins: int) -> None:
    """No text is tried without a token, so no outcome of a login is ambiguous."""
    simulator = SmshubSimulator()
    simulator.always = behaviour
    async with hub(simulator, seconds=0.3) as provider:
        answer = await provider.send(SENDING)
    assert (answer.outcome, count(simulator)) == (outcome, (logins, 0, 0))
    assert answer.retry_after == (9.0 if outcome is Outcome.THROTTLED else None)


async def test_nobody_listening_is_transient() -> None:
    """Without a token the login cannot be made, with one the text cannot: neither was taken."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        await simulator.close()
        assert await provider.send(SENDING) == SendResult(Outcome.TRANSIENT)
        await simulator.listen()
        assert await provider.send(SENDING) == ACCEPTED
        await simulator.close()
        assert await provider.send(SENDING) == SendResult(Outcome.TRANSIENT)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "outcome", "taken"),
    [
        (Hang(), Outcome.AMBIGUOUS, 1),
        (Cut(), Outcome.AMBIGUOUS, 1),
        (Raw(b"?\r\n"), Outcome.AMBIGUOUS, 0),
        (refusing(500), Outcome.AMBIGUOUS, 0),
        (refusing(429), Outcome.THROTTLED, 0),
        (refusing(403), Outcome.CONFIG_ERROR, 0),
    ],
)
async def test_a_text_is_never_sent_twice(behaviour: Behaviour, outcome: Outcome, taken: int, known: bool) -> None:
    """Whatever goes wrong but a 401, a send is one text, with a token from before and with a fresh one."""
    simulator = SmshubSimulator()
    async with hub(simulator, seconds=0.5) as provider:
        if known:
            await provider.send(SENDING)
        before = count(simulator)
        simulator.script(*[None] * (not known), behaviour)
        assert (await provider.send(SENDING)).outcome is outcome
    assert [after - was for after, was in zip(count(simulator), before, strict=True)] == [int(not known), 1, taken]


async def test_a_send_takes_no_longer_with_its_login() -> None:
    """Login, text and repetition share one time."""
    simulator = SmshubSimulator()
    simulator.script(Slow(0.8), refusing(401), Hang())
    async with hub(simulator, seconds=1.0) as provider:
        started = time.monotonic()
        assert await provider.send(SENDING) == SendResult(Outcome.AMBIGUOUS)
        assert time.monotonic() - started < 1.5
        simulator.expire_tokens()
        simulator.script(Slow(0.8), Hang())
        started = time.monotonic()
        assert await provider.send(SENDING) == SendResult(Outcome.TRANSIENT)
        assert time.monotonic() - started < 1.5
