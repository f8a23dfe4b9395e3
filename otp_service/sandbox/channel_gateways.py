"""The simulated gateways of the sandbox that serve other channels than SMS."""

from __future__ import annotations

from otp_service.domain.message import Channel
from otp_service.sandbox.simulated_gateways import SimulatedGateway
from otp_service.sandbox.simulators.listening_port import LOOPBACK
from otp_service.sandbox.simulators.smtp import SmtpSimulator
from otp_service.sandbox.simulators.twilio_voice import ACCOUNT_SID, TwilioVoiceSimulator
from otp_service.sandbox.simulators.vonage_voice import APPLICATION_ID, PATH, VonageVoiceSimulator
from otp_service.sandbox.simulators.vonage_voice_key import simulated_key_pem
from otp_service.sandbox.simulators.whatsapp import PHONE_NUMBER_ID, SEND_PATH, TEMPLATE, WhatsappSimulator

__all__ = ["smtp_gateway", "twilio_voice_gateway", "vonage_voice_gateway", "whatsapp_gateway"]


def whatsapp_gateway(retry_factor: float) -> SimulatedGateway:
    """Return WhatsApp with a template in English and Indonesian; `retry_factor` is that of its webhooks."""
    simulator = WhatsappSimulator("sandbox-whatsapp-token", "sandbox-app-secret", retry_factor=retry_factor)
    languages = {"default": "en_US", "id": "id"}
    table = {
        "type": "whatsapp",
        "phone_number_id": PHONE_NUMBER_ID,
        "access_token": "sandbox-whatsapp-token",
        "app_secret": "sandbox-app-secret",
        "verify_token": "sandbox-verify-token",
        "templates": {locale: {"name": TEMPLATE, "language": code} for locale, code in languages.items()},
    }
    credentials = ("access_token", "app_secret", "verify_token")
    return SimulatedGateway(
        "whatsapp", 20011, "", simulator, table, credentials, (SEND_PATH,), channel=Channel.WHATSAPP
    )


def twilio_voice_gateway() -> SimulatedGateway:
    """Return the calls of Twilio."""
    simulator = TwilioVoiceSimulator(ACCOUNT_SID, "sandbox-twilio-token")
    table = {
        "type": "twilio_voice",
        "account_sid": ACCOUNT_SID,
        "auth_token": "sandbox-twilio-token",
        "from": "+15005550006",
    }
    send_path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
    credentials = ("account_sid", "auth_token")
    return SimulatedGateway(
        "twilio_voice", 20013, "+62816", simulator, table, credentials, (send_path,), channel=Channel.VOICE
    )


def vonage_voice_gateway() -> SimulatedGateway:
    """Return the calls of Vonage, with signed events. Its key is the same in every sandbox."""
    simulator = VonageVoiceSimulator(api_key="sandbox1", signature_secret="sandbox-signature-secret")  # noqa: S106 - only the simulator uses it
    table = {
        "type": "vonage_voice",
        "application_id": APPLICATION_ID,
        "private_key": simulated_key_pem(),
        "from": "447700900001",
        "api_key": "sandbox1",
        "signature_secret": "sandbox-signature-secret",
    }
    credentials = ("application_id", "signature_secret")
    return SimulatedGateway("vonage_voice", 20014, "", simulator, table, credentials, (PATH,), channel=Channel.VOICE)


def smtp_gateway() -> SimulatedGateway:
    """Return an SMTP server without TLS, which is allowed on this machine only."""
    simulator = SmtpSimulator("sandbox", "sandbox-smtp-password")
    table = {
        "type": "smtp",
        "host": LOOPBACK,
        "tls": "none",
        "username": "sandbox",
        "password": "sandbox-smtp-password",
        "from": "no-reply@demo.example",
    }
    credentials = ("username", "password")
    return SimulatedGateway("smtp", 20012, "", simulator, table, credentials, (), channel=Channel.EMAIL)
