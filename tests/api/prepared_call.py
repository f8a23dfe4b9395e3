"""One API request that a test has prepared and sends later, or several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.running_service import RunningService


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request: `key` is the API key, `required_key` an idempotency key that it must use."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    key: str | None = "dev-key"
    required_key: str = ""
    content: bytes | None = None
    media_type: str = "application/json"

    async def send(self, service: RunningService, idempotency_key: str) -> httpx.Response:
        """Send the request, with an idempotency key if one is given."""
        headers = {"Content-Type": self.media_type} if self.body or self.content else {}
        if key := self.required_key or idempotency_key:
            headers["Idempotency-Key"] = key
        send = service.caller(self.key).request
        if self.content is not None:
            return await send(self.method, self.path, content=self.content, headers=headers)
        return await send(self.method, self.path, json=self.body, headers=headers)
