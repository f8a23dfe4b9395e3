"""Simulated gateways as the sandbox runs them: each with a name, a port of its own, and what the config says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from otp_service.providers.inbox import InboxMessage
from otp_service.sandbox.simulators.eims import EimsMessage, EimsSimulator
from otp_service.sandbox.simulators.http_server import Simulator
from otp_service.sandbox.simulators.kedasms import KedasmsMessage, KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudMessage, SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubMessage, SmshubSimulator

__all__ = ["TEMPLATE", "AnySimulator", "PortInUse", "SimulatedGateway", "SimulatedGateways"]

Message = EimsMessage | KedasmsMessage | SendcloudMessage | SmshubMessage
AnySimulator = EimsSimulator | KedasmsSimulator | SendcloudSimulator | SmshubSimulator

KEPT: Final = 1000
"""Messages that are shown; older ones are kept by their simulator, and only counted."""

TEMPLATE: Final = "Demo: kode verifikasi Anda %code%. Jangan berikan kepada siapa pun."
"""What an approved template says at SendCloud, which alone knows its text."""


class PortInUse(Exception):
    """Somebody else listens where a gateway would."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(f"{name}: port {port} of this machine is taken")


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedGateway:
    """One gateway. `table` is the config's, but for the `addresses` in it; `credentials` are keys there.

    `sends` are the paths at which it takes messages: scripts are for those.
    """

    name: str
    port: int
    prefix: str
    simulator: AnySimulator
    table: Mapping[str, Any]
    credentials: Sequence[str]
    sends: Sequence[str]
    addresses: Sequence[str] = ("base_url",)

    @property
    def kind(self) -> str:
        """The type, with the variant where there are several."""
        return " ".join(str(self.table[key]) for key in ("type", "variant") if key in self.table)

    def provider(self) -> dict[str, Any]:
        """Give its table, once its port is known."""
        return {**self.table, **dict.fromkeys(self.addresses, self.simulator.url)}

    def messages(self) -> list[InboxMessage]:
        """List what it took, newest first, as its recipients would see it."""
        messages: Sequence[Message] = self.simulator.messages
        first = max(0, len(messages) - KEPT)
        return [_seen(self.name, number, one) for number, one in enumerate(messages[first:], first + 1)][::-1]


class SimulatedGateways:
    """All of them: as a context they listen, and are closed."""

    def __init__(self, every: Iterable[SimulatedGateway]) -> None:
        """Be these."""
        self.by_name = {gateway.name: gateway for gateway in every}

    def bind(self, *, free: bool = False) -> None:
        """Take every gateway's port, or any `free` ones; raises `PortTaken`."""
        for gateway in self.by_name.values():
            try:
                gateway.simulator.bind(0 if free else gateway.port)
            except OSError:
                raise PortInUse(gateway.name, gateway.port) from None

    def messages(self) -> list[InboxMessage]:
        """List what all of them took, newest first."""
        every = [message for gateway in self.by_name.values() for message in gateway.messages()]
        return sorted(every, key=lambda message: message.sent_at, reverse=True)[:KEPT]

    async def __aenter__(self) -> Self:
        """Listen."""
        for simulator in self._simulators():
            await simulator.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await asyncio.gather(*(simulator.close() for simulator in self._simulators()))

    def _simulators(self) -> list[Simulator]:
        return [gateway.simulator for gateway in self.by_name.values()]


def _seen(name: str, number: int, message: Message) -> InboxMessage:
    """Write a message as its recipient would see it; where the gateway has no id, under its number."""
    to = "+" + message.to.lstrip("+")
    match message:
        case EimsMessage():
            return InboxMessage(str(message.id), to, message.text, name, message.at)
        case KedasmsMessage():
            return InboxMessage(message.msgid, to, message.text, name, message.at)
        case SendcloudMessage():
            text = message.text or TEMPLATE.replace("%code%", message.values.get("code", ""))
            return InboxMessage(message.sms_id, to, text, name, message.at)
        case SmshubMessage():
            return InboxMessage(str(number), to, message.text, name, message.at)
