"""Three faulty gateways: the simulator of each type behind a server that fails as the random numbers decide.

`accepted` contains what a gateway accepted, and the fault of that request. The gateway reports the final status of each
message later, as its protocol does: EIMS when it is queried, the others by a call that is repeated until it is
answered. Receipts come late, twice, before the response to the send, and for messages without a response.
"""

from __future__ import annotations

import asyncio
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import httpx

from otp_service.sandbox.simulators import eims, kedasms, sendcloud
from otp_service.sandbox.simulators.eims import EimsMessage, EimsSimulator, EimsState
from otp_service.sandbox.simulators.http_server import (
    Behavior,
    Cut,
    Hang,
    Request,
    Respond,
    Simulator,
    SimulatorResponse,
    Slow,
)
from otp_service.sandbox.simulators.kedasms import KedasmsMessage, KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudMessage, SendcloudSimulator
from tests.chaos.gateway_faults import FALSE_RESPONSES, REJECTIONS, AcceptedMessage, Fault, FaultSource, FinalStatus

__all__ = ["ACCOUNT", "ErrorReporter", "FaultyEims", "FaultyGateway", "FaultyKedasms", "FaultySendcloud"]

ACCOUNT: Final = "acme"
PASSWORD: Final = "gateway-password"
HOOK_KEY: Final = "hook-key"
MAX_TRIES: Final = 20
RETRY_INTERVAL_SECONDS: Final = 0.5
OUT_OF_COVERAGE: Final = 570
"""The `statusCode` of SMSHook for a phone out of coverage; another gateway may be called."""

ERROR_PAGE: Final = SimulatorResponse(
    b"<html><h1>Internal Server Error</h1></html>", 500, {"Content-Type": "text/html"}
)
GARBLED: Final = SimulatorResponse(b'{"status": 0, "arr')

_NO_RESPONSE: Final[Mapping[Fault, Behavior]] = {
    Fault.HANGS: Hang(),
    Fault.SILENT: Hang(processed=False),
    Fault.CUTS: Cut(),
    Fault.DROPS: Cut(processed=False),
}

ErrorReporter = Callable[[str], None]
"""Receives a description of what must not occur."""


