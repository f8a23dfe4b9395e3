"""An app with App Attest that calls the service, and a config with it."""

from __future__ import annotations

from typing import Any

import httpx

from otp_service.domain.app_attest import CHALLENGE_SECONDS
from tests.app_attest_device import APP_ID, Device, apple
from tests.problem_assertions import problem_code
from tests.running_service import NUMBER, RunningService

CHALLENGES = "/v1/app-attest/challenges"
KEYS = "/v1/app-attest/keys"
OTHER = "+6281210100056"
CONFIG: dict[str, Any] = {
    "captcha": {"ios": {"type": "app_attest", "app_ids": [APP_ID], "root_certificate": apple()[0].pem}},
    "tenants": {"demo": {"policy": {"captcha": "ios", "resend_cooldown_seconds": 1}}},
}


class App:
    """The app on one device, with an API key of the service."""

    def __init__(self, client: httpx.AsyncClient, device: Device | None = None) -> None:
        self.client = client
        self.device = device or Device()

    async def challenge(self) -> str:
        """Get a challenge."""
        response = await self.client.post(CHALLENGES)
        assert response.status_code == 200, response.text
        assert response.json()["expires_in"] == CHALLENGE_SECONDS
        return str(response.json()["challenge"])

    async def register(self, challenge: str | None = None, **forged: Any) -> httpx.Response:
        """Register the key of the device."""
        return await self.client.post(
            KEYS, json=self.device.registration(challenge or await self.challenge(), **forged)
        )

    async def token(self, **parts: Any) -> str:
        """Return a token for a request, with a challenge of its own."""
        return self.device.token(await self.challenge(), **parts)


async def outcome(service: RunningService, token: str, phone: str = NUMBER) -> str:
    """Request a code with a token; return the status, or the code of the problem."""
    return problem_code(await service.request(phone=phone, captcha_token=token))
