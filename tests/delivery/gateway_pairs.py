"""Simulators of all gateway types, for tests of the whole service: their config, and the requests to them.

One gateway is the provider `first` of the route; behind it is the provider `second`, an EIMS gateway or, for a channel
that EIMS does not serve, another gateway of the same type.
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

from otp_service.domain.message import Channel
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulated_gateways import AnySimulator
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Request
from otp_service.sandbox.simulators.infobip import InfobipSimulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator
from otp_service.sandbox.simulators.vonage import VonageSimulator
from otp_service.sandbox.simulators.whatsapp import PHONE_NUMBER_ID, WhatsappSimulator
from tests.delivery.gateway_config import ACCOUNT, PASSWORD, TIMEOUT_SECONDS
from tests.message_waits import code_in, text_of_request
from tests.providers.http_gateways import INFOBIP_LIKE, http_table

PUBLIC_URL: Final = "https://otp.example.com"
KEDASMS_KEY: Final = bytes(range(32))


@dataclass(frozen=True, slots=True)
class GatewayType:
    """A gateway type: how to start it, how to configure it, and where a request to it contains the text."""

    start: Callable[..., AnySimulator]
    config: Mapping[str, Any]
    text_of: Callable[[Request], str]
    idempotent_send: bool = False
    send_paths: frozenset[str] = frozenset()
    """The paths of send requests, if the gateway has others, too."""
    channel: Channel = Channel.SMS
    never: frozenset[Outcome] = frozenset()
    """Outcomes that no response of the gateway has."""


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
        kind = self.kind if received.provider == "first" else self.kind_of_second
        return code_in(kind.text_of(received.request))

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
        first = {"base_url": self.first.url, "timeout_seconds": TIMEOUT_SECONDS, **self.kind.config, **(options or {})}
        second = {"base_url": self.second.url, "timeout_seconds": TIMEOUT_SECONDS, **self.kind_of_second.config}
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


def decrypted_envelope(request: Request) -> bytes:
    """Decrypt an envelope as KedaSMS documents it: AES-256-GCM, the timestamp as 8 bytes, big-endian, as AAD."""
    envelope = msgspec.json.decode(request.body)
    iv, sealed = (base64.b64decode(envelope[name], validate=True) for name in ("iv", "cipherText"))
    return AESGCM(KEDASMS_KEY).decrypt(iv, sealed, envelope["timestamp"].to_bytes(8, "big"))


def form_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form in their order; each name occurs once."""
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
        send_paths=frozenset({"/TextMessages"}),
    ),
    "twilio": GatewayType(
        TwilioSimulator,
        {
            "type": "twilio",
            "account_sid": ACCOUNT_SID,
            "auth_token": "twilio-auth-token",
            "from": "Acme",
            "report_poll_seconds": 0,
        },
        lambda request: form_fields(request)["Body"],
    ),
    "vonage": GatewayType(
        lambda **options: VonageSimulator("abcd1234", "secret", **options),
        {"type": "vonage", "api_key": "abcd1234", "api_secret": "secret", "from": "Acme"},
        lambda request: (msgspec.json.decode(request.body) if request.body.startswith(b"{") else form_fields(request))[
            "text"
        ],
    ),
    "http": GatewayType(
        InfobipSimulator,
        http_table(INFOBIP_LIKE, secrets={"api_key": "infobip-key"}, receipts=None, balance=None),
        lambda request: str(msgspec.json.decode(request.body)["messages"][0]["content"]["text"]),
    ),
    "whatsapp": GatewayType(
        WhatsappSimulator,
        {
            "type": "whatsapp",
            "phone_number_id": PHONE_NUMBER_ID,
            "access_token": "whatsapp-token",
            "app_secret": "whatsapp-app-secret",
            "templates": {"default": {"name": "otp_code", "language": "id"}},
        },
        lambda request: str(msgspec.json.decode(request.body)["template"]["components"][0]["parameters"][0]["text"]),
        channel=Channel.WHATSAPP,
        never=frozenset({Outcome.RECIPIENT_INVALID, Outcome.RECIPIENT_BLOCKED}),
    ),
}
