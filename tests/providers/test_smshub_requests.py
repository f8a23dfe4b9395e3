"""SMS Hub: shared logins, the two forms of the header, and that no message is sent twice."""

import asyncio
import json
import time

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang, Raw, Respond, Slow
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from otp_service.sandbox.simulators.smshub import LIFETIME_SECONDS, SmshubSimulator, refusal
from tests.providers.smshub_provider import ACCEPTED, MESSAGE, NOW, Clock, hub, request_counts, request_kinds

PROGRAM = "D2B67BE0-79A2-49DD-9476-7C793FDC3297"


async def test_login_and_message_requests_byte_for_byte() -> None:
    """Login and message are JSON, with the number in digits, a Bearer token and no query."""
    simulator = SmshubSimulator(program_id=PROGRAM)
    async with hub(simulator, program_id=PROGRAM) as provider:
        assert await provider.send(MESSAGE) == ACCEPTED
    login, message = simulator.requests
    assert (login.method, login.target, login.body) == (
        "POST", "/Login", b'{"ProgramSID":"hub-sid","ProgramKey":"hub-key"}'
    )  # fmt: skip
    assert (message.method, message.target) == ("POST", "/TextMessages")
    assert message.body == (
        b'{"Message":"Acme: code 739251 \xe2\x9c\x93","PhoneNumber":"19706904544",'
        b'"ProgramId":"D2B67BE0-79A2-49DD-9476-7C793FDC3297"}'
    )
    assert {r.headers["content-type"] for r in (login, message)} == {"application/json; charset=utf-8"}
    assert "authorization" not in login.headers
    scheme, token = message.headers["authorization"].split(" ")
    assert scheme == "Bearer" and token.count(".") == 2
    assert [(m.to, m.text) for m in simulator.messages] == [("19706904544", MESSAGE.text)]


async def test_token_is_reused_and_program_id_is_optional() -> None:
    """Later messages need no login; without a program id the request has no such member."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        assert [await provider.send(MESSAGE) for _ in range(3)] == [ACCEPTED] * 3
    assert request_kinds(simulator) == ["L", "T", "T", "T"]
    assert json.loads(simulator.requests[1].body).keys() == {"Message", "PhoneNumber"}


async def test_parallel_sends_share_one_login() -> None:
    """50 parallel sends without a token make one login and 50 messages."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        assert await asyncio.gather(*(provider.send(MESSAGE) for _ in range(50))) == [ACCEPTED] * 50
    assert request_counts(simulator) == (1, 50, 50)


async def test_parallel_sends_share_one_renewal() -> None:
    """50 parallel sends with an expired token make 50 refusals, one login and 50 messages."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        await provider.send(MESSAGE)
        simulator.expire_tokens()
        assert await asyncio.gather(*(provider.send(MESSAGE) for _ in range(50))) == [ACCEPTED] * 50
    assert request_counts(simulator) == (2, 101, 51)


async def test_parallel_sends_share_one_refused_login() -> None:
    """50 parallel sends with a wrong key make one login and no message."""
    simulator = SmshubSimulator()
    async with hub(simulator, key="wrong") as provider:
        results = await asyncio.gather(*(provider.send(MESSAGE) for _ in range(50)))
    assert {result.outcome for result in results} == {Outcome.CONFIG_ERROR}
    assert request_counts(simulator) == (1, 0, 0)


async def test_parallel_sends_find_the_bare_token_form() -> None:
    """50 sends to a hub that requires the bare token are each refused once, without a login; the form is kept."""
    simulator = SmshubSimulator(scheme="raw")
    async with hub(simulator) as provider:
        assert await asyncio.gather(*(provider.send(MESSAGE) for _ in range(50))) == [ACCEPTED] * 50
        assert request_counts(simulator) == (1, 100, 50)
        assert await provider.send(MESSAGE) == ACCEPTED
        assert request_counts(simulator) == (1, 101, 51)


async def test_cancelled_send_does_not_cancel_the_shared_login() -> None:
    """Cancelling a send does not cancel the login that another send waits for."""
    simulator = SmshubSimulator()
    simulator.script(Slow(0.2))
    async with hub(simulator) as provider:
        cancelled = asyncio.create_task(provider.send(MESSAGE))
        waiting = asyncio.create_task(provider.send(MESSAGE))
        while not simulator.requests:
            await asyncio.sleep(0.01)
        cancelled.cancel()
        assert await waiting == ACCEPTED
        assert cancelled.cancelled()
    assert request_counts(simulator) == (1, 1, 1)


async def test_token_is_renewed_before_it_expires() -> None:
    """A token is not used in the last five minutes before `exp`, although the hub would accept it."""
    clock = Clock()
    simulator = SmshubSimulator(clock=clock)
    async with hub(simulator, clock=clock) as provider:
        await provider.send(MESSAGE)
        clock.now = NOW + LIFETIME_SECONDS - 301
        await provider.send(MESSAGE)
        assert request_kinds(simulator) == ["L", "T", "T"]
        clock.now += 1
        await provider.send(MESSAGE)
    assert request_kinds(simulator) == ["L", "T", "T", "L", "T"]


async def test_short_lived_token_is_used_once() -> None:
    """If tokens are valid for less than five minutes, each send logs in first."""
    simulator = SmshubSimulator(lifetime=60)
    async with hub(simulator) as provider:
        assert [await provider.send(MESSAGE) for _ in range(2)] == [ACCEPTED] * 2
    assert request_kinds(simulator) == ["L", "T", "L", "T"]


async def test_header_form_follows_the_hub() -> None:
    """A header form that worked is replaced when the hub refuses it with a new token."""
    simulator = SmshubSimulator(scheme="raw")
    async with hub(simulator) as provider:
        assert await provider.send(MESSAGE) == ACCEPTED
        simulator.scheme = "bearer"
        assert [await provider.send(MESSAGE) for _ in range(2)] == [ACCEPTED] * 2
    assert request_kinds(simulator) == ["L", "T", "T", "T", "L", "T", "T", "T"]


async def test_message_is_posted_at_most_three_times() -> None:
    """After the stored token and a new token in both forms are refused, the outcome is `config_error`."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        await provider.send(MESSAGE)
        simulator.script(*[refusal(401)], None, *[refusal(401)] * 2)
        assert (await provider.send(MESSAGE)).outcome is Outcome.CONFIG_ERROR
        assert request_kinds(simulator) == ["L", "T", "T", "L", "T", "T"]
        assert await provider.send(MESSAGE) == ACCEPTED  # the refused token was forgotten
    assert request_kinds(simulator)[6:] == ["L", "T"]


