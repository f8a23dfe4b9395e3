"""Texts that phones send to the account: a deliver_sm that is not a receipt. They may opt the sender out."""

from __future__ import annotations

from typing import Final

import smpp34

from otp_service.domain.message import InboundMessage
from otp_service.providers.responses import international_number
from otp_service.providers.smpp.pdus import MESSAGE_TYPE, TON_INTERNATIONAL, TON_UNKNOWN, UDH_INDICATOR, Parameter
from otp_service.providers.smpp.text_encoding import decode_text

__all__ = ["parse_inbound"]

MAX_OCTETS: Final = 512


def parse_inbound(message: smpp34.DeliverSm, at: float, *, packed: bool) -> InboundMessage | None:
    """Read a text; None if it is something else.

    The protocol has no id of a text, so a text that the SMSC sends again is handled again. A number that is not in
    international form names nobody.

    Args:
        message: The deliver_sm.
        at: When it arrived, in Unix seconds.
        packed: The account has packed septets.
    """
    if message.esm_class & MESSAGE_TYPE:
        return None
    payload = next((one.value for one in message.tlvs if one.tag == Parameter.MESSAGE_PAYLOAD), b"")
    octets = (message.short_message or payload)[:MAX_OCTETS]
    header_octets = octets[0] + 1 if octets and message.esm_class & UDH_INDICATOR else 0
    is_international = message.source_addr_ton in (TON_INTERNATIONAL, TON_UNKNOWN)
    return InboundMessage(
        id="",
        sender=international_number(message.source_addr.removeprefix("+")) if is_international else "",
        text=decode_text(octets, message.data_coding, packed=packed, header_octets=header_octets),
        at=at,
    )