class FaultyGateway(Simulator):
    """A gateway that fails until it is `faultless`; it listens, and `inner` responds."""

    name: ClassVar[str]
    path: ClassVar[str]
    rejections: ClassVar[Mapping[Fault, Respond]]

    def __init__(
        self, inner: Simulator, faults: FaultSource, count_event: Callable[[], None], report_error: ErrorReporter
    ) -> None:
        """Fail as `faults` draws; call `count_event` per send, and `report_error` for a rejected receipt."""
        super().__init__()
        self.accepted: list[AcceptedMessage] = []
        self.sends = 0
        self.outages_ms: list[float] = []
        self.receipts_url = ""
        self.faultless = False
        self._inner = inner
        self._faults = faults
        self._count_event = count_event
        self._report_error = report_error
        self._fault = Fault.NONE
        self._reports: set[asyncio.Task[None]] = set()

    @abstractmethod
    def new_messages(self) -> list[Any]:
        """Return what was accepted since the last call, as the simulator stores it."""

    @abstractmethod
    def as_accepted(self, message: Any, at_ms: float, fault: Fault) -> AcceptedMessage:
        """Convert a message of the simulator."""

    @abstractmethod
    async def report_status(self, message: Any, final_status: FinalStatus, times: int, /) -> None:
        """Report the final status of a message `times` times."""

    @property
    def is_reporting(self) -> bool:
        """Whether a report is still to come."""
        return bool(self._reports)

    def answer(self, request: Request) -> SimulatorResponse:
        """Respond as the gateway does, and record what it accepted."""
        reply = self._inner.answer(request)
        for message in self.new_messages():
            self.accepted.append(self.as_accepted(message, time.time() * 1000, self._fault))
            task = asyncio.create_task(self._report_later(message))
            self._reports.add(task)
            task.add_done_callback(self._reports.discard)
        return reply

    async def go_down(self) -> None:
        """Stop listening and close all connections; `listen` ends the outage."""
        self.outages_ms.append(time.time() * 1000)
        await self.close()

    async def end(self) -> None:
        """Stop listening and reporting."""
        for task in self._reports:
            task.cancel()
        await asyncio.gather(*self._reports, return_exceptions=True)
        await self.close()

    def _next_behavior(self, request: Request) -> Behavior | None:
        """Draw a fault for a send; nothing is awaited between that and the response."""
        self._fault = Fault.NONE
        if request.path != self.path:
            return None
        self.sends += 1
        self._count_event()
        self._fault = Fault.NONE if self.faultless else self._faults.draw()
        return self._behavior_of(request)

    def _behavior_of(self, request: Request) -> Behavior | None:
        fault = self._fault
        if fault in FALSE_RESPONSES:
            self.answer(request)
            if fault is Fault.DENIES:
                return self.rejections[Fault.TRANSIENT]
            return Respond(ERROR_PAGE if fault is Fault.PAGE else GARBLED)
        if fault in REJECTIONS:
            return self.rejections[fault]
        if fault in (Fault.SLOW, Fault.LATE):
            return Slow(self._faults.seconds(fault))
        return _NO_RESPONSE.get(fault)

    async def _report_later(self, message: Any) -> None:
        final_status, seconds, times = self._faults.draw_final_status()
        await asyncio.sleep(seconds)
        await self.report_status(message, final_status, times)

    async def _post(self, url: str, content_type: str, body: bytes, times: int) -> None:
        """Post a receipt `times` times, each until it is answered: an authentic receipt gets 200."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            for _ in range(times):
                await self._post_once(client, url, content_type, body)

    async def _post_once(self, client: httpx.AsyncClient, url: str, content_type: str, body: bytes) -> None:
        for _ in range(MAX_TRIES):
            try:
                status = (await client.post(url, content=body, headers={"Content-Type": content_type})).status_code
            except httpx.TransportError:
                status = 503
            if status == 200:
                return
            if status < 500:
                self._report_error(f"a receipt of {self.name} was answered with {status}")
                return
            await asyncio.sleep(RETRY_INTERVAL_SECONDS)


class FaultyEims(FaultyGateway):
    """EIMS: the service queries the status of a message."""

    name = "jakarta"
    path = "/sendsms"
    rejections: ClassVar[Mapping[Fault, Respond]] = {
        Fault.TRANSIENT: eims.refusal(-12),
        Fault.THROTTLED: eims.refusal(-15),
        Fault.FUNDS: eims.refusal(-10),
        Fault.CONFIG: eims.refusal(-1),
        Fault.RECIPIENT: eims.refusal(-9),
    }

    def __init__(self, faults: FaultSource, count_event: Callable[[], None], report_error: ErrorReporter) -> None:
        """Use reports that contain a delivery status."""
        self._eims = EimsSimulator(ACCOUNT, PASSWORD, row_length=5)
        super().__init__(self._eims, faults, count_event, report_error)

    def new_messages(self) -> list[EimsMessage]:
        """Return what was accepted since the last call, as the simulator stores it."""
        return self._eims.messages[len(self.accepted) :]

    def as_accepted(self, message: EimsMessage, at_ms: float, fault: Fault) -> AcceptedMessage:
        """Convert a message of the simulator."""
        return AcceptedMessage(self.name, message.to, _code(message.text), at_ms, fault)

    async def report_status(self, message: EimsMessage, final_status: FinalStatus, _times: int) -> None:
        """Set the status for later queries; an unreported one is delivered, as queries would not end otherwise."""
        self._eims.states[message.id] = EimsState(0, 2 if final_status is FinalStatus.UNDELIVERED else 3)


class FaultyKedasms(FaultyGateway):
    """KedaSMS: it calls the URL in the send."""

    name = "keda"
    path = "/api/sms/send"
    rejections: ClassVar[Mapping[Fault, Respond]] = {
        Fault.TRANSIENT: kedasms.refusal(503, "Service unavailable"),
        Fault.THROTTLED: kedasms.refusal(429, "Too many requests", headers={"Retry-After": "1"}),
        Fault.FUNDS: kedasms.refusal(402, "Insufficient balance"),
        Fault.CONFIG: kedasms.refusal(401, "Invalid API key"),
        Fault.RECIPIENT: kedasms.refusal(400, "Invalid phone number"),
    }

    def __init__(self, faults: FaultSource, count_event: Callable[[], None], report_error: ErrorReporter) -> None:
        """Accept the API key of the config."""
        self._keda = KedasmsSimulator(PASSWORD)
        super().__init__(self._keda, faults, count_event, report_error)

    def new_messages(self) -> list[KedasmsMessage]:
        """Return what was accepted since the last call, as the simulator stores it."""
        return self._keda.messages[len(self.accepted) :]

    def as_accepted(self, message: KedasmsMessage, at_ms: float, fault: Fault) -> AcceptedMessage:
        """Convert a message of the simulator; our message id is in its callback URL."""
        reference = message.callback_url.rpartition("/")[2].partition(".")[0]
        return AcceptedMessage(self.name, message.to.lstrip("+"), _code(message.text), at_ms, fault, reference)

    async def report_status(self, message: KedasmsMessage, final_status: FinalStatus, times: int) -> None:
        """Post callbacks, unless the status stays unreported."""
        if final_status is not FinalStatus.UNREPORTED:
            body = self._keda.callback(message, final_status.value.upper())
            await self._post(message.callback_url, "application/json", body, times)


class FaultySendcloud(FaultyGateway):
    """SendCloud: it signs its webhooks and deduplicates sends."""

    name = "aurora"
    path = "/smsapi/send"
    rejections: ClassVar[Mapping[Fault, Respond]] = {
        Fault.TRANSIENT: sendcloud.refusal(501),
        Fault.THROTTLED: sendcloud.refusal(50000),
        Fault.FUNDS: sendcloud.refusal(40912),
        Fault.CONFIG: sendcloud.refusal(40005, status=401),
        Fault.RECIPIENT: sendcloud.refusal(412),
    }

    def __init__(self, faults: FaultSource, count_event: Callable[[], None], report_error: ErrorReporter) -> None:
        """Sign with the key of the config."""
        self._sendcloud = SendcloudSimulator(ACCOUNT, PASSWORD, app_key=HOOK_KEY)
        super().__init__(self._sendcloud, faults, count_event, report_error)

    def new_messages(self) -> list[SendcloudMessage]:
        """Return what was accepted since the last call, as the simulator stores it."""
        return self._sendcloud.messages[len(self.accepted) :]

    def as_accepted(self, message: SendcloudMessage, at_ms: float, fault: Fault) -> AcceptedMessage:
        """Convert a message of the simulator."""
        return AcceptedMessage(self.name, message.to, message.values["code"], at_ms, fault, message.request_id)

    async def report_status(self, message: SendcloudMessage, final_status: FinalStatus, times: int) -> None:
        """Post webhooks, unless the status stays unreported; repetitions are identical, including the nonce."""
        if final_status is FinalStatus.UNREPORTED:
            return
        failed = final_status is FinalStatus.UNDELIVERED
        webhook = self._sendcloud.webhooks.build(
            "delivererror" if failed else "deliver",
            at=time.time(),
            sms_id=message.sms_id,
            custom_args=message.custom_args,
            status_code=OUT_OF_COVERAGE if failed else None,
        )
        await self._post(self.receipts_url, webhook.content_type, webhook.body, times)


def _code(as_accepted: str) -> str:
    found = re.search(r"\d{6}", as_accepted)
    assert found, as_accepted
    return found[0]
