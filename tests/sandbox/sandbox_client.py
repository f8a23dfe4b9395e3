"""A client of a running sandbox, and the configuration that makes it quick."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from typing import Any

import httpx

from otp_service.sandbox.dev_config import API_KEY
from tests.service_process import ServiceProcess

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS, and to read every root certificate takes longer than most of these tests."""


def sandbox_http_client(url: str = "") -> httpx.AsyncClient:
    """Return a client with the key of `dev` for the service at `url`."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, verify=NO_TLS)


class SandboxClient:
    """A running sandbox, and a client with its API key."""

    def __init__(self, service: ServiceProcess, client: httpx.AsyncClient, written: Path) -> None:
        self.service = service
        self.client = client
        self.written = written
        self.url = str(client.base_url).rstrip("/")

    async def gateways(self) -> dict[str, dict[str, Any]]:
        """Return the gateways by name, as the control API shows them."""
        shown = (await self.client.get("/dev/gateways")).json()["gateways"]
        return {gateway["name"]: gateway for gateway in shown}

    async def gateway(self, name: str, *, listening: bool, seconds: float = 3.0) -> dict[str, Any]:
        """Wait until a gateway listens, or stops listening; return it."""
        async with asyncio.timeout(seconds):
            while (shown := (await self.gateways())[name])["listening"] is not listening:
                await asyncio.sleep(0.02)
        return shown

    async def script(self, name: str, script: Any) -> httpx.Response:
        """Change the script of a gateway."""
        return await self.client.post(f"/dev/gateways/{name}", json=script)

    async def request(self, phone: str, **members: str) -> str:
        """Request a code; return the verification's id."""
        body = {"phone": phone, "purpose": "login", **members}
        response = await self.client.post("/v1/request-code", json=body)
        assert response.status_code == 202, response.text
        verification_id: str = response.json()["verification_id"]
        return verification_id

    async def messages(self, phone: str, count: int = 1, seconds: float = 5.0) -> list[tuple[str, str]]:
        """Wait for messages to a number; return the gateway and the code of each, newest first."""
        async with asyncio.timeout(seconds):
            while True:
                messages = (await self.client.get("/dev/messages")).json()["messages"]
                found = [(one["provider"], one["text"]) for one in messages if one["to"] == phone]
                if len(found) >= count:
                    return [(provider, _code_in(text)) for provider, text in found]
                await asyncio.sleep(0.01)

    async def verify(self, verification_id: str, code: str) -> int:
        """Verify a code; return the HTTP status."""
        body = {"verification_id": verification_id, "code": code}
        return (await self.client.post("/v1/verify-code", json=body)).status_code

    async def deliveries(self, verification_id: str) -> list[tuple[str, str, str | None]]:
        """Return the deliveries of a verification: provider, status and error of each."""
        response = await self.client.get(f"/v1/verifications/{verification_id}")
        return [(one["provider"], one["status"], one["error"]) for one in response.json()["deliveries"]]

    async def delivered(
        self, verification_id: str, expected: tuple[str, str, str | None], seconds: float = 5.0
    ) -> list[tuple[str, str, str | None]]:
        """Wait until the last delivery has the expected status; return all deliveries."""
        async with asyncio.timeout(seconds):
            while not (found := await self.deliveries(verification_id)) or found[-1] != expected:
                await asyncio.sleep(0.02)
        return found


def _code_in(text: str) -> str:
    """Return the code in a text, or in what a call says: digit by digit."""
    found = re.search(r"\b\d{6}\b|(?:\d, ){5}\d", text)
    assert found, text
    return found[0].replace(", ", "")


OVERLAY = """
[hashing]
time_cost = 1
memory_kib = 8
allow_weak = true
[delivery]
hold_seconds = 0.3
[providers.jakarta]
timeout_seconds = 0.5
[providers.keda]
timeout_seconds = 0.5
[providers.surabaya]
timeout_seconds = 0.5
report_poll_seconds = 0.1
"""
