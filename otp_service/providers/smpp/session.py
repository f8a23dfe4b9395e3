"""One bound SMPP session: requests with their responses, the window, enquire_link, and what the SMSC sends by itself.

A message is written only while fewer than `window` messages wait for their response. It counts until the response, or
for `RESPONSE_SECONDS`, because the SMSC may still process it. Once the session ends, nothing is known about the waiting
messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from otp_service.observability import LOG
from otp_service.providers.smpp import result_codes
from otp_service.providers.smpp.config import SmppConfig
from otp_service.providers.smpp.pdus import (
    RESPONSE,
    Command,
    Pdu,
    PduInvalid,
    bind_body,
    encode_pdu,
    first_text,
    read_pdu,
)

__all__ = ["BindRefused", "NotSent", "ResponseLost", "SmppSession", "SubmitResponse"]

RESPONSE_SECONDS: Final = 60.0
"""After this time a response is not expected any more (response_timer, 7.2)."""

UNBIND_SECONDS: Final = 1.0
MAX_SEQUENCE: Final = 0x7FFFFFFF
MAX_MESSAGE_ID_OCTETS: Final = 64
MAX_HANDLED: Final = 100
"""Messages of the SMSC that are processed at the same time; more are refused for the moment."""

DeliverHandler = Callable[[Pdu], Awaitable[int]]
"""Processes a deliver_sm, and returns the `command_status` of its response."""

LateResponse = Callable[["SubmitResponse"], None]


class BindRefused(Exception):
    """The SMSC refused the bind with a `command_status`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class NotSent(Exception):
    """The message was not written: the window stayed full, or the session had ended."""


class ResponseLost(Exception):
    """The message was written, and there is no response."""


@dataclass(frozen=True, slots=True)
class SubmitResponse:
    """The response to a submit_sm; the id is "" if the SMSC refused the message."""

    status: int
    message_id: str = ""


@dataclass(slots=True)
class _Waiting:
    """A submit_sm without a response; `late` is called if the response comes after the caller has gone."""

    response: asyncio.Future[SubmitResponse]
    late: LateResponse
    timer: asyncio.TimerHandle


