"""The four gateways as a whole service meets them: a simulator each, its `[providers.*]`, and who came to which door.

One of them stands first in the route and an EIMS gateway second, as the providers `first` and `second`.
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.sandbox.simulated_gateways import AnySimulator
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Request
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from tests.delivery.gateway_config import ACCOUNT, PASSWORD, TIMEOUT_SECONDS
from tests.message_waits import code_in, text_of_request

PUBLIC: Final = "https://otp.example.com"
KEDASMS_KEY: Final = bytes(range(32))


@dataclass(frozen=True, slots=True)
class GatewayType:
    """One kind of gateway: how to start it, how to configure it, and where a request to it has the text."""

    start: Callable[..., AnySimulator]
    config: Mapping[str, Any]
    said: Callable[[Request], str]
    idempotent_send: bool = False
    sends: frozenset[str] = frozenset()
    """The doors for texts, where it has others beside them."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that a gateway has read, and when (`time.monotonic`). One that answers does so in the same moment."""

    provider: str
    at: float
    request: Request


class RequestLog(list[Request]):
    """A gateway's requests, which are also written into a log that gateways share: who was asked in which order."""

    def __init__(self, provider: str, log: list[ReceivedRequest]) -> None:
        """Write down what comes to `provider`."""
        super().__init__()
        self._provider = provider
        self._log = log

    def append(self, request: Request) -> None:
        """Keep a request with its moment."""
        self._log.append(ReceivedRequest(self._provider, time.monotonic(), request))
        super().append(request)


@dataclass(frozen=True, slots=True)
class GatewayPair:
    """The gateway that is asked first, the EIMS gateway behind it, and all that came to them, logins too."""

    kind: GatewayType
    first: AnySimulator
    second: EimsSimulator
    log: list[ReceivedRequest] = field(default_factory=list)

    def asked(self, provider: str | None = None) -> list[ReceivedRequest]:
        """Tell who was asked to send, in order; only `provider` if it is given."""
        doors = self.kind.sends
        sends = (one for one in self.log if one.provider != "first" or not doors or one.request.path in doors)
        return [visit for visit in sends if provider in (None, visit.provider)]

    @property
    def names(self) -> tuple[str, ...]:
        """Name who was asked to send, in order."""
        return tuple(visit.provider for visit in self.asked())

    def code(self, visit: ReceivedRequest) -> str:
        """Read the code that was to be sent, also where it was not taken."""
        said = self.kind.said if visit.provider == "first" else text_of_request
        return code_in(said(visit.request))

    @property
    def texts(self) -> int:
        """Count what went out in all, also from a gateway that never answered."""
        return len(self.first.messages) + len(self.second.messages)

    def config(self, *, options: Mapping[str, Any] | None = None, **delivery: float) -> dict[str, Any]:
        """Configure both, with no limits in the way; `options` are laid over the first one's."""
        whole = {"base_url": self.first.url, "timeout_seconds": TIMEOUT_SECONDS, **self.kind.config, **(options or {})}
        behind = {"base_url": self.second.url, "timeout_seconds": TIMEOUT_SECONDS, **GATEWAY_TYPES["eims"].config}
        return {
            "server": {"public_url": PUBLIC},
            "providers": {"first": whole, "second": behind},
            "routes": [{"providers": ["first", "second"]}],
            "delivery": delivery,
            "limits": {"client_ip": [], "recipient": [], "prefix": []},
        }


@contextlib.asynccontextmanager
async def gateway_pair(gateway: str, **options: Any) -> AsyncIterator[GatewayPair]:
    """Start one of the four, with its simulator's `options`, and an EIMS gateway; they are dropped at the end."""
    kind = GATEWAY_TYPES[gateway]
    async with kind.start(**options) as first, EimsSimulator(ACCOUNT, PASSWORD) as second:
        both = GatewayPair(kind, first, second)
        first.scripted_paths = kind.sends  # what is scripted is how it sends
        first.requests, second.requests = RequestLog("first", both.log), RequestLog("second", both.log)
        yield both


def decrypted_envelope(request: Request) -> bytes:
    """Open an envelope of KedaSMS as its document says: AES-256-GCM over the timestamp in 8 bytes, big-endian."""
    envelope = msgspec.json.decode(request.body)
    iv, sealed = (base64.b64decode(envelope[name], validate=True) for name in ("iv", "cipherText"))
    return AESGCM(KEDASMS_KEY).decrypt(iv, sealed, envelope["timestamp"].to_bytes(8, "big"))


def form_fields(request: Request) -> dict[str, str]:
    """Read a form in the order in which it was written; each name stands there once."""
    return {name: value for name, [value] in parse_qs(request.body.decode(), strict_parsing=True).items()}


GATEWAY_TYPES: Final[Mapping[str, GatewayType]] = {
    "kedasms": GatewayType(
        KedasmsSimulator,
        {"type": "kedasms", "api_key": "kedasms-key", "encryption_key": base64.b64encode(KEDASMS_KEY).decode()},
        lambda request: str(msgspec.json.decode(decrypted_envelope(request))["content"]),
    ),
    "eims": GatewayType(
        lambda **options: EimsSimulator(ACCOUNT, PASSWORD, **options),
        {"type": "eims", "account": ACCOUNT, "password": PASSWORD, "report_poll_seconds": 0},
        lambda request: str(msgspec.json.decode(request.body)["content"]) if request.body else text_of_request(request),
    ),
    "sendcloud": GatewayType(
        SendcloudSimulator,
        {"type": "sendcloud", "sms_user": "acme_sms", "sms_key": "secret", "template_id": 1234},
        lambda request: form_fields(request).get("vars") or form_fields(request)["message"],
        idempotent_send=True,
    ),
    "smshub": GatewayType(
        SmshubSimulator,
        {"type": "smshub", "program_sid": "hub-sid", "program_key": "hub-key"},
        lambda request: str(msgspec.json.decode(request.body)["Message"]),
        sends=frozenset({"/TextMessages"}),
    ),
}
