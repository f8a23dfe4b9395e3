"""SMPP: sends messages over a bound session, and takes receipts and texts from it.

Every part of a text has a response of its own. The message is accepted only if all parts are; if some are, or if a
response is missing, the recipient may have a part with the code, and the outcome is ambiguous. The protocol has no
idempotency key: a message that may have been written is not written again.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import smpp34

from otp_service.domain.errors import Refused
from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.observability import LOG
from otp_service.providers.base import InBandEvents
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.responses import MAX_ID_CHARS
from otp_service.providers.smpp import result_codes
from otp_service.providers.smpp.binding import Binding
from otp_service.providers.smpp.config import SmppConfig
from otp_service.providers.smpp.inbound import parse_inbound
from otp_service.providers.smpp.pdus import Pdu, submit_pdu
from otp_service.providers.smpp.receipts import SmppReceipt, comparable_id, parse_receipt
from otp_service.providers.smpp.session import NotSent, ResponseLost, SmppSession, SubmitResponse
from otp_service.providers.smpp.text_encoding import EncodedText, encode_text

__all__ = ["Smpp", "send_result"]

REFERENCES: Final = 256
LOOKUP_DELAYS_SECONDS: Final = (0.1, 0.4, 1.5, 4.0)
"""When a receipt is looked up again whose message is not known yet: it may come before the response to the message."""

MAX_LOOKUPS: Final = 1000
"""Receipts that wait for their message at the same time; more are not looked up again."""

PartResult = SubmitResponse | NotSent | ResponseLost


class Smpp:
    """One account at an SMSC."""

    def __init__(self, name: str, config: SmppConfig, client: GatewayClient) -> None:
        """Bind at the first message, or when `connect` is called. `client` is for HTTP, so it is only closed."""
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = True
        self.timeout_seconds = config.timeout_seconds
        self._config = config
        self._senders = config.senders()
        self._client = client
        self._events: InBandEvents | None = None
        self._binding = Binding(name, config, self._receive)
        self._references = itertools.count(secrets.randbelow(REFERENCES))
        self._writes: set[asyncio.Task[None]] = set()
        self._lookups: set[asyncio.Task[None]] = set()

    def connect(self, events: InBandEvents) -> None:
        """Bind, and give receipts and texts to `events`; see `InBandProvider.connect`."""
        self._events = events
        self._binding.start()

    def is_connected_elsewhere(self) -> bool:
        """Whether the SMSC has refused the bind because another one exists; see `ExclusiveProvider`."""
        return self._binding.is_held_elsewhere

    async def close(self) -> None:
        """Unbind."""
        await self._binding.close()
        for lookup in self._lookups:
            lookup.cancel()
        await asyncio.gather(*self._writes, *self._lookups, return_exceptions=True)
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`. The provider's message id is that of the first part."""
        self._binding.start()
        deadline = asyncio.get_running_loop().time() + self.timeout_seconds
        text = encode_text(
            outbound.text,
            packed=self._config.gsm_packed,
            latin1=self._config.latin1,
            divided=self._config.long_messages == "udh",
            reference=next(self._references) % REFERENCES,
        )
        while True:
            session = await self._binding.session(deadline)
            if isinstance(session, SendResult):
                return session
            parts = [self._submit(session, outbound, text, part, deadline) for part in range(len(text.parts))]
            results = await asyncio.gather(*parts)
            was_sent = not all(isinstance(result, NotSent) for result in results)
            if was_sent or not session.ended.is_set() or asyncio.get_running_loop().time() >= deadline:
                return send_result(results)

    async def _submit(
        self, session: SmppSession, outbound: OutboundMessage, text: EncodedText, part: int, deadline: float
    ) -> PartResult:
        def note(response: SubmitResponse) -> None:
            """Remember whose receipts have the id of an accepted part, also if it is accepted too late."""
            if response.status == result_codes.OK and response.message_id and self._events:
                ids = [comparable_id(response.message_id)]
                _run(self._remember(self._events, ids, outbound), self._writes)

        try:
            response = await session.submit(
                lambda sequence: submit_pdu(self._config, outbound, text, part, sequence), deadline, note
            )
        except (NotSent, ResponseLost) as lost:
            return lost
        note(response)
        if response.status == result_codes.NOT_BOUND and not session.unacknowledged:
            session.end()
        return response

    async def _remember(self, events: InBandEvents, ids: Sequence[str], outbound: OutboundMessage) -> None:
        try:
            await events.remember(ids, outbound.message_id, outbound.expires_in)
        except Refused as refused:
            LOG.warning("receipts_not_expected", provider=self.name, reason=refused.reason.value)

    async def _receive(self, pdu: Pdu) -> int:
        """Process a deliver_sm; return the status of its response.

        What cannot be stored now is refused for the moment, so that the SMSC sends it again. So is everything in a
        command that sends one message: it may be for the service. A receipt without an id is acknowledged and ignored.
        """
        try:
            message = smpp34.decode(pdu.data)
        except smpp34.SmppError:
            return result_codes.INVALID_PARAMETERS
        if not isinstance(message, smpp34.DeliverSm):
            return result_codes.INVALID_PARAMETERS
        found = parse_receipt(message, self._senders, self._config.receipt_id_format)
        inbound = parse_inbound(message, time.time(), packed=self._config.gsm_packed) if found is None else None
        if found is None and inbound is None:
            return result_codes.OK
        if self._events is None:
            return result_codes.TEMPORARY_ERROR
        try:
            if found is not None:
                await self._record(self._events, found)
            elif inbound is not None:
                await self._events.handle_inbound(inbound)
        except Refused:
            return result_codes.TEMPORARY_ERROR
        return result_codes.OK

    async def _record(self, events: InBandEvents, found: SmppReceipt) -> None:
        if not await events.record(found.ids, found.receipt) and len(self._lookups) < MAX_LOOKUPS:
            _run(self._look_up_later(events, found), self._lookups)

    async def _look_up_later(self, events: InBandEvents, found: SmppReceipt) -> None:
        for delay in LOOKUP_DELAYS_SECONDS:
            await asyncio.sleep(delay)
            try:
                if await events.record(found.ids, found.receipt):
                    return
            except Refused:
                continue
        LOG.info("receipt_of_unknown_message", provider=self.name)


def _run(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
    """Run something that neither a send nor the SMSC waits for."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def send_result(results: Sequence[PartResult]) -> SendResult:
    """Return the result of a message from those of its parts."""
    responses = [result for result in results if isinstance(result, SubmitResponse)]
    accepted = [response for response in responses if response.status == result_codes.OK]
    refused = [response.status for response in responses if response.status != result_codes.OK]
    is_unknown = any(status not in result_codes.STATUS_OUTCOMES for status in refused)
    message_id = accepted[0].message_id[:MAX_ID_CHARS] if accepted else ""
    parts = tuple(comparable_id(part.message_id) if part in accepted else "" for part in results)
    if len(accepted) == len(results):
        return SendResult(Outcome.ACCEPTED, message_id, parts=parts)
    if accepted or is_unknown or any(isinstance(result, ResponseLost) for result in results):
        return SendResult(Outcome.AMBIGUOUS, message_id, parts=parts if accepted else ())
    if not refused:
        return SendResult(Outcome.TRANSIENT)
    outcome = result_codes.STATUS_OUTCOMES[refused[0]]
    # A refused message says nothing certain about the account, which the SMSC has accepted at the bind.
    return SendResult.undocumented() if outcome is Outcome.CONFIG_ERROR else SendResult(outcome)
