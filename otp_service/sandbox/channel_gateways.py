"""The simulated gateways of the sandbox that serve other channels than SMS."""

from __future__ import annotations

from otp_service.domain.message import Channel
from otp_service.sandbox.simulated_gateways import SimulatedGateway
from otp_service.sandbox.simulators.whatsapp import PHONE_NUMBER_ID, SEND_PATH, TEMPLATE, WhatsappSimulator

__all__ = ["whatsapp_gateway"]


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
