"""The sandbox: a gateway of every type on loopback, and the config of a service that sends through all of them.

Credentials are made up and always the same, so that an integrator's config goes on working; they open nothing but
simulators. Ports are fixed for the same reason, EIMS' own first. Prefixes of Indonesian numbers lead to one gateway
each, to be told apart by the number alone; any other number is offered to all of them, those first that serve every
country. Waiting is short, so that a failure is seen through while one looks at it.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from otp_service.sandbox.dev_config import dev_config
from otp_service.sandbox.simulated_gateways import SimulatedGateway, SimulatedGateways
from otp_service.sandbox.simulator_scripts import Scripts
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator

__all__ = ["call_back_to", "sandbox_config", "sandbox_gateways"]

TIMEOUT_SECONDS: Final = 2.0
HOLD_SECONDS: Final = 3.0
POLL_SECONDS: Final = 2.0
RETRY_FACTOR: Final = 1 / 60
"""SendCloud's minutes are seconds here: its first retry comes after three."""

ENCRYPTION_KEY: Final = bytes(range(32))
FAIL_OVER: Final = {"surabaya": "keda"}
ORDER: Final = ("keda", "aurora", "hub", "jakarta", "surabaya")

RECEIPTS: Final = {
    "jakarta": b'{"receipts": {"say": "sent", "after": 2}}',  # the last word that its rows of four fields have
    "surabaya": b'{"receipts": [{"say": "sent", "after": 1}, {"say": "delivered", "after": 2}]}',
    "keda": b'{"receipts": {"say": "delivered", "after": 1}}',
    "aurora": b'{"receipts": [{"say": "sent"}, {"say": "delivered", "after": 1}], "form": "json"}',
}
"""What is told of messages until a script says otherwise."""


def sandbox_gateways() -> tuple[SimulatedGateways, Scripts]:
    """Make one gateway of every type and both variants of EIMS, each with its first script."""
    gateways, scripts = SimulatedGateways([_jakarta(), _keda(), _aurora(), _hub(), _surabaya()]), Scripts()
    for name, gateway in gateways.by_name.items():
        gateway.simulator.scripted_paths = frozenset(gateway.sends)
        scripts.apply(gateway, RECEIPTS.get(name, b"{}"))
    return gateways, scripts


def sandbox_config(redis_url: str, gateways: SimulatedGateways) -> dict[str, Any]:
    """Make the config around an embedded server: as `dev` has it, but for what sends."""
    every = gateways.by_name.values()
    by_prefix = [
        {"prefix": gateway.prefix, "providers": [gateway.name, *filter(None, [FAIL_OVER.get(gateway.name)])]}
        for gateway in every
    ]
    return dev_config(redis_url) | {
        "providers": {gateway.name: {**gateway.provider(), "timeout_seconds": TIMEOUT_SECONDS} for gateway in every},
        "routes": [*by_prefix, {"providers": list(ORDER)}],
        "delivery": {"hold_seconds": HOLD_SECONDS},
    }


def call_back_to(gateways: SimulatedGateways, public_url: str) -> None:
    """Tell gateways that have one address for all their calls where the service takes them."""
    for gateway in gateways.by_name.values():
        if isinstance(gateway.simulator, SendcloudSimulator):
            gateway.simulator.hook_url = f"{public_url}/v1/receipts/{gateway.name}"


def _jakarta() -> SimulatedGateway:
    """EIMS as its document has it: GET, and rows of four fields, in which "sent" is the last word."""
    simulator = EimsSimulator("sandbox", "jakarta-password")
    table = {
        "type": "eims",
        "variant": "v1",
        "account": "sandbox",
        "password": "jakarta-password",
        "zero_is_delivered": True,
        "report_poll_seconds": POLL_SECONDS,
    }
    return SimulatedGateway("jakarta", 20003, "+62811", simulator, table, ("account", "password"), ("/sendsms",))


def _keda() -> SimulatedGateway:
    simulator = KedasmsSimulator("sandbox-keda-key", ENCRYPTION_KEY)
    table = {
        "type": "kedasms",
        "api_key": "sandbox-keda-key",
        "encryption_key": base64.b64encode(ENCRYPTION_KEY).decode(),
        "sender_id": "Demo",
    }
    credentials, addresses = ("api_key", "encryption_key"), ("base_url", "status_base_url")
    return SimulatedGateway("keda", 20004, "+62812", simulator, table, credentials, ("/api/sms/send",), addresses)


def _aurora() -> SimulatedGateway:
    """SendCloud by template; its events are signed, and come to one address."""
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
    """SMS Hub, which holds texts back to one a second."""
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
    """EIMS of the signed kind: POST, numbers as text, and rows of seven fields."""
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
