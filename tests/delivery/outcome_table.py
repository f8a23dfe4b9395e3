"""The table of delivery outcomes: for each gateway type and outcome, what the whole service does.

Each row runs a service with two gateways: the one under test, scripted to fail in a certain way, and an EIMS gateway
behind it. `python -m tests.delivery.outcome_table` runs all rows and prints the observations.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pytest
from structlog.testing import capture_logs

from otp_service.delivery import outbox_worker
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators import eims, kedasms, sendcloud, smshub
from otp_service.sandbox.simulators.http_server import Cut, Down, Hang, Respond, ScriptStep, SimulatorResponse
from tests.delivery.gateway_pairs import GATEWAY_TYPES, GatewayPair, gateway_pair
from tests.message_waits import POLL_ROUNDS_SECONDS, read_deliveries
from tests.running_service import RunningService, ServiceFactory, move_clock_by_key

HOLD_SECONDS: Final = 15
BEFORE_HOLD_ENDS_SECONDS: Final = 13
LONG_AFTER_SECONDS: Final = 60
MAX_WAIT_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Observed:
    """What a row shows.

    Attributes:
        statuses: The statuses of the first delivery that GET returned, without `queued` and `sending`.
        called: The providers that received a send request, in order.
        messages: How many messages were sent in total, also by a gateway that did not respond.
        verified: Whether the code in the messages verifies.
        codes: How many different codes the requests contained.
        early: How often the second gateway was called before the hold ended.
    """

    statuses: tuple[str, ...]
    called: tuple[str, ...]
    messages: int
    verified: bool = True
    codes: int = 1
    early: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One outcome of one gateway: how it is produced, and what is expected."""

    gateway: str
    outcome: Outcome
    how: str
    steps: tuple[ScriptStep, ...]
    expected: Observed

    @property
    def fails_over_at_once(self) -> bool:
        """Whether the gateway definitely does not have the message, and another one may be called."""
        return self.outcome.definitely_not_sent and not self.outcome.rejects_recipient


@dataclass(frozen=True, slots=True)
class Result:
    """What was observed, and how long it took in seconds, including the time by which the clock was advanced.

    `to_next`: from the first gateway's last response (or from the request for the code, if nothing listened) to the
    send request at the second one. `total`: from the request for the code to the last request at a gateway.
    """

    observed: Observed
    to_next: float | None
    total: float


SENT: Final = Observed(("sent",), ("first",), 1)
CONNECTION_REFUSED: Final = Observed(("failed transient",), ("second",), 1)
"""Nothing listens: the first gateway receives no request."""

REPEATED: Final = Observed(("unknown ambiguous", "sent"), ("first", "first"), 1)
"""The gateway deduplicates sends, so it is called again, and no other gateway is called."""


def after_hold(messages: int) -> Observed:
    """Expect one request to the next gateway after the hold, and none before."""
    return Observed(("unknown ambiguous",), ("first", "second"), messages)


def rejected(outcome: Outcome, times: int = 1) -> Observed:
    """Expect a request to the next gateway after `times` rejections, unless the recipient is rejected."""
    statuses, called = (f"failed {outcome}",), ("first",) * times
    return (
        Observed(statuses, called, 0, verified=False)
        if outcome.rejects_recipient
        else Observed(statuses, (*called, "second"), 1)
    )


HTML_PAGE: Final = Respond(
    SimulatorResponse(b"<html><body>It works!</body></html>", 200, {"Content-Type": "text/html"})
)
HTML_ERROR: Final = Respond(
    SimulatorResponse(b"<html><body>Server Error</body></html>", 500, {"Content-Type": "text/html"})
)

NOT_SERVED: Final = Respond(
    SimulatorResponse(
        b'{"result":false,"statusCode":312,"message":"failed","info":{"successCount":0,"failedCount":1,'
        b'"items":[{"phone":"","message":"country not supported"}]}}',
        200,
        {"Content-Type": "application/json"},
    )
)

