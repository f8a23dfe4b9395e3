"""Replaces the address in a message by a short, trackable one from the gateway that sends the message.

A process requests one short address for each message, after the call was recorded as begun: a repeated call uses the
same one. If the gateway returns none in time, the message contains the whole address. The message was charged for the
length of the whole address; that is corrected when the gateway reports what it charged.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from msgspec.structs import replace

from otp_service.delivery.provider_calls import call_safely
from otp_service.domain.links import is_short_link
from otp_service.domain.message import OutboundMessage
from otp_service.observability import LOG, METRICS
from otp_service.providers.base import Provider, ShortLinkProvider

__all__ = ["ShortLinks"]

MAX_SECONDS: Final = 2.0
"""How long a gateway may take: the call has begun, and its result must be recorded before its lease ends."""

MAX_REMEMBERED: Final = 1024


class ShortLinks:
    """The short addresses of the messages that this process sends."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def apply(self, provider: Provider, outbound: OutboundMessage) -> OutboundMessage:
        """Return the message as `provider` sends it: with a short address if its gateway makes one."""
        if not outbound.link or not isinstance(provider, ShortLinkProvider) or not provider.shortens_links:
            return outbound
        key = (provider.name, outbound.message_id)
        if key not in self._known:
            self._known[key] = await _shorten(provider, outbound)
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        short = self._known[key]
        return replace(outbound, text=outbound.text.replace(outbound.link, short)) if short else outbound


async def _shorten(provider: ShortLinkProvider, outbound: OutboundMessage) -> str:
    """Return the short address; "" if the gateway returns none that can be used."""
    short = None
    try:
        async with asyncio.timeout(MAX_SECONDS):
            short = await call_safely(provider, lambda: provider.shorten(outbound.link, outbound.message_id), None)
    except TimeoutError:
        LOG.warning("link_not_shortened", provider=provider.name, why="timeout")
    is_usable = short is not None and is_short_link(short, outbound.link)
    METRICS.short_links.labels(provider.name, "shortened" if is_usable else "full").inc()
    return short if short is not None and is_usable else ""
