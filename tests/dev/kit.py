"""What these tests share: a receiver of calls, simulators that took a message, and waiting for what comes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from otp_service.dev.simulators.kedasms import KedasmsSimulator
from otp_service.dev.simulators.receipts import Told
from otp_service.dev.simulators.sendcloud import SendcloudSimulator
from otp_service.dev.simulators.server import Reply, Request, Simulator
from otp_service.domain.outcomes import Outcome, Sending
from otp_service.domain.secret import Secret
from otp_service.providers.http import GatewayClient
from otp_service.providers.kedasms import Kedasms, KedasmsAccount
from otp_service.providers.sendcloud import Sendcloud, SendcloudAccount

TO = "+6281210100055"
APP_KEY = "app key"


class Receiver(Simulator):
    """Whoever a gateway calls: it keeps what came."""

    def answer(self, _: Request) -> Reply:
        """Say that it was read."""
        return Reply(b"{}")

    @property
    def bodies(self) -> list[bytes]:
        """What came, in the order in which it came."""
        return [request.body for request in self.requests]


def sending(message_id: str = "v1-ABC_7", receipt_url: str = "") -> Sending:
    """Make a message."""
    return Sending(message_id, TO, "ID", "81210100055", "kode 123456", "123456", 300, receipt_url=receipt_url)


@contextlib.asynccontextmanager
async def keda(simulator: KedasmsSimulator, clock: Callable[[], float] = time.time) -> AsyncIterator[Kedasms]:
    """Run a simulator, and the adapter for it, whose clock it is."""
    async with simulator:
        account = KedasmsAccount(simulator.url, simulator.url, Secret("kedasms-key"), bytes(range(32)))
        provider = Kedasms("keda", account, GatewayClient(2.0), clock)
        yield provider
        await provider.close()


@contextlib.asynccontextmanager
async def aurora(simulator: SendcloudSimulator) -> AsyncIterator[Sendcloud]:
    """Run a simulator, and the adapter for it."""
    async with simulator:
        account = SendcloudAccount(
            simulator.url, "acme_sms", Secret("secret"), template_id=1234, hook_key=Secret(APP_KEY)
        )
        provider = Sendcloud("aurora", account, GatewayClient(2.0))
        yield provider
        await provider.close()


async def sent(provider: Kedasms | Sendcloud, message: Sending) -> None:
    """Send a message that has to be taken."""
    assert (await provider.send(message)).outcome is Outcome.ACCEPTED


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for something that comes by itself."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


LATE_AND_DOUBLED = (Told("sent"), Told("delivered", after=0.05, times=2))
OUT_OF_ORDER = (Told("delivered"), Told("sent", after=0.05))