REJECTIONS: Final[Mapping[str, tuple[tuple[Outcome, str, ScriptStep], ...]]] = {
    "kedasms": (
        (Outcome.RECIPIENT_INVALID, "400 Invalid phone number", kedasms.refusal(400, "Invalid phone number")),
        (Outcome.RECIPIENT_BLOCKED, "400 in blacklist", kedasms.refusal(400, "Recipient is in blacklist")),
        (Outcome.DESTINATION_UNSUPPORTED, "400 country", kedasms.refusal(400, "Country ID is not supported")),
        (Outcome.CONTENT_REJECTED, "400 sensitive word", kedasms.refusal(400, "Content has a sensitive word")),
        (Outcome.CONFIG_ERROR, "401 Invalid API key", kedasms.refusal(401, "Invalid API key")),
        (Outcome.FUNDS, "402 Insufficient balance", kedasms.refusal(402, "Insufficient balance")),
        (Outcome.THROTTLED, "429", kedasms.refusal(429, "Too many requests")),
        (Outcome.TRANSIENT, "503", kedasms.refusal(503, "Service unavailable")),
    ),
    "eims": (
        (Outcome.RECIPIENT_INVALID, "-9 abnormal number", eims.refusal(-9)),
        (Outcome.RECIPIENT_BLOCKED, "-28 limit of the phone", eims.refusal(-28)),
        (Outcome.DESTINATION_UNSUPPORTED, "-19 pricing not agreed", eims.refusal(-19)),
        (Outcome.CONTENT_REJECTED, "-3 sensitive words", eims.refusal(-3)),
        (Outcome.CONFIG_ERROR, "-1 authentication", eims.refusal(-1)),
        (Outcome.FUNDS, "-10 balance", eims.refusal(-10)),
        (Outcome.THROTTLED, "-15 too frequent", eims.refusal(-15)),
        (Outcome.TRANSIENT, "-12 not committed", eims.refusal(-12)),
    ),
    "sendcloud": (
        (Outcome.RECIPIENT_INVALID, "412 malformed number", sendcloud.refusal(412)),
        (Outcome.RECIPIENT_BLOCKED, "496 limit of the number", sendcloud.refusal(496)),
        (Outcome.DESTINATION_UNSUPPORTED, "312 country", NOT_SERVED),
        (Outcome.CONTENT_REJECTED, "432 template", sendcloud.refusal(432)),
        (Outcome.CONFIG_ERROR, "40005 in HTTP 401", sendcloud.refusal(40005, status=401)),
        (Outcome.FUNDS, "499 quota", sendcloud.refusal(499)),
        (Outcome.THROTTLED, "50000 too frequent", sendcloud.refusal(50000)),
        (Outcome.TRANSIENT, "501 server exception", sendcloud.refusal(501)),
    ),
    "smshub": (
        (Outcome.RECIPIENT_INVALID, "400 PhoneNumber", smshub.refusal(400, "textMessage.PhoneNumber is invalid")),
        (Outcome.RECIPIENT_BLOCKED, "400 unsubscribed", smshub.refusal(400, "The recipient has unsubscribed")),
        (Outcome.DESTINATION_UNSUPPORTED, "403 region", smshub.refusal(403, "Not enabled for the region")),
        (Outcome.CONTENT_REJECTED, "400 Message", smshub.refusal(400, "The Message field is too long")),
        (Outcome.CONFIG_ERROR, "403", smshub.refusal(403)),
        (Outcome.FUNDS, "400 insufficient credit", smshub.refusal(400, "Insufficient credit")),
        (Outcome.THROTTLED, "429", smshub.refusal(429)),
        (Outcome.TRANSIENT, "503 with Retry-After", smshub.refusal(503, headers={"Retry-After": "1"})),
    ),
}


def _rows(gateway: str) -> Iterator[Row]:
    idempotent_send = GATEWAY_TYPES[gateway].idempotent_send
    ambiguous = Outcome.AMBIGUOUS
    yield Row(gateway, Outcome.ACCEPTED, "accepted", (), SENT)
    for outcome, how, step in REJECTIONS[gateway]:
        yield Row(gateway, outcome, how, (step,), rejected(outcome))
    if gateway == "smshub":  # a 401 may be about the form of its header, so the other form is tried, too
        twice = (smshub.refusal(401),) * 2
        yield Row(gateway, Outcome.CONFIG_ERROR, "401 in both forms", twice, rejected(Outcome.CONFIG_ERROR, 2))
    yield Row(gateway, Outcome.TRANSIENT, "connection refused", (Down(30),), CONNECTION_REFUSED)
    yield Row(gateway, ambiguous, "accepted, no response", (Hang(),), REPEATED if idempotent_send else after_hold(2))
    yield Row(
        gateway, ambiguous, "accepted, connection closed", (Cut(),), REPEATED if idempotent_send else after_hold(2)
    )
    yield Row(gateway, ambiguous, "HTTP 500, HTML page", (HTML_ERROR,), REPEATED if idempotent_send else after_hold(1))
    yield Row(gateway, ambiguous, "HTTP 200, HTML page", (HTML_PAGE,), REPEATED if idempotent_send else after_hold(1))


ROWS: Final = tuple(row for gateway in GATEWAY_TYPES for row in _rows(gateway))


