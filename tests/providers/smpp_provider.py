"""Helpers for tests of the SMPP adapter: the provider, a simulated SMSC, messages, and receipts that it reports."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import smpp34

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.message import InboundMessage, OutboundMessage, Receipt
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.smpp.adapter import Smpp
from otp_service.providers.smpp.config import SmppConfig
from otp_service.providers.smpp.receipts import SmppReceipt, parse_receipt
from otp_service.sandbox.simulators.smpp import SmppSimulator
from otp_service.sandbox.simulators.smpp_pdus import deliver_body, encode

SYSTEM_ID = "acme-esme"
PASSWORD = "pa s%1&w"
TO = "+6281210100055"
TEXT = "Acme: kode 123456 & 100%"
MESSAGE_ID = "v1-ABC_7"


@dataclass
class NotedReceipts:
    """Takes receipts as the service does, in memory; `is_available` False refuses everything."""

    known: dict[str, str] = field(default_factory=dict)
    lifetimes: list[int] = field(default_factory=list)
    recorded: list[tuple[str, Receipt]] = field(default_factory=list)
    texts: list[InboundMessage] = field(default_factory=list)
    is_available: bool = True

    async def remember(self, provider_message_ids: Sequence[str], message_id: str, expires_in: int) -> None:
        """Remember the ids."""
        self._check()
        self.lifetimes.append(expires_in)
        self.known |= dict.fromkeys(provider_message_ids, message_id)

    async def record(self, provider_message_ids: Sequence[str], receipt: Receipt) -> bool:
        """Record a receipt of a known message."""
        self._check()
        found = next((self.known[one] for one in provider_message_ids if one in self.known), None)
        if found is not None:
            self.recorded.append((found, receipt))
        return found is not None

    async def handle_inbound(self, message: InboundMessage) -> None:
        """Note the text."""
        self._check()
        self.texts.append(message)

    def _check(self) -> None:
        if not self.is_available:
            raise Refused(Reason.STORE_UNAVAILABLE)


def smpp_config(port: int = 9, **keys: Any) -> SmppConfig:
    """Return a config with the account of these tests."""
    defaults: dict[str, Any] = {
        "host": "127.0.0.1", "port": port, "system_id": SYSTEM_ID, "password": Secret(PASSWORD), "sender": "Acme",
        "timeout_seconds": 2.0,
    }  # fmt: skip
    return SmppConfig(**defaults | keys)


@contextlib.asynccontextmanager
async def smsc(**options: Any) -> AsyncIterator[SmppSimulator]:
    """Run a simulated SMSC with the account of these tests."""
    async with SmppSimulator(SYSTEM_ID, PASSWORD, **options) as gateway:
        yield gateway


@contextlib.asynccontextmanager
async def smpp(gateway: SmppSimulator, receipts: NotedReceipts | None = None, **keys: Any) -> AsyncIterator[Smpp]:
    """Run a provider; it binds at once if it has `receipts`, and otherwise at its first message."""
    config = smpp_config(**{"port": gateway.port} | keys)
    provider = Smpp("smpp", config, GatewayClient(config.timeout_seconds))
    try:
        if receipts is not None:
            provider.connect(receipts)
        yield provider
    finally:
        await provider.close()


def read_delivery(text: str) -> SmppReceipt | None:
    """Read a receipt whose message_payload is a text of any length, and whose parameters are its octets."""
    octets = text.encode()[:65_535]
    payload = encode(0x05, 1, body=deliver_body((1, 1, "1"), "A", esm_class=4, octets=b"", parameters={0x0424: octets}))
    with contextlib.suppress(smpp34.SmppError):
        smpp34.decode(
            encode(0x05, 1, body=deliver_body((1, 1, "1"), "A", esm_class=4, octets=b"", parameters={}) + octets)
        )
    message = smpp34.decode(payload)
    return parse_receipt(message, ("A",), "as_is") if isinstance(message, smpp34.DeliverSm) else None


def outbound(text: str = TEXT, *, expires_in: int = 300, to: str = TO) -> OutboundMessage:
    """Return a message to send."""
    return OutboundMessage(MESSAGE_ID, to, "ID", "81210100055", text, "123456", expires_in)
