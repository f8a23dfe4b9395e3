"""The sandbox: a gateway of every type on loopback, and the configuration of a service that sends through all of them.

Credentials and ports are constant, so that an integrator's configuration stays valid; the credentials are accepted by
the simulators only. A prefix of Indonesian numbers selects each gateway for SMS. All other numbers are routed to every
gateway in order, those that serve every country first. Every other channel has one gateway for all recipients, except
that calls to 0816... go through Twilio first, and all others through Vonage. Timeouts are short, so that failures show
quickly.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from otp_service.sandbox.channel_gateways import (
    smtp_gateway,
    twilio_voice_gateway,
    vonage_voice_gateway,
    whatsapp_gateway,
)
from otp_service.sandbox.dev_config import dev_config
from otp_service.sandbox.simulated_gateways import SimulatedGateway, SimulatedGateways
from otp_service.sandbox.simulator_scripts import SimulatorScripts
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.infobip import InfobipSimulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator
from otp_service.sandbox.simulators.vonage import VonageSimulator
from otp_service.sandbox.simulators.whatsapp import WhatsappSimulator
from otp_service.sandbox.smsc_gateway import smsc_gateways

__all__ = ["sandbox_config", "sandbox_gateways", "set_webhook_urls"]

TIMEOUT_SECONDS: Final = 2.0
HOLD_SECONDS: Final = 3.0
POLL_SECONDS: Final = 2.0
INBOX_POLL_SECONDS: Final = 5.0
RETRY_FACTOR: Final = 1 / 60
"""SendCloud retries a webhook after 3 minutes; here it is after 3 seconds. Vonage's delays are shortened as much."""

ENCRYPTION_KEY: Final = bytes(range(32))
FALLBACK: Final = {"surabaya": "keda", "twilio_voice": "vonage_voice", "vonage_voice": "twilio_voice"}
ORDER: Final = ("keda", "aurora", "twilio", "vonage", "hub", "jakarta", "surabaya", "infobip", "smsc")

RECEIPTS: Final = {
    "jakarta": b'{"receipts": {"say": "sent", "after": 2}}',  # rows of four fields have no later status
    "surabaya": b'{"receipts": [{"say": "sent", "after": 1}, {"say": "delivered", "after": 2}]}',
    "keda": b'{"receipts": {"say": "delivered", "after": 1}}',
    "aurora": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}], "form": "json"}',
    "twilio": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}]}',
    "vonage": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}], "form": "json"}',
    "infobip": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}]}',
    "twilio_voice": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}]}',
    "vonage_voice": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}]}',
    "smsc": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}]}',
    "whatsapp": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}]}',
}
"""The receipts of each gateway before any script."""

INFOBIP_OUTCOMES: Final = (
    ("REJECTED_NETWORK", "destination_unsupported"),
    ("REJECTED_PREFIX_MISSING", "recipient_invalid"),
    ("REJECTED_NOT_ENOUGH_CREDITS", "funds"),
    ("REJECTED_SENDER", "config_error"),
    ("REJECTED_DESTINATION", "recipient_invalid"),
)


def sandbox_gateways() -> tuple[SimulatedGateways, SimulatorScripts]:
    """Return one gateway of every type and both variants of EIMS, with the scripts that are in force."""
    gateways = SimulatedGateways(
        [
            _jakarta(),
            _keda(),
            _aurora(),
            _hub(),
            _surabaya(),
            _twilio(),
            _vonage(),
            _infobip(),
            whatsapp_gateway(RETRY_FACTOR),
            smtp_gateway(),
            twilio_voice_gateway(),
            vonage_voice_gateway(),
            *smsc_gateways(),
        ]
    )
    scripts = SimulatorScripts()
    for name, gateway in gateways.by_name.items():
        gateway.simulator.scripted_paths = frozenset(gateway.send_paths)
        scripts.apply(gateway, RECEIPTS.get(name, b"{}"))
    return gateways, scripts


def sandbox_config(redis_url: str, gateways: SimulatedGateways) -> dict[str, Any]:
    """Return the configuration of `dev` with the gateways as providers; `redis_url` is the embedded store's."""
    all_gateways = gateways.by_name.values()
    by_gateway = [_route(gateway) for gateway in all_gateways]
    return dev_config(redis_url) | {
        "providers": {
            gateway.name: {**gateway.provider_config(), "timeout_seconds": TIMEOUT_SECONDS} for gateway in all_gateways
        },
        "routes": [*by_gateway, {"providers": [name for name in ORDER if name in gateways.by_name]}],
        "delivery": {"hold_seconds": HOLD_SECONDS},
    }


def set_webhook_urls(gateways: SimulatedGateways, public_url: str) -> None:
    """Set the receipt URL of gateways that have one per account: a request to SendCloud or WhatsApp names none."""
    for gateway in gateways.by_name.values():
        if isinstance(gateway.simulator, SendcloudSimulator | WhatsappSimulator):
            gateway.simulator.webhook_url = f"{public_url}/v1/receipts/{gateway.name}"


def _route(gateway: SimulatedGateway) -> dict[str, Any]:
    area = {"prefix": gateway.prefix} if gateway.prefix else {}
    return {
        "channel": gateway.channel.value,
        **area,
        "providers": [gateway.name, *filter(None, [FALLBACK.get(gateway.name)])],
    }


def _jakarta() -> SimulatedGateway:
    """EIMS V1 as documented: GET, and report rows of four fields, in which "sent" is the final status."""
    simulator = EimsSimulator("sandbox", "jakarta-password")
    table = {
        "type": "eims",
        "variant": "v1",
        "account": "sandbox",
        "password": "jakarta-password",
        "zero_is_delivered": True,
        "report_poll_seconds": POLL_SECONDS,
        "inbox_poll_seconds": INBOX_POLL_SECONDS,
    }
    return SimulatedGateway("jakarta", 20003, "+62811", simulator, table, ("account", "password"), ("/sendsms",))