async def run_row(row: Row, make_service: ServiceFactory) -> Result:
    """Request a code with a gateway that behaves as the row describes."""
    async with gateway_pair(row.gateway) as both:
        both.first.script(*row.steps)
        service = await make_service(both.config(hold_seconds=HOLD_SECONDS))
        started = time.monotonic()
        verification_id = (await service.request()).json()["verification_id"]
        statuses = StatusLog(service, verification_id)
        await statuses.query_until(lambda: bool(statuses.statuses))
        is_held = row.outcome is Outcome.AMBIGUOUS and not both.kind.idempotent_send
        early, advanced_seconds = (await _advance_past_hold(service, both), HOLD_SECONDS) if is_held else (0, 0)
        await statuses.query_until(
            lambda: (tuple(statuses.statuses), both.providers_called) == (row.expected.statuses, row.expected.called)
        )
        total = both.log[-1].at - started + advanced_seconds
        await service.advance(LONG_AFTER_SECONDS)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        await statuses.query()
        codes = {both.code_of(received) for received in both.sends()}
        verified = both.message_count > 0 and [
            (await service.verify(verification_id, code)).status_code for code in codes
        ] == [200]
        observed = Observed(
            tuple(statuses.statuses), both.providers_called, both.message_count, verified, len(codes), early
        )
        return Result(observed, _seconds_to_next(both, started, advanced_seconds), total)


class StatusLog:
    """The statuses of the first delivery as GET returns them, without repetitions, `queued` and `sending`."""

    def __init__(self, service: RunningService, verification_id: str) -> None:
        """Query `service` about a verification."""
        self.statuses: list[str] = []
        self._service = service
        self._id = verification_id

    async def query(self) -> None:
        """Query once."""
        first = (await read_deliveries(self._service, self._id))[0]
        status = f"{first['status']} {first['error'] or ''}".strip()
        if first["status"] not in ("queued", "sending") and status not in self.statuses[-1:]:
            self.statuses.append(status)

    async def query_until(self, enough: Callable[[], bool]) -> None:
        """Query until `enough`, or for at most `MAX_WAIT_SECONDS`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                while not enough():
                    await asyncio.sleep(0.02)
                    await self.query()


async def _advance_past_hold(service: RunningService, both: GatewayPair) -> int:
    """Advance to the end of a hold; return how often the second gateway was called shortly before its end."""
    await service.advance(BEFORE_HOLD_ENDS_SECONDS)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    early = len(both.second.requests)
    await service.advance(HOLD_SECONDS - BEFORE_HOLD_ENDS_SECONDS)
    return early


def _seconds_to_next(both: GatewayPair, started: float, advanced_seconds: float) -> float | None:
    """Return the seconds from the first gateway's last response to the send request at the second one."""
    if not both.second.requests:
        return None
    answered = max((received.at for received in both.log if received.provider == "first"), default=started)
    return both.sends("second")[0].at - answered + advanced_seconds


def _table_line(row: Row, result: Result) -> str:
    observed, to_next = result.observed, "" if result.to_next is None else f"{result.to_next:.2f} s"
    names = {"first": row.gateway, "second": "next"}
    not_reached = f"({row.gateway}), " if "first" not in observed.called else ""
    called = not_reached + ", ".join(names[one] for one in observed.called)
    codes = "same" if observed.codes == 1 else f"{observed.codes} codes"
    wrong = "" if observed == row.expected else f" expected {row.expected}"
    cells = (
        row.gateway,
        row.outcome,
        row.how,
        ", then ".join(observed.statuses),
        called,
        observed.messages,
        codes,
        to_next,
    )
    return f"| {' | '.join(map(str, cells))} | {result.total:.2f} s |{wrong}"


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _run_all() -> bool:
    """Run every row and print what was observed; return whether all rows are as expected."""
    _print("| gateway | outcome | how | first delivery | called, in order | texts | code | to the next | total |")
    _print("|---|---|---|---|---|---|---|---|---|")
    as_expected = True
    with EmbeddedServer() as server:
        for row in ROWS:
            make_service = ServiceFactory(server.url)
            await make_service.empty_store()
            result = await run_row(row, make_service)
            await make_service.close()
            _print(_table_line(row, result))
            as_expected = as_expected and result.observed == row.expected
    return as_expected


def main() -> int:
    """Print the table; return 1 if a row is not as expected."""
    with capture_logs(), move_clock_by_key(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox_worker, "POLL_INTERVAL_SECONDS", 0.05)  # as in the tests
        return 0 if asyncio.run(_run_all()) else 1


if __name__ == "__main__":
    sys.exit(main())