class SmppSession:
    """A session that is bound; made by `bind`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        config: SmppConfig,
        handle_deliver: DeliverHandler,
    ) -> None:
        """Take over a connection that is bound already."""
        self._reader = reader
        self._writer = writer
        self._config = config
        self._handle_deliver = handle_deliver
        self._window = asyncio.Semaphore(config.window)
        self._waiting: dict[int, _Waiting] = {}
        self._alive: asyncio.Future[None] | None = None
        self._unbound = asyncio.Event()
        self._sequence = 1
        self._handling: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()
        self._tasks = (
            asyncio.create_task(self._read(), name="smpp-reader"),
            asyncio.create_task(self._enquire(), name="smpp-enquire-link"),
        )

    @classmethod
    async def bind(cls, config: SmppConfig, tls: ssl.SSLContext | None, handle_deliver: DeliverHandler) -> SmppSession:
        """Connect and bind within the provider's timeout.

        Raises:
            BindRefused: The SMSC refused.
            OSError: There is no connection, or no response in time.
            EOFError: The SMSC closed the connection.
            PduInvalid: It does not speak SMPP.
        """
        writer = None
        try:
            async with asyncio.timeout(config.timeout_seconds):
                reader, writer = await asyncio.open_connection(config.host, config.port, ssl=tls)
                writer.write(encode_pdu(Command.BIND_TRANSCEIVER, 1, body=bind_body(config)))
                pdu = await read_pdu(reader)
                if pdu.command_id not in (Command.BIND_TRANSCEIVER_RESP, Command.GENERIC_NACK):
                    raise PduInvalid
                if pdu.status != result_codes.OK or pdu.command_id == Command.GENERIC_NACK:
                    raise BindRefused(pdu.status)
        except BaseException:
            if writer is not None:
                writer.transport.abort()
            raise
        return cls(reader, writer, config, handle_deliver)

    @property
    def unacknowledged(self) -> int:
        """How many messages wait for their response."""
        return len(self._waiting)

    async def submit(self, encode: Callable[[int], bytes], deadline: float, late: LateResponse) -> SubmitResponse:
        """Send a message and return its response.

        Args:
            encode: Returns the PDU with a sequence number.
            deadline: Until when, in the loop's time.
            late: Called with a response that comes after the deadline.

        Raises:
            NotSent: The message was not written.
            ResponseLost: It was, and there was no response by the deadline, or the session ended.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._window.acquire()
        except TimeoutError:
            raise NotSent from None
        if self.ended.is_set() or self._writer.is_closing():
            self._window.release()
            raise NotSent
        loop = asyncio.get_running_loop()
        sequence = self._next_sequence()
        response: asyncio.Future[SubmitResponse] = loop.create_future()
        timer = loop.call_later(RESPONSE_SECONDS, self._forget, sequence)
        self._waiting[sequence] = _Waiting(response, late, timer)
        try:
            self._writer.write(encode(sequence))
        except Exception:
            self._forget(sequence)
            raise
        try:
            async with asyncio.timeout_at(deadline):
                return await response
        except TimeoutError:
            raise ResponseLost from None

    async def close(self) -> None:
        """Unbind, and close the connection."""
        if not self.ended.is_set():
            self._write(encode_pdu(Command.UNBIND, self._next_sequence()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNBIND_SECONDS):
                    await self._unbound.wait()
        self.end()
        await asyncio.gather(*self._tasks, *self._handling, return_exceptions=True)

    def end(self) -> None:
        """Close the connection; the messages that wait have no response."""
        if self.ended.is_set():
            return
        self.ended.set()
        self._unbound.set()
        self._writer.close()  # after what is written; a peer that does not read it is dropped
        asyncio.get_running_loop().call_later(UNBIND_SECONDS, self._writer.transport.abort)
        for task in (*self._tasks, *self._handling):
            if task is not asyncio.current_task():
                task.cancel()
        for sequence in list(self._waiting):
            waiting = self._forget(sequence)
            if waiting and not waiting.response.done():
                waiting.response.set_exception(ResponseLost())

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % MAX_SEQUENCE + 1
        return self._sequence

    def _forget(self, sequence: int) -> _Waiting | None:
        """Stop waiting for a response, so that another message can be written."""
        waiting = self._waiting.pop(sequence, None)
        if waiting is not None:
            waiting.timer.cancel()
            self._window.release()
        return waiting

    async def _read(self) -> None:
        try:
            while True:
                pdu = await read_pdu(self._reader)
                if self._alive is not None and not self._alive.done():
                    self._alive.set_result(None)  # any PDU answers an enquire_link (4.11)
                self._handle(pdu)
                await self._writer.drain()  # a peer that does not read our responses is not read either
        except (OSError, EOFError, PduInvalid):
            pass
        finally:
            self.end()

    def _handle(self, pdu: Pdu) -> None:
        match pdu.command_id:
            case Command.SUBMIT_SM_RESP | Command.GENERIC_NACK:
                self._handle_response(pdu)
            case Command.UNBIND_RESP:
                self._unbound.set()
            case Command.DELIVER_SM:
                self._handle_delivery(pdu)
            case Command.ENQUIRE_LINK:
                self._respond(pdu)
            case Command.UNBIND:
                self._respond(pdu)
                self.end()
            case Command.ALERT_NOTIFICATION:
                pass  # the only request without a response
            case command_id if not command_id & RESPONSE:
                self._write(encode_pdu(Command.GENERIC_NACK, pdu.sequence, result_codes.INVALID_COMMAND_ID))

    def _respond(self, pdu: Pdu, status: int = result_codes.OK, body: bytes = b"") -> None:
        self._write(encode_pdu(pdu.command_id | RESPONSE, pdu.sequence, status, body))

    def _write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    def _handle_response(self, pdu: Pdu) -> None:
        waiting = self._forget(pdu.sequence)
        if waiting is None:
            return
        is_accepted = pdu.command_id != Command.GENERIC_NACK and pdu.status == result_codes.OK
        response = SubmitResponse(pdu.status, first_text(pdu.body, MAX_MESSAGE_ID_OCTETS) if is_accepted else "")
        if pdu.command_id == Command.GENERIC_NACK and pdu.status == result_codes.OK:
            response = SubmitResponse(result_codes.INVALID_COMMAND_ID)
        if waiting.response.done():
            waiting.late(response)
        else:
            waiting.response.set_result(response)

    def _handle_delivery(self, pdu: Pdu) -> None:
        """Process a deliver_sm in a task of its own, and respond to it in any case."""
        if len(self._handling) >= MAX_HANDLED:
            self._respond(pdu, result_codes.TEMPORARY_ERROR, b"\0")
            return
        task = asyncio.create_task(self._process(pdu), name="smpp-delivery")
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _process(self, pdu: Pdu) -> None:
        status = result_codes.TEMPORARY_ERROR
        try:
            status = await self._handle_deliver(pdu)
        except Exception as error:
            LOG.error("smpp_delivery_failed", kind=type(error).__name__)
        finally:
            if not self.ended.is_set():
                self._respond(pdu, status, b"\0")

    async def _enquire(self) -> None:
        """Ask the SMSC at each interval whether it is there, and end the session if it does not respond."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(self._config.enquire_link_seconds)
                self._alive = loop.create_future()
                self._write(encode_pdu(Command.ENQUIRE_LINK, self._next_sequence()))
                async with asyncio.timeout(self._config.timeout_seconds):
                    await self._alive
        except TimeoutError:
            self.end()
