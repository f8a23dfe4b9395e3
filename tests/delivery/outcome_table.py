"""The table of delivery outcomes: for each gateway type and outcome, what the whole service does.

Each row runs a service with two gateways: the one under test, scripted to fail in a certain way, and another gateway
behind it. `python -m tests.delivery.outcome_table` runs all rows and prints the observations.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest
from structlog.testing import capture_logs

from otp_service.delivery import outbox_worker
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.delivery.gateway_pairs import GatewayPair, gateway_pair
from tests.delivery.outcome_rows import ROWS, Observed, Row
from tests.message_waits import POLL_ROUNDS_SECONDS, read_deliveries
from tests.running_service import RunningService, ServiceFactory, move_clock_by_key

HOLD_SECONDS: Final = 15
BEFORE_HOLD_ENDS_SECONDS: Final = 13
LONG_AFTER_SECONDS: Final = 60
MAX_WAIT_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Result:
    """What was observed, and how long it took in seconds, including the time by which the clock was advanced.

    `to_next`: from the first gateway's last response (or from the request for the code, if nothing listened) to the
    send request at the second one. `total`: from the request for the code to the last request at a gateway.
    """

    observed: Observed
    to_next: float | None
    total: float


async def run_row(row: Row, make_service: ServiceFactory) -> Result:
    """Request a code with a gateway that behaves as the row describes."""
    async with gateway_pair(row.gateway) as both:
        both.first.script(*row.steps)
        service = await make_service(both.config(hold_seconds=HOLD_SECONDS))
        started = time.monotonic()
        verification_id = (await service.request(**both.kind.recipient)).json()["verification_id"]
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
        codes = both.codes()
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
    answered = max((received.at for received in both.sends("first")), default=started)
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
