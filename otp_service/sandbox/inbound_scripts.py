"""Inbound messages of the sandbox: what somebody sends to the number of a simulated gateway."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from otp_service.domain.opt_out import OptOutAction, OptOutWords
from otp_service.sandbox.simulators.eims import EimsInboxMessage, EimsSimulator
from otp_service.sandbox.simulators.http_server import Simulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator

__all__ = ["InboundObject", "receive"]


class InboundObject(Struct, forbid_unknown_fields=True):
    """An inbound message as JSON."""

    sender: Annotated[str, Meta(pattern=r"\A\+[1-9][0-9]{6,14}\Z")] = msgspec.field(name="from")
    text: Annotated[str, Meta(max_length=160)] = "STOP"


def receive(simulator: Simulator, message: InboundObject) -> bool:
    """Let a gateway receive a message; return False if gateways of its type pass none on."""
    digits = message.sender.removeprefix("+")
    match simulator:
        case EimsSimulator():
            at = datetime.fromtimestamp(time.time(), UTC)
            simulator.inbox.append(EimsInboxMessage(len(simulator.inbox) + 1, digits, message.text, at))
        case SendcloudSimulator():
            simulator.schedule(simulator.webhook_url, simulator.reply(digits, message.text))
        case SmshubSimulator():
            action = OptOutWords().action_of(message.text)
            if action is OptOutAction.OPT_OUT:
                simulator.stopped.add(digits)
            elif action is OptOutAction.OPT_IN:
                simulator.stopped.discard(digits)
        case _:
            return False
    return True
