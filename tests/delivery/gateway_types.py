"""Every gateway type, for tests of the whole service: its simulator, its config, and the text in a request to it."""

from __future__ import annotations

import base64
import email
import email.policy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.domain.message import Channel
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulated_gateways import AnySimulator
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Behavior, Request, Respond
from otp_service.sandbox.simulators.infobip import InfobipSimulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smpp import SUBMIT_PATH, SmppSimulator
from otp_service.sandbox.simulators.smpp_pdus import decode_submission
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from otp_service.sandbox.simulators.smtp import SmtpSimulator
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator
from otp_service.sandbox.simulators.twilio_voice import TwilioVoiceSimulator
from otp_service.sandbox.simulators.vonage import VonageSimulator
from otp_service.sandbox.simulators.vonage_voice import APPLICATION_ID, VonageVoiceSimulator
from otp_service.sandbox.simulators.vonage_voice_key import simulated_key_pem
from otp_service.sandbox.simulators.whatsapp import PHONE_NUMBER_ID, WhatsappSimulator
from tests.delivery.gateway_config import ACCOUNT, PASSWORD, TIMEOUT_SECONDS
from tests.message_waits import text_of_request
from tests.providers import smpp_provider
from tests.providers.http_gateways import INFOBIP_LIKE, http_table

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
    speaks_http: bool = True
    """Whether it has a `base_url`; otherwise its config has a `port`."""

    @property
    def recipient(self) -> dict[str, str]:
        """The members of request-code that lead to a gateway of this type."""
        return {"email": "ana@example.com"} if self.channel is Channel.EMAIL else {"channel": self.channel.value}

    def table(self, simulator: AnySimulator) -> dict[str, Any]:
        """Return the table of a provider that sends through a simulator."""
        address = {"base_url": simulator.url} if self.speaks_http else {"host": "127.0.0.1", "port": simulator.port}
        return {**address, "timeout_seconds": TIMEOUT_SECONDS, **self.config}


def decrypted_envelope(request: Request) -> bytes:
    """Decrypt an envelope as KedaSMS documents it: AES-256-GCM, the timestamp as 8 bytes, big-endian, as AAD."""
    envelope = msgspec.json.decode(request.body)
    iv, sealed = (base64.b64decode(envelope[name], validate=True) for name in ("iv", "cipherText"))
    return AESGCM(KEDASMS_KEY).decrypt(iv, sealed, envelope["timestamp"].to_bytes(8, "big"))


def form_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form in their order; each name occurs once."""
    return {name: value for name, [value] in parse_qs(request.body.decode(), strict_parsing=True).items()}


def spoken(text: str) -> str:
    """Return a text for the ear with its codes in one piece."""
    return text.replace(", ", "")


def email_text(content: bytes) -> str:
    """Return the plain text of an e-mail."""
    body = email.message_from_bytes(content, policy=email.policy.default).get_body(("plain",))
    assert body is not None
    return str(body.get_content())


class LoggedSmtpSimulator(SmtpSimulator):
    """An SMTP server that also logs a message that it refuses, as a request without content."""

    def _begin(self, sender: str) -> Behavior | None:
        behavior = super()._begin(sender)
        if isinstance(behavior, Respond):
            self.requests.append(Request("MESSAGE", sender, {}, b""))
        return behavior


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
        never=frozenset({Outcome.RECIPIENT_BLOCKED}),  # only reports have it
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
        never=frozenset({Outcome.DESTINATION_UNSUPPORTED}),  # 6 may mean it, and is that of an invalid number
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
    "twilio_voice": GatewayType(
        TwilioVoiceSimulator,
        {
            "type": "twilio_voice",
            "account_sid": ACCOUNT_SID,
            "auth_token": "twilio-auth-token",
            "from": "+15005550006",
            "report_poll_seconds": 0,
        },
        lambda request: spoken(parse_qs(request.body.decode())["Twiml"][0]),
        channel=Channel.VOICE,
        never=frozenset({Outcome.CONTENT_REJECTED}),
    ),
    "vonage_voice": GatewayType(
        VonageVoiceSimulator,
        {
            "type": "vonage_voice",
            "application_id": APPLICATION_ID,
            "private_key": simulated_key_pem(),
            "from": "447700900001",
            "report_poll_seconds": 0,
        },
        lambda request: spoken(msgspec.json.decode(request.body)["ncco"][0]["text"]),
        channel=Channel.VOICE,
        never=frozenset({Outcome.RECIPIENT_BLOCKED, Outcome.DESTINATION_UNSUPPORTED, Outcome.CONTENT_REJECTED}),
    ),
    "smpp": GatewayType(
        lambda **options: SmppSimulator(smpp_provider.SYSTEM_ID, smpp_provider.PASSWORD, **options),
        {"type": "smpp", "system_id": smpp_provider.SYSTEM_ID, "password": smpp_provider.PASSWORD, "from": "Acme"},
        lambda request: decode_submission(request.body[16:], packed=False).text,
        send_paths=frozenset({SUBMIT_PATH}),
        never=frozenset({Outcome.RECIPIENT_BLOCKED, Outcome.DESTINATION_UNSUPPORTED, Outcome.FUNDS}),
        speaks_http=False,
    ),
    "smtp": GatewayType(
        LoggedSmtpSimulator,
        {
            "type": "smtp",
            "tls": "none",
            "username": "smtp-user",
            "password": "smtp password",
            "from": "no-reply@acme.example",
        },
        lambda request: email_text(request.body) if request.body else "",
        channel=Channel.EMAIL,
        never=frozenset({Outcome.RECIPIENT_BLOCKED, Outcome.FUNDS}),
        speaks_http=False,
    ),
}
HTTP_GATEWAY_TYPES: Final = tuple(name for name, kind in GATEWAY_TYPES.items() if kind.speaks_http)
