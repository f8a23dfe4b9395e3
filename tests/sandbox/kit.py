"""What these tests share: a receiver of calls, simulators that took a message, and waiting for what comes by itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from otp_service.domain.message import OutboundMessage
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.config_fields import Base64Key
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.kedasms.adapter import Kedasms
from otp_service.providers.kedasms.config import KedasmsConfig
from otp_service.providers.sendcloud.adapter import Sendcloud
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.sandbox.dev_config import API_KEY
from otp_service.sandbox.simulators.http_server import Request, Simulator, SimulatorResponse
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from tests.cli.process import Service

TO = "+6281210100055"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS, and to read every root certificate takes longer than most of these tests."""

APP_KEY = "app key"


class Receiver(Simulator):
    """Whoever a gateway calls: it keeps what came."""

    def answer(self, _: Request) -> SimulatorResponse:
        """Say that it was read."""
        return SimulatorResponse(b"{}")

    @property
    def bodies(self) -> list[bytes]:
        """What came, in the order in which it came."""
        return [request.body for request in self.requests]


def sending(message_id: str = "v1-ABC_7", receipt_url: str = "") -> OutboundMessage:
    """Make a message."""
    return OutboundMessage(message_id, TO, "ID", "81210100055", "kode 123456", "123456", 300, receipt_url=receipt_url)


@contextlib.asynccontextmanager
async def keda(simulator: KedasmsSimulator, clock: Callable[[], float] = time.time) -> AsyncIterator[Kedasms]:
    """Run a simulator, and the adapter for it, whose clock it is."""
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
async def aurora(simulator: SendcloudSimulator) -> AsyncIterator[Sendcloud]:
    """Run a simulator, and the adapter for it."""
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


async def sent(provider: Kedasms | Sendcloud, message: OutboundMessage) -> None:
    """Send a message that has to be taken."""
    assert (await provider.send(message)).outcome is Outcome.ACCEPTED


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for something that comes by itself."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


LATE_AND_DOUBLED = (ScriptedReceipt("sent"), ScriptedReceipt("delivered", after=0.05, times=2))
OUT_OF_ORDER = (ScriptedReceipt("delivered"), ScriptedReceipt("sent", after=0.05))


def caller(url: str = "") -> httpx.AsyncClient:
    """Make a client that has the key of `dev`, for a service at `url`."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, verify=NO_TLS)


class Sandbox:
    """A running sandbox and a caller that has its key."""

    def __init__(self, service: Service, client: httpx.AsyncClient, written: Path) -> None:
        self.service = service
        self.client = client
        self.written = written
        self.url = str(client.base_url).rstrip("/")

    async def gateways(self) -> dict[str, dict[str, Any]]:
        """Look at the gateways, by name."""
        shown = (await self.client.get("/dev/gateways")).json()["gateways"]
        return {gateway["name"]: gateway for gateway in shown}

    async def gateway(self, name: str, *, listening: bool, seconds: float = 3.0) -> dict[str, Any]:
        """Wait until a gateway listens, or does not."""
        async with asyncio.timeout(seconds):
            while (shown := (await self.gateways())[name])["listening"] is not listening:
                await asyncio.sleep(0.02)
        return shown

    async def script(self, name: str, script: Any) -> httpx.Response:
        """Script a gateway."""
        return await self.client.post(f"/dev/gateways/{name}", json=script)

    async def request(self, phone: str) -> str:
        """Request a code: the verification's id."""
        response = await self.client.post("/v1/request-code", json={"phone": phone, "purpose": "login"})
        assert response.status_code == 202, response.text
        verification_id: str = response.json()["verification_id"]
        return verification_id

    async def texts(self, phone: str, count: int = 1, seconds: float = 5.0) -> list[tuple[str, str]]:
        """Wait for texts to a number, newest first: who took each, and the code in it."""
        async with asyncio.timeout(seconds):
            while True:
                messages = (await self.client.get("/dev/messages")).json()["messages"]
                found = [(one["provider"], one["text"]) for one in messages if one["to"] == phone]
                if len(found) >= count:
                    return [(provider, _code_in(text)) for provider, text in found]
                await asyncio.sleep(0.01)

    async def verify(self, verification_id: str, code: str) -> int:
        """Verify a code: the status."""
        body = {"verification_id": verification_id, "code": code}
        return (await self.client.post("/v1/verify-code", json=body)).status_code

    async def deliveries(self, verification_id: str) -> list[tuple[str, str, str | None]]:
        """Read what became of a message: each provider tried, how it stands there, and what went wrong."""
        response = await self.client.get(f"/v1/verifications/{verification_id}")
        return [(one["provider"], one["status"], one["error"]) for one in response.json()["deliveries"]]

    async def delivered(
        self, verification_id: str, expected: tuple[str, str, str | None], seconds: float = 5.0
    ) -> list[tuple[str, str, str | None]]:
        """Wait until a message stands as expected at its last provider; how it stands with all of them then."""
        async with asyncio.timeout(seconds):
            while not (found := await self.deliveries(verification_id)) or found[-1] != expected:
                await asyncio.sleep(0.02)
        return found


def _code_in(text: str) -> str:
    found = re.search(r"\b\d{6}\b", text)
    assert found, text
    return found[0]
