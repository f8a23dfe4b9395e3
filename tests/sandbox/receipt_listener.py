"""A listener for receipts, and providers whose simulators send them."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from otp_service.domain.message import OutboundMessage
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.config_fields import Base64Key
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.kedasms.adapter import Kedasms
from otp_service.providers.kedasms.config import KedasmsConfig
from otp_service.providers.sendcloud.adapter import Sendcloud
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.providers.vonage.adapter import Vonage
from otp_service.providers.vonage.config import VonageConfig
from otp_service.sandbox.simulators.http_server import Request, Simulator, SimulatorResponse
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.vonage import VonageSimulator

TO = "+6281210100055"


APP_KEY = "app key"


class ReceiptListener(Simulator):
    """A server that records the receipts that a gateway sends."""

    def answer(self, _: Request) -> SimulatorResponse:
        """Respond with 200."""
        return SimulatorResponse(b"{}")

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of the requests, oldest first."""
        return [request.body for request in self.requests]


def outbound(message_id: str = "v1-ABC_7", receipt_url: str = "") -> OutboundMessage:
    """Return a message to send."""
    return OutboundMessage(message_id, TO, "ID", "81210100055", "kode 123456", "123456", 300, receipt_url=receipt_url)


@contextlib.asynccontextmanager
async def kedasms_provider(
    simulator: KedasmsSimulator, clock: Callable[[], float] = time.time
) -> AsyncIterator[Kedasms]:
    """Run a simulator, and return its adapter with the same clock."""
    async with simulator:
        config = KedasmsConfig(
            base_url=simulator.url,
            status_base_url=simulator.url,
            api_key=Secret("kedasms-key"),
            encryption_key=Base64Key(base64.b64encode(bytes(range(32))).decode()),
        )
        provider = Kedasms("keda", config, GatewayClient(2.0), clock)
        yield provider
        await provider.close()


@contextlib.asynccontextmanager
async def sendcloud_provider(simulator: SendcloudSimulator) -> AsyncIterator[Sendcloud]:
    """Run a simulator, and return its adapter."""
    async with simulator:
        config = SendcloudConfig(
            base_url=simulator.url,
            sms_user="acme_sms",
            sms_key=Secret("secret"),
            template_id=1234,
            hook_key=Secret(APP_KEY),
        )
        provider = Sendcloud("aurora", config, GatewayClient(2.0))
        yield provider
        await provider.close()


@contextlib.asynccontextmanager
async def vonage_provider(simulator: VonageSimulator) -> AsyncIterator[Vonage]:
    """Run a simulator with the account abcd1234, and return its adapter."""
    async with simulator:
        config = VonageConfig(base_url=simulator.url, api_key="abcd1234", api_secret=Secret("secret"), sender="Acme")
        provider = Vonage("vonage", config, GatewayClient(2.0))
        yield provider
        await provider.close()


async def send_accepted(provider: Kedasms | Sendcloud | Vonage, message: OutboundMessage) -> None:
    """Send a message, and assert that the gateway accepts it."""
    assert (await provider.send(message)).outcome is Outcome.ACCEPTED


LATE_AND_REPEATED = (ScriptedReceipt("sent"), ScriptedReceipt("delivered", after=0.05, times=2))


OUT_OF_ORDER = (ScriptedReceipt("delivered"), ScriptedReceipt("sent", after=0.05))
