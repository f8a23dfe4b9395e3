"""The simulated SMSC of the sandbox, which is there if the extra for SMPP is installed."""

from __future__ import annotations

from otp_service.providers.smpp.config import is_installed
from otp_service.sandbox.simulated_gateways import SimulatedGateway
from otp_service.sandbox.simulators.smpp import SUBMIT_PATH, SmppSimulator

__all__ = ["smsc_gateways"]


def smsc_gateways() -> list[SimulatedGateway]:
    """Return the SMSC; nothing without the library that a provider of type `smpp` needs."""
    if not is_installed():
        return []
    simulator = SmppSimulator("sandbox", "sandbox-smsc-password")
    table = {
        "type": "smpp",
        "host": "127.0.0.1",
        "system_id": "sandbox",
        "password": "sandbox-smsc-password",
        "from": "Demo",
    }
    credentials = ("system_id", "password")
    return [SimulatedGateway("smsc", 20015, "+62821", simulator, table, credentials, (SUBMIT_PATH,), ())]
