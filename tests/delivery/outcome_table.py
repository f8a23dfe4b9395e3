"""What becomes of a code at each gateway for each outcome: the rows of one table, and how a row is played.

A row is a whole service with two gateways: the one that the row is about, told how to fail, and an EIMS gateway
behind it. `python -m tests.delivery.outcome_table` plays every row and prints what was seen.
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
SHORT_OF_HOLD_SECONDS: Final = 13
LONG_AFTER_SECONDS: Final = 60
PATIENCE_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a row shows.

    `told`: what GET said of the first delivery once it was decided, and what it came to. `asked`: who was asked to
    send, in order. `early`: how often the second was asked before a hold was over. `texts`: how many went out in all,
    also those of a gateway that never answered. `codes`: how many different ones all requests held.
    """

    told: tuple[str, ...]
    asked: tuple[str, ...]
    texts: int
    verified: bool = True
    codes: int = 1
    early: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One outcome of one gateway: how it is made, and what is to be seen."""

    gateway: str
    outcome: Outcome
    how: str
    steps: tuple[ScriptStep, ...]
    expected: Seen

    @property
    def sure(self) -> bool:
        """Whether the gateway surely has no text and another one is asked: at once."""
        return self.outcome.definitely_not_sent and not self.outcome.rejects_recipient


@dataclass(frozen=True, slots=True)
class Played:
    """What was seen, and how long it took, in seconds, with what the clock was moved by.

    `to_next` is from the first one's answer (when it had read the request; where nobody listened: from the request
    for the code) to the next one's door, `in_all` from the request for the code to the last door.
    """

    seen: Seen
    to_next: float | None
    in_all: float


SENT: Final = Seen(("sent",), ("first",), 1)
REFUSED: Final = Seen(("failed transient",), ("second",), 1)
"""Nobody listens: the request came to no door."""

REPEATED: Final = Seen(("unknown ambiguous", "sent"), ("first", "first"), 1)
"""A gateway that sends a message once, however often it is asked for it: nobody else is."""


def held(texts: int) -> Seen:
    """Expect nothing until the hold is over, and then one request to the next gateway."""
    return Seen(("unknown ambiguous",), ("first", "second"), texts)


def refusal(outcome: Outcome, times: int = 1) -> Seen:
    """Expect the next gateway to be asked after `times` refusals, unless it would say the same."""
    told, asked = (f"failed {outcome}",), ("first",) * times
    return Seen(told, asked, 0, verified=False) if outcome.rejects_recipient else Seen(told, (*asked, "second"), 1)


PAGE: Final = Respond(SimulatorResponse(b"<html><body>It works!</body></html>", 200, {"Content-Type": "text/html"}))
CRASH: Final = Respond(SimulatorResponse(b"<html><body>Server Error</body></html>", 500, {"Content-Type": "text/html"}))

NOT_SERVED: Final = Respond(
    SimulatorResponse(
        b'{"result":false,"statusCode":312,"message":"failed","info":{"successCount":0,"failedCount":1,'
        b'"items":[{"phone":"","message":"country not supported"}]}}',
        200,
        {"Content-Type": "application/json"},
    )
)

REFUSALS: Final[Mapping[str, tuple[tuple[Outcome, str, ScriptStep], ...]]] = {
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
    yield Row(gateway, Outcome.ACCEPTED, "taken", (), SENT)
    for outcome, how, step in REFUSALS[gateway]:
        yield Row(gateway, outcome, how, (step,), refusal(outcome))
    if gateway == "smshub":  # a 401 may be about the form of its header, so it is asked once more in the other form
        twice = (smshub.refusal(401),) * 2
        yield Row(gateway, Outcome.CONFIG_ERROR, "401 in both forms", twice, refusal(Outcome.CONFIG_ERROR, 2))
    yield Row(gateway, Outcome.TRANSIENT, "connection refused", (Down(30),), REFUSED)
    yield Row(gateway, ambiguous, "taken, then silence", (Hang(),), REPEATED if idempotent_send else held(2))
    yield Row(gateway, ambiguous, "taken, then cut", (Cut(),), REPEATED if idempotent_send else held(2))
    yield Row(gateway, ambiguous, "HTTP 500, a page", (CRASH,), REPEATED if idempotent_send else held(1))
    yield Row(gateway, ambiguous, "HTTP 200, a page", (PAGE,), REPEATED if idempotent_send else held(1))


ROWS: Final = tuple(row for gateway in GATEWAY_TYPES for row in _rows(gateway))


async def play(row: Row, make_service: ServiceFactory) -> Played:
    """Ask for a code with a gateway that behaves as the row says: what came of it."""
    async with gateway_pair(row.gateway) as both:
        both.first.script(*row.steps)
        service = await make_service(both.config(hold_seconds=HOLD_SECONDS))
        began = time.monotonic()
        verification_id = (await service.request()).json()["verification_id"]
        told = ScriptedReceipt(service, verification_id)
        await told.until(lambda: bool(told.words))
        waits = row.outcome is Outcome.AMBIGUOUS and not both.kind.idempotent_send
        early, moved = (await _hold(service, both), HOLD_SECONDS) if waits else (0, 0)
        await told.until(lambda: (tuple(told.words), both.names) == (row.expected.told, row.expected.asked))
        in_all = both.log[-1].at - began + moved
        await service.advance(LONG_AFTER_SECONDS)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        await told.look()
        codes = {both.code(visit) for visit in both.asked()}
        verified = both.texts > 0 and [(await service.verify(verification_id, code)).status_code for code in codes] == [
            200
        ]
        seen = Seen(tuple(told.words), both.names, both.texts, verified, len(codes), early)
        return Played(seen, _to_next(both, began, moved), in_all)


class ScriptedReceipt:
    """What GET says of the first delivery, each word once; what is on its way is no word."""

    def __init__(self, service: RunningService, verification_id: str) -> None:
        """Ask `service` about a verification."""
        self.words: list[str] = []
        self._service = service
        self._id = verification_id

    async def look(self) -> None:
        """Ask once."""
        first = (await read_deliveries(self._service, self._id))[0]
        word = f"{first['status']} {first['error'] or ''}".strip()
        if first["status"] not in ("queued", "sending") and word not in self.words[-1:]:
            self.words.append(word)

    async def until(self, enough: Callable[[], bool]) -> None:
        """Ask until it is enough, or for too long: then what there is has been seen."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not enough():
                    await asyncio.sleep(0.02)
                    await self.look()


