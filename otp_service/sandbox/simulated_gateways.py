"""The simulated gateways of the sandbox: each has a name, a port and the provider table that configures it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from otp_service.domain.message import Channel
from otp_service.providers.inbox import InboxMessage
from otp_service.sandbox.simulators.eims import EimsMessage, EimsSimulator
from otp_service.sandbox.simulators.http_server import Simulator
from otp_service.sandbox.simulators.infobip import InfobipMessage, InfobipSimulator
from otp_service.sandbox.simulators.kedasms import KedasmsMessage, KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudMessage, SendcloudSimulator
from otp_service.sandbox.simulators.smpp import SmppMessage, SmppSimulator
from otp_service.sandbox.simulators.smshub import SmshubMessage, SmshubSimulator
from otp_service.sandbox.simulators.smtp import SmtpMessage, SmtpSimulator
from otp_service.sandbox.simulators.twilio import TwilioMessage, TwilioSimulator
from otp_service.sandbox.simulators.twilio_voice import TwilioCall, TwilioVoiceSimulator
from otp_service.sandbox.simulators.vonage import VonageMessage, VonageSimulator
from otp_service.sandbox.simulators.vonage_voice import VonageCall, VonageVoiceSimulator
from otp_service.sandbox.simulators.whatsapp import WhatsappMessage, WhatsappSimulator

__all__ = ["SENDCLOUD_TEMPLATE", "AnySimulator", "PortInUse", "SimulatedGateway", "SimulatedGateways"]

Message = (
    EimsMessage
    | InfobipMessage
    | KedasmsMessage
    | SendcloudMessage
    | SmppMessage
    | SmshubMessage
    | SmtpMessage
    | TwilioCall
    | TwilioMessage
    | VonageCall
    | VonageMessage
    | WhatsappMessage
)
AnySimulator = (
    EimsSimulator
    | InfobipSimulator
    | KedasmsSimulator
    | SendcloudSimulator
    | SmppSimulator
    | SmshubSimulator
    | SmtpSimulator
    | TwilioSimulator
    | TwilioVoiceSimulator
    | VonageSimulator
    | VonageVoiceSimulator
    | WhatsappSimulator
)

MAX_SHOWN_MESSAGES: Final = 1000
"""Only the newest messages are shown; a simulator keeps and counts all of them."""

SENDCLOUD_TEMPLATE: Final = "Demo: kode verifikasi Anda %code%. Jangan berikan kepada siapa pun."
"""The approved template: SendCloud has the text, a request has only the variables."""


class PortInUse(Exception):
    """Another process listens on a gateway's port."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(f"{name}: port {port} of this machine is in use.")


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedGateway:
    """One gateway of the sandbox.

    Attributes:
        prefix: The prefix of the Indonesian numbers that are routed to it, in E.164; "" for all numbers of its channel.
        provider_table: Its `[providers.*]` table, without the keys in `url_keys`.
        credential_keys: The keys of `provider_table` that hold credentials.
        send_paths: The paths that accept messages. Scripts apply to requests to these only.
        url_keys: The keys of its provider table that get the simulator's URL.
        channel: The channel that it serves.
    """

    name: str
    port: int
    prefix: str
    simulator: AnySimulator
    provider_table: Mapping[str, Any]
    credential_keys: Sequence[str]
    send_paths: Sequence[str]
    url_keys: Sequence[str] = ("base_url",)
    channel: Channel = Channel.SMS

    @property
    def type_name(self) -> str:
        """The provider type, followed by the variant if the type has variants."""
        return " ".join(str(self.provider_table[key]) for key in ("type", "variant") if key in self.provider_table)

    def provider_config(self) -> dict[str, Any]:
        """Return its `[providers.*]` table with the simulator's URL or port; call it after `bind`."""
        if isinstance(self.simulator, SmppSimulator | SmtpSimulator):
            return {**self.provider_table, "port": self.simulator.port}
        return {**self.provider_table, **dict.fromkeys(self.url_keys, self.simulator.url)}

    def messages(self) -> list[InboxMessage]:
        """Return the accepted messages as their recipients see them, newest first."""
        messages: Sequence[Message] = self.simulator.messages
        first = max(0, len(messages) - MAX_SHOWN_MESSAGES)
        return [
            _inbox_message(self.name, number, message) for number, message in enumerate(messages[first:], first + 1)
        ][::-1]


class SimulatedGateways:
    """All gateways of the sandbox; as a context manager, it listens and closes."""

    def __init__(self, gateways: Iterable[SimulatedGateway]) -> None:
        self.by_name = {gateway.name: gateway for gateway in gateways}

    def bind(self, *, free: bool = False) -> None:
        """Bind every gateway's port, or any free ports.

        Raises:
            PortInUse: Another process listens on one of the ports.
        """
        for gateway in self.by_name.values():
            try:
                gateway.simulator.bind(0 if free else gateway.port)
            except OSError:
                raise PortInUse(gateway.name, gateway.port) from None

    def messages(self) -> list[InboxMessage]:
        """Return the accepted messages of all gateways, newest first."""
        messages = [message for gateway in self.by_name.values() for message in gateway.messages()]
        return sorted(messages, key=lambda message: message.sent_at, reverse=True)[:MAX_SHOWN_MESSAGES]

    async def __aenter__(self) -> Self:
        for simulator in self._simulators():
            await simulator.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(simulator.close() for simulator in self._simulators()))

    def _simulators(self) -> list[Simulator]:
        return [gateway.simulator for gateway in self.by_name.values()]


def _inbox_message(gateway: str, number: int, message: Message) -> InboxMessage:
    """Convert a message; `number` is its id if the gateway (SMS Hub) has none."""
    to = message.to if "@" in message.to else "+" + message.to.lstrip("+")
    match message:
        case EimsMessage() | InfobipMessage() | SmtpMessage():
            return InboxMessage(str(message.id), to, message.text, gateway, message.at)
        case KedasmsMessage():
            return InboxMessage(message.msgid, to, message.text, gateway, message.at)
        case SendcloudMessage():
            text = message.text or SENDCLOUD_TEMPLATE.replace("%code%", message.values.get("code", ""))
            return InboxMessage(message.sms_id, to, text, gateway, message.at)
        case SmshubMessage():
            return InboxMessage(str(number), to, message.text, gateway, message.at)
        case TwilioMessage() | TwilioCall():
            return InboxMessage(message.sid, to, message.text, gateway, message.at)
        case VonageCall():
            return InboxMessage(message.uuid, to, message.text, gateway, message.at)
        case SmppMessage() | VonageMessage():
            return InboxMessage(str(message.ids[0]), to, message.text, gateway, message.at)
        case WhatsappMessage():
            return InboxMessage(message.wamid, to, message.text, gateway, message.at)