@pytest.mark.parametrize("status", [400, 415])
async def test_login_as_form_is_found_and_kept(status: int) -> None:
    """A login that is refused as JSON is repeated as a form; the next login is a form at once."""
    simulator = SmshubSimulator(login_as="form", login_status=status)
    async with hub(simulator) as provider:
        assert await provider.send(MESSAGE) == ACCEPTED
        simulator.expire_tokens()
        assert await provider.send(MESSAGE) == ACCEPTED
    assert request_kinds(simulator) == ["L", "L", "T", "T", "L", "T"]
    assert simulator.requests[4].body == b"ProgramSID=hub-sid&ProgramKey=hub-key"
    assert simulator.requests[4].headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("behavior", "outcome", "logins"),
    [
        (refusal(400), Outcome.CONFIG_ERROR, 2),
        (refusal(401), Outcome.CONFIG_ERROR, 1),
        (refusal(403), Outcome.CONFIG_ERROR, 1),
        (refusal(404), Outcome.CONFIG_ERROR, 1),
        (refusal(429, headers={"Retry-After": "9"}), Outcome.THROTTLED, 1),
        (refusal(500), Outcome.TRANSIENT, 1),
        (refusal(200), Outcome.CONFIG_ERROR, 1),
        (Respond(Answer(b"<html>a.b.c</html>")), Outcome.CONFIG_ERROR, 1),
        (Respond(Answer(b'""')), Outcome.CONFIG_ERROR, 1),
        (Hang(), Outcome.TRANSIENT, 1),
        (Cut(), Outcome.TRANSIENT, 1),
        (Raw(b"?\r\n"), Outcome.TRANSIENT, 1),
    ],
)
async def test_failed_login_is_never_ambiguous(behavior: Behavior, outcome: Outcome, logins: int) -> None:
    """No message is sent without a token, so no outcome of a login is ambiguous."""
    simulator = SmshubSimulator()
    simulator.always = behavior
    async with hub(simulator, seconds=0.3) as provider:
        result = await provider.send(MESSAGE)
    assert (result.outcome, request_counts(simulator)) == (outcome, (logins, 0, 0))
    assert result.retry_after == (9.0 if outcome is Outcome.THROTTLED else None)


async def test_refused_connection_is_transient() -> None:
    """A refused connection of the login, or of the message, is transient."""
    simulator = SmshubSimulator()
    async with hub(simulator) as provider:
        await simulator.close()
        assert await provider.send(MESSAGE) == SendResult(Outcome.TRANSIENT)
        await simulator.listen()
        assert await provider.send(MESSAGE) == ACCEPTED
        await simulator.close()
        assert await provider.send(MESSAGE) == SendResult(Outcome.TRANSIENT)


@pytest.mark.parametrize("has_token", [False, True])
@pytest.mark.parametrize(
    ("behavior", "outcome", "accepted"),
    [
        (Hang(), Outcome.AMBIGUOUS, 1),
        (Cut(), Outcome.AMBIGUOUS, 1),
        (Raw(b"?\r\n"), Outcome.AMBIGUOUS, 0),
        (refusal(500), Outcome.AMBIGUOUS, 0),
        (refusal(429), Outcome.THROTTLED, 0),
        (refusal(403), Outcome.CONFIG_ERROR, 0),
    ],
)
async def test_failed_message_is_not_repeated(
    behavior: Behavior, outcome: Outcome, accepted: int, has_token: bool
) -> None:
    """After any failure except a 401, a send is one message request, with a stored or a new token."""
    simulator = SmshubSimulator()
    async with hub(simulator, seconds=0.5) as provider:
        if has_token:
            await provider.send(MESSAGE)
        before = request_counts(simulator)
        simulator.script(*[None] * (not has_token), behavior)
        assert (await provider.send(MESSAGE)).outcome is outcome
    added = [after - earlier for after, earlier in zip(request_counts(simulator), before, strict=True)]
    assert added == [int(not has_token), 1, accepted]


async def test_login_and_repetition_share_the_timeout() -> None:
    """Login, message and repetition together take no longer than the timeout."""
    simulator = SmshubSimulator()
    simulator.script(Slow(0.8), refusal(401), Hang())
    async with hub(simulator, seconds=1.0) as provider:
        started = time.monotonic()
        assert await provider.send(MESSAGE) == SendResult(Outcome.AMBIGUOUS)
        assert time.monotonic() - started < 1.5
        simulator.expire_tokens()
        simulator.script(Slow(0.8), Hang())
        started = time.monotonic()
        assert await provider.send(MESSAGE) == SendResult(Outcome.TRANSIENT)
        assert time.monotonic() - started < 1.5