async def _hold(service: RunningService, both: GatewayPair) -> int:
    """Let a hold go by: how often the second gateway was asked shortly before its end."""
    await service.advance(SHORT_OF_HOLD_SECONDS)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    early = len(both.second.requests)
    await service.advance(HOLD_SECONDS - SHORT_OF_HOLD_SECONDS)
    return early


def _to_next(both: GatewayPair, began: float, moved: float) -> float | None:
    """Count from the first one's last answer, or from the request where nobody listened, to the next one's door."""
    if not both.second.requests:
        return None
    answered = max((visit.at for visit in both.log if visit.provider == "first"), default=began)
    return both.asked("second")[0].at - answered + moved


def _line(row: Row, played: Played) -> str:
    seen, to_next = played.seen, "" if played.to_next is None else f"{played.to_next:.2f} s"
    names = {"first": row.gateway, "second": "next"}
    nobody = f"({row.gateway}), " if "first" not in seen.asked else ""
    asked = nobody + ", ".join(names[one] for one in seen.asked)
    codes = "same" if seen.codes == 1 else f"{seen.codes} codes"
    wrong = "" if seen == row.expected else f" expected {row.expected}"
    cells = (row.gateway, row.outcome, row.how, ", then ".join(seen.told), asked, seen.texts, codes, to_next)
    return f"| {' | '.join(map(str, cells))} | {played.in_all:.2f} s |{wrong}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _show() -> bool:
    """Play every row and print what was seen; False: something else than expected."""
    _say("| gateway | outcome | how | first delivery | asked, in order | texts | code | to the next door | in all |")
    _say("|---|---|---|---|---|---|---|---|---|")
    right = True
    with EmbeddedServer() as server:
        for row in ROWS:
            make_service = ServiceFactory(server.url)
            await make_service.empty_store()
            played = await play(row, make_service)
            await make_service.close()
            _say(_line(row, played))
            right = right and played.seen == row.expected
    return right


def main() -> int:
    """Print the table; 1: a row is not as expected."""
    with capture_logs(), move_clock_by_key(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox_worker, "POLL_INTERVAL_SECONDS", 0.05)  # as in the tests
        return 0 if asyncio.run(_show()) else 1


if __name__ == "__main__":
    sys.exit(main())