def _keda() -> SimulatedGateway:
    simulator = KedasmsSimulator("sandbox-keda-key", ENCRYPTION_KEY)
    table = {
        "type": "kedasms",
        "api_key": "sandbox-keda-key",
        "encryption_key": base64.b64encode(ENCRYPTION_KEY).decode(),
        "sender_id": "Demo",
        "short_links": True,
    }
    credentials, addresses = ("api_key", "encryption_key"), ("base_url", "status_base_url")
    return SimulatedGateway("keda", 20004, "+62812", simulator, table, credentials, ("/api/sms/send",), addresses)


def _aurora() -> SimulatedGateway:
    """SendCloud with a template; its webhooks are signed and go to one URL."""
    simulator = SendcloudSimulator(
        "sandbox_sms", "sandbox-aurora-key", app_key="sandbox-hook-key", retry_factor=RETRY_FACTOR
    )
    table = {
        "type": "sendcloud",
        "sms_user": "sandbox_sms",
        "sms_key": "sandbox-aurora-key",
        "hook_key": "sandbox-hook-key",
        "template_id": 1234,
    }
    credentials = ("sms_user", "sms_key", "hook_key")
    return SimulatedGateway("aurora", 20005, "+62813", simulator, table, credentials, ("/smsapi/send",))


def _hub() -> SimulatedGateway:
    """SMS Hub, which sends one message a second and queues the others."""
    simulator = SmshubSimulator("sandbox-hub-sid", "sandbox-hub-key", per_second=1.0)
    table = {
        "type": "smshub",
        "program_sid": "sandbox-hub-sid",
        "program_key": "sandbox-hub-key",
        "max_per_second": 1,
    }
    return SimulatedGateway(
        "hub", 20006, "+62814", simulator, table, ("program_sid", "program_key"), ("/TextMessages",)
    )


def _surabaya() -> SimulatedGateway:
    """EIMS V2: signed POST requests, numbers as strings, and report rows of seven fields."""
    simulator = EimsSimulator("sandbox", "surabaya-password", numbers_as_text=True, row_length=7)
    table = {
        "type": "eims",
        "variant": "v2",
        "method": "post",
        "account": "sandbox",
        "password": "surabaya-password",
        "report_poll_seconds": POLL_SECONDS,
    }
    return SimulatedGateway("surabaya", 20007, "+62815", simulator, table, ("account", "password"), ("/sendsmsV2",))


def _twilio() -> SimulatedGateway:
    simulator = TwilioSimulator(ACCOUNT_SID, "sandbox-twilio-token")
    table = {
        "type": "twilio",
        "account_sid": ACCOUNT_SID,
        "auth_token": "sandbox-twilio-token",
        "from": "Demo",
        "report_poll_seconds": POLL_SECONDS,
    }
    send_path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
    return SimulatedGateway("twilio", 20008, "+62816", simulator, table, ("account_sid", "auth_token"), (send_path,))


def _vonage() -> SimulatedGateway:
    """Vonage with signed requests and signed receipts."""
    simulator = VonageSimulator(
        "sandbox1",
        "sandbox-vonage-secret",
        signature_key="sandbox-signature-secret",
        method="sha256",
        signs_receipts=True,
        retry_factor=RETRY_FACTOR,
    )
    table = {
        "type": "vonage",
        "api_key": "sandbox1",
        "api_secret": "sandbox-vonage-secret",
        "from": "Demo",
        "auth": "signature",
        "signature_secret": "sandbox-signature-secret",
        "signature_method": "sha256",
    }
    credentials = ("api_key", "api_secret", "signature_secret")
    return SimulatedGateway("vonage", 20009, "+62818", simulator, table, credentials, ("/sms/json",))


def _infobip() -> SimulatedGateway:
    """Infobip, which has no provider type of its own: a table of the type `http` describes it."""
    body = (
        '{"messages": [{"sender": "{sender}", "destinations": [{"to": "{to}", "messageId": "{message_id}"}],'
        ' "content": {"text": "{text}"}, "webhooks": {"delivery": {"url": "{receipt_url}"}}}]}'
    )
    table = {
        "type": "http",
        "url": "/sms/3/messages",
        "headers": {"Authorization": "App {api_key}"},
        "body": body,
        "secrets": {"api_key": "sandbox-infobip-key"},
        "to_format": "digits",
        "sender": "Demo",
        "accepted_when": {"/messages/0/status/groupName": "PENDING"},
        "message_id": "/messages/0/messageId",
        "outcomes": [
            {"when": {"/messages/0/status/name": name}, "outcome": outcome} for name, outcome in INFOBIP_OUTCOMES
        ],
        "receipts": {
            "items": "/results",
            "message_id": "/messageId",
            "to": "/to",
            "status": "/status/name",
            "delivered": ["DELIVERED_TO_HANDSET"],
            "undelivered": {"UNDELIVERABLE_NOT_DELIVERED": "transient", "EXPIRED_EXPIRED": "transient"},
            "underway": ["PENDING_ACCEPTED", "DELIVERED_TO_OPERATOR"],
        },
        "balance": {"url": "/account/1/balance", "amount": "/balance", "currency": "EUR"},
    }
    return SimulatedGateway(
        "infobip", 20010, "+62819", InfobipSimulator("sandbox-infobip-key"), table, ("secrets",), ("/sms/3/messages",)
    )
