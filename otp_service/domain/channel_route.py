"""The providers of a message by channel, in the order in which they are tried."""

from __future__ import annotations

import msgspec

from otp_service.domain.message import Channel

__all__ = ["AUTO", "ChannelRoute", "RoutedProvider"]

AUTO = "auto"
"""The `channel` of a request, and of its record, that tries the tenant's channels in their order.

A message has one of those channels instead.
"""


class ChannelRoute(msgspec.Struct, frozen=True):
    """The names of the providers that send a message by one channel, in their order."""

    channel: Channel
    providers: tuple[str, ...]


class RoutedProvider(msgspec.Struct, frozen=True):
    """A provider that may send a message, with the channel and the number of segments that it charges for."""

    name: str
    channel: Channel
    segments: int
