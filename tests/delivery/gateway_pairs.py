"""Two simulated gateways, for tests of the whole service: their config, and the requests to them.

One gateway is the provider `first` of the route; behind it is the provider `second`, an EIMS gateway or, for a channel
that EIMS does not serve, another gateway of the same type.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from otp_service.domain.message import Channel
from otp_service.sandbox.simulated_gateways import AnySimulator
from otp_service.sandbox.simulators.http_server import Request
from tests.delivery.gateway_types import GATEWAY_TYPES, GatewayType
from tests.message_waits import code_in

PUBLIC_URL: Final = "https://otp.example.com"


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that a gateway received, and when (`time.monotonic`)."""

    provider: str
    at: float
    request: Request


class RequestLog(list[Request]):
    """The requests of one gateway, which are also appended to a log that all gateways share."""

    def __init__(self, provider: str, log: list[ReceivedRequest]) -> None:
        """Log the requests to `provider`."""
        super().__init__()
        self._provider = provider
        self._log = log

    def append(self, request: Request) -> None:
        """Append a request with its time."""
        self._log.append(ReceivedRequest(self._provider, time.monotonic(), request))
        super().append(request)


@dataclass(frozen=True, slots=True)
class GatewayPair:
    """The first gateway, the one behind it, and all requests to both, including logins."""

    kind: GatewayType
    first: AnySimulator
    second: Any  # an `EimsSimulator`, or what `kind` starts
    log: list[ReceivedRequest] = field(default_factory=list)

    def sends(self, provider: str | None = None) -> list[ReceivedRequest]:
        """Return the send requests in order, only those to `provider` if it is given."""
        paths = self.kind.send_paths
        sends = (one for one in self.log if one.provider != "first" or not paths or one.request.path in paths)
        return [received for received in sends if provider in (None, received.provider)]

    @property
    def providers_called(self) -> tuple[str, ...]:
        """The providers that received a send request, in order."""
        return tuple(received.provider for received in self.sends())

    def code_of(self, received: ReceivedRequest) -> str:
        """Return the code in a send request, also if the gateway did not accept it."""
        return code_in(self._text_of(received))

    def codes(self) -> set[str]:
        """Return the codes of all send requests; one that was refused before its text was sent has none."""
        return {code_in(text) for text in map(self._text_of, self.sends()) if text}

    def _text_of(self, received: ReceivedRequest) -> str:
        kind = self.kind if received.provider == "first" else self.kind_of_second
        return kind.text_of(received.request)

    @property
    def kind_of_second(self) -> GatewayType:
        """The type of the gateway behind the first one."""
        return GATEWAY_TYPES["eims"] if self.kind.channel is Channel.SMS else self.kind

    @property
    def message_count(self) -> int:
        """The number of accepted messages in total, also by a gateway that did not respond."""
        return len(self.first.messages) + len(self.second.messages)

    def config(self, *, options: Mapping[str, Any] | None = None, **delivery: float) -> dict[str, Any]:
        """Return a config of both without limits; `options` override those of the first gateway."""
        first = {**self.kind.table(self.first), **(options or {})}
        second = self.kind_of_second.table(self.second)
        return {
            "server": {"public_url": PUBLIC_URL},
            "providers": {"first": first, "second": second},
            "routes": [{"channel": self.kind.channel.value, "providers": ["first", "second"]}],
            "delivery": delivery,
            "limits": {"client_ip": [], "recipient": [], "prefix": []},
        }


@contextlib.asynccontextmanager
async def gateway_pair(gateway: str, **options: Any) -> AsyncIterator[GatewayPair]:
    """Start a gateway of one type with the simulator's `options`, and another one behind it."""
    kind = GATEWAY_TYPES[gateway]
    behind = GATEWAY_TYPES["eims"] if kind.channel is Channel.SMS else kind
    async with kind.start(**options) as first, behind.start() as second:
        both = GatewayPair(kind, first, second)
        first.scripted_paths = kind.send_paths  # scripted responses are for sends only
        first.requests, second.requests = RequestLog("first", both.log), RequestLog("second", both.log)
        yield both
