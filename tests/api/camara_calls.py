"""Calls of CAMARA OneTimePasswordSMS, the config of tenants that use it, and what holds for each of its responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.config_parts import api_key, shared_keys, tenant
from tests.problem_assertions import assert_common_headers
from tests.running_service import RunningService

PATH = "/one-time-password-sms/v1/"
PHONE = "+6281210100055"
LANDLINE = "+62215551234"
MESSAGE = "{{code}} is your short code to authenticate with Cool App via SMS"
SEND = {"phoneNumber": PHONE, "message": MESSAGE}
CORRELATOR = "b4333c46-49c0-4f62-80d7-f0ef930f1c46"
OTP = "ONE_TIME_PASSWORD_SMS."
CONFIG: dict[str, Any] = {
    **shared_keys(),
    "tenants": {
        "demo": {"camara": {"enabled": True}, "policy": {"resend_cooldown_seconds": 1, "max_sends": 3}},
        "plain": tenant(api_key("plain", "request", "verify", "server")),
        "app": tenant(
            api_key("no-server", "request", "verify"), api_key("only-server", "server"), camara={"enabled": True}
        ),
        "bank": tenant(
            api_key("bank", "request", "verify", "server"),
            brand="Bank",
            purposes=["payment"],
            camara={"enabled": True, "purpose": "payment", "text": "template"},
        ),
        "web": tenant(
            api_key("web", "request", "server"),
            camara={"enabled": True},
            link_hosts=["login.example.com"],
            apps={"site": {"domain": "app.example.com"}},
        ),
    },
}


async def post(
    service: RunningService, operation: str, body: Any, *, key: str | None = "dev-key", **headers: str
) -> httpx.Response:
    """Call an operation with an `x-correlator`; check what holds for every response."""
    sent = {"x-correlator": CORRELATOR, **{name.replace("_", "-"): value for name, value in headers.items()}}
    content = body if isinstance(body, bytes) else None
    response = await service.caller(key).post(
        PATH + operation,
        content=content,
        json=body if content is None else None,
        headers={"Content-Type": "application/json", **sent} if content is not None else sent,
    )
    assert response.headers["x-correlator"] == sent["x-correlator"]
    assert_common_headers(response)
    return response


def assert_error(response: httpx.Response, status: int, code: str) -> None:
    """Assert that a response is an error of CAMARA with this status and code, and says something to a person."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert (set(body), body["status"], body["code"]) == ({"status", "code", "message"}, status, code)
    assert len(body["message"]) > 10
    assert ("retry-after" in response.headers) is (status in (429, 503))


async def send(service: RunningService, body: Mapping[str, str] = SEND, key: str = "dev-key") -> tuple[str, str]:
    """Send a code, which must be accepted; return the id and the text of the SMS."""
    response = await post(service, "send-code", body, key=key)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    [(name, sent_id)] = response.json().items()
    assert (name, len(sent_id) <= 36) == ("authenticationId", True)
    return sent_id, (await service.message_of(sent_id)).text


async def send_code(service: RunningService) -> tuple[str, str]:
    """Send a code; return the id and the code."""
    sent_id, text = await send(service)
    return sent_id, text.partition(" ")[0]


async def validate(service: RunningService, sent_id: str, code: str) -> httpx.Response:
    """Validate a code."""
    return await post(service, "validate-code", {"authenticationId": sent_id, "code": code})
