"""An SMSC: binds, submit_sm, deliver_sm with receipts and texts, enquire_link, over TCP.

Each part of a long text has an id and receipts of its own; the message is complete when all its parts are there. Every
PDU is recorded in `requests`, with its name as method and path. A receipt goes to a session that is bound then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from otp_service.sandbox.simulators import smpp_pdus
from otp_service.sandbox.simulators.http_server import Cut, Hang, Raw, Request, Respond, SimulatorResponse, Slow
from otp_service.sandbox.simulators.listening_port import LOOPBACK
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, SentReceipt, Webhook
from otp_service.sandbox.simulators.smpp_pdus import InvalidPdu, ReceivedPdu, Submission
from otp_service.sandbox.simulators.smpp_receipts import IdFormat, ReceiptForm, receipt_body, written_id

__all__ = ["NO_RESPONSE", "SUBMIT_PATH", "SmppMessage", "SmppPart", "SmppSimulator", "refusal"]

SUBMIT_PATH: Final = "/submit_sm"
NO_RESPONSE: Final = -1
"""The status of a receipt to which there was no response."""

ALREADY_BOUND, INVALID_COMMAND, INVALID_PASSWORD, INVALID_SYSTEM_ID, NOT_BOUND = 0x05, 0x03, 0x0E, 0x0F, 0x04


@dataclass(frozen=True, slots=True)
class SmppMessage:
    """A message of which every part was accepted; `ids` are the numbers of its parts."""

    ids: tuple[int, ...]
    to: str
    text: str
    sender: str
    sender_kind: tuple[int, int]
    data_coding: int
    validity_period: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SmppPart:
    """One part of a message, which has its own receipts."""

    id: int
    to: str
    sender: str


@dataclass(eq=False, slots=True)
class _Session:
    """One connection; `waiting` are our own requests without a response."""

    writer: asyncio.StreamWriter
    is_bound: bool = False
    unanswered: int = 0
    sequence: int = 0
    waiting: dict[int, asyncio.Future[int]] = field(default_factory=dict)


def refusal(status: int) -> Respond:
    """Return the behavior that refuses a message with a `command_status`."""
    return Respond(SimulatorResponse(status=status))


class SmppSimulator(ReceiptSender[SmppPart]):
    """One account.

    Attributes:
        messages: The complete messages, oldest first.
        max_binds: How many sessions may be bound at the same time.
        bind_status: The `command_status` of every bind, if it is not 0.
        highest_unanswered: The most messages of one session that were without a response at the same time.
        response_ids: How an id is written in a response.
        receipt_ids: How it is written in a receipt.
        receipt_form: Whether a receipt has its facts as text, as optional parameters, or both.
    """

    def __init__(self, system_id: str, password: str, *, packed: bool = False) -> None:
        """Create an account; `packed`: it sends packed septets."""
        super().__init__()
        self.messages: list[SmppMessage] = []
        self.max_binds = 1000
        self.bind_status = 0
        self.highest_unanswered = 0
        self.response_ids: IdFormat = "decimal"
        self.receipt_ids: IdFormat = "decimal"
        self.receipt_form: ReceiptForm = "both"
        self._account = (system_id, password)
        self._packed = packed
        self._sessions: list[_Session] = []
        self._parts: dict[tuple[str, int], dict[int, tuple[int, Submission]]] = {}
        self._last_id = 0x0ABC0000

    @property
    def url(self) -> str:
        """The address; valid after `bind` or `listen`."""
        return f"smpp://{LOOPBACK}:{self.port}"

    @property
    def port(self) -> int:
        """The port; valid after `bind` or `listen`."""
        return self._port.number

    @property
    def bound_sessions(self) -> int:
        """How many sessions are bound now."""
        return sum(session.is_bound for session in self._sessions)

    def answer(self, request: Request) -> SimulatorResponse:
        """Accept a submit_sm (4.4.1); the body of the response is that of the submit_sm_resp."""
        try:
            submission = smpp_pdus.decode_submission(request.body[16:], packed=self._packed)
        except InvalidPdu as invalid:
            return SimulatorResponse(status=invalid.status)
        self._last_id += 1
        self._record(self._last_id, submission)
        self.schedule_receipts(SmppPart(self._last_id, submission.to, submission.sender))
        return SimulatorResponse(written_id(self._last_id, self.response_ids).encode() + b"\0", 0)

    def receipt_url(self, message: SmppPart) -> str:  # noqa: ARG002 - the same for every message
        """Return the address: a receipt goes to a session."""
        return self.url

    def build_webhook(self, message: SmppPart, receipt: ScriptedReceipt) -> Webhook:
        """Build the body of the deliver_sm that reports a receipt; `reason` is its `err`."""
        body = receipt_body(
            written_id(message.id, self.receipt_ids),
            receipt.status,
            int(receipt.reason or 0),
            to=message.to,
            sender=message.sender,
            form=self.receipt_form,
        )
        return Webhook(body, "application/octet-stream")

    async def deliver(self, body: bytes, seconds: float = 5.0) -> int:
        """Send a deliver_sm over a bound session; return the status of its response, or `NO_RESPONSE`."""
        return await self._request(smpp_pdus.DELIVER_SM, body, seconds)

    async def enquire(self, seconds: float = 5.0) -> int:
        """Send an enquire_link over a bound session; return the status of its response, or `NO_RESPONSE`."""
        return await self._request(smpp_pdus.ENQUIRE_LINK, b"", seconds)

    def drop_sessions(self) -> None:
        """Close all connections."""
        for session in self._sessions:
            session.writer.transport.abort()

    def write(self, data: bytes) -> None:
        """Write bytes as they are to a bound session."""
        self._bound().writer.write(data)

    async def _post(self, url: str, webhook: Webhook) -> int:
        try:
            status = await self.deliver(webhook.body, self.answer_seconds)
        except LookupError:
            status = NO_RESPONSE
        self.sent_receipts.append(SentReceipt(url, webhook, status, datetime.now(UTC)))
        return status

    def _apply_outage(self) -> None:
        super()._apply_outage()
        if not self.listening:
            self.drop_sessions()

    def _bound(self) -> _Session:
        """Return the session that was bound last; raises LookupError if there is none."""
        return [session for session in self._sessions if session.is_bound][-1]

    async def _request(self, command_id: int, body: bytes, seconds: float) -> int:
        session = self._bound()
        session.sequence += 1
        response: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        session.waiting[session.sequence] = response
        session.writer.write(smpp_pdus.encode(command_id, session.sequence, body=body))
        try:
            async with asyncio.timeout(seconds):
                return await response
        except TimeoutError:
            return NO_RESPONSE

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(writer)
        self._sessions.append(session)
        try:
            async with asyncio.TaskGroup() as responses:
                with contextlib.suppress(OSError, EOFError, ValueError):
                    while True:
                        self._handle(session, await smpp_pdus.receive_pdu(reader), responses)
                session.is_bound = False
        finally:
            self._sessions.remove(session)
            for waiting in session.waiting.values():
                waiting.cancel()
            writer.transport.abort()

    def _handle(self, session: _Session, pdu: ReceivedPdu, responses: asyncio.TaskGroup) -> None:
        if pdu.command_id & smpp_pdus.RESPONSE:
            waiting = session.waiting.pop(pdu.sequence, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(pdu.status)
            return
        name = NAMES.get(pdu.command_id, "unknown")
        request = Request(name, f"/{name}", {}, pdu.data)
        self.requests.append(request)
        match pdu.command_id:
            case smpp_pdus.BIND_TRANSCEIVER:
                self._reply(session, pdu, *self._bind(session, pdu))
            case smpp_pdus.SUBMIT_SM if session.is_bound:
                responses.create_task(self._submit(session, pdu, request))
            case smpp_pdus.ENQUIRE_LINK:
                self._reply(session, pdu)
            case smpp_pdus.UNBIND:
                session.is_bound = False
                self._reply(session, pdu)
            case _:
                session.writer.write(smpp_pdus.encode(smpp_pdus.RESPONSE, pdu.sequence, INVALID_COMMAND))

    def _bind(self, session: _Session, pdu: ReceivedPdu) -> tuple[int, bytes]:
        try:
            bind = smpp_pdus.decode_bind(pdu.body)
        except InvalidPdu as invalid:
            return invalid.status, b""
        if self.bind_status:
            return self.bind_status, b""
        if bind.interface_version != 0x34:
            return NOT_BOUND, b""
        if bind.system_id != self._account[0]:
            return INVALID_SYSTEM_ID, b""
        if bind.password != self._account[1]:
            return INVALID_PASSWORD, b""
        if session.is_bound or self.bound_sessions >= self.max_binds:
            return ALREADY_BOUND, b""
        session.is_bound = True
        return 0, b"sandbox\0"

    async def _submit(self, session: _Session, pdu: ReceivedPdu, request: Request) -> None:
        session.unanswered += 1
        self.highest_unanswered = max(self.highest_unanswered, session.unanswered)
        behavior = self._next_behavior(request)
        match behavior:
            case Respond(response):
                self._finish(session, pdu, response)
            case Raw(data):
                session.writer.write(data)
            case Hang(processed) | Cut(processed):
                if processed:
                    self.answer(request)
                if isinstance(behavior, Cut):
                    session.writer.transport.abort()
            case _:
                response = self.answer(request)
                if isinstance(behavior, Slow):
                    await asyncio.sleep(behavior.seconds)
                self._finish(session, pdu, response)

    def _finish(self, session: _Session, pdu: ReceivedPdu, response: SimulatorResponse) -> None:
        session.unanswered -= 1
        self._reply(session, pdu, response.status, response.body)

    def _reply(self, session: _Session, pdu: ReceivedPdu, status: int = 0, body: bytes = b"") -> None:
        if session.writer.is_closing():
            return
        session.writer.write(smpp_pdus.encode(pdu.command_id | smpp_pdus.RESPONSE, pdu.sequence, status, body))

    def _record(self, part_id: int, submission: Submission) -> None:
        """Record a part, and the message if it is complete."""
        parts = self._parts.setdefault((submission.to, submission.reference), {})
        parts[submission.part] = part_id, submission
        if len(parts) < submission.parts:
            return
        del self._parts[submission.to, submission.reference]
        ordered = [parts[number] for number in sorted(parts)]
        self.messages.append(
            SmppMessage(
                ids=tuple(number for number, _ in ordered),
                to=submission.to,
                text="".join(part.text for _, part in ordered),
                sender=submission.sender,
                sender_kind=submission.sender_kind,
                data_coding=submission.data_coding,
                validity_period=submission.validity_period,
                at=datetime.now(UTC),
            )
        )


NAMES: Final[Mapping[int, str]] = {
    smpp_pdus.BIND_TRANSCEIVER: "bind_transceiver",
    smpp_pdus.SUBMIT_SM: "submit_sm",
    smpp_pdus.ENQUIRE_LINK: "enquire_link",
    smpp_pdus.UNBIND: "unbind",
}
"""The names of the requests that the SMSC takes."""
