"""GET and DELETE of a verification: its members, its current status, and for how long it can be read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.api.api_requests import VERIFICATIONS
from tests.config_parts import demo_policy
from tests.problem_assertions import REQUEST_CODE_MEMBERS, UTC_TIME_PATTERN, assert_common_headers, assert_problem
from tests.running_service import RunningService, ServiceFactory

VERIFICATION_MEMBERS = REQUEST_CODE_MEMBERS | {"created_at": str, "deliveries": list}
STATUSES = {"pending", "verified", "expired", "exhausted", "superseded", "canceled"}


async def read_verification(service: RunningService, verification_id: str) -> dict[str, Any]:
    """Read a verification, and assert the form of the response."""
    response = await service.client.get(VERIFICATIONS + verification_id)
    assert response.status_code == 200, response.text
    assert_common_headers(response)
    return assert_complete(response.json())


def assert_complete(body: dict[str, Any]) -> dict[str, Any]:
    """Assert that the body of GET or DELETE is complete and valid."""
    assert {name: type(value) for name, value in body.items() if name != "ended_at"} == VERIFICATION_MEMBERS
    assert body["status"] in STATUSES
    assert (body["ended_at"] is None) is (body["status"] == "pending")
    for name in ("created_at", "expires_at", "resend_at", "ended_at"):
        assert body[name] is None or re.fullmatch(UTC_TIME_PATTERN, body[name])
    for delivery in body["deliveries"]:
        assert set(delivery) == {"provider", "channel", "status", "at", "error"}
        assert delivery["status"] in {"queued", "sending", "sent", "delivered", "undelivered", "failed", "unknown"}
        assert re.fullmatch(UTC_TIME_PATTERN, delivery["at"])
    return body


async def test_it_returns_the_202_with_current_values(service: RunningService) -> None:
    """The members of the 202 have current values: time, attempts and deliveries."""
    first = (await service.request()).json()
    verification_id = first["verification_id"]
    await service.message_of(verification_id)
    body = await read_verification(service, verification_id)
    while body["deliveries"][0]["status"] != "sent":
        body = await read_verification(service, verification_id)
    assert {name: body[name] for name in REQUEST_CODE_MEMBERS} == first | {
        name: body[name] for name in ("expires_in", "resend_in")
    }
    [delivery] = body["deliveries"]
    assert (delivery["provider"], delivery["channel"], delivery["status"], delivery["error"]) == (
        "inbox",
        "sms",
        "sent",
        None,
    )

    await service.advance(20)
    await service.verify(verification_id, "0" * 10)
    body = await read_verification(service, verification_id)
    assert (body["status"], body["attempts_left"], body["sends_left"]) == ("pending", 4, 4)
    assert 278 <= body["expires_in"] <= 280
    assert 8 <= body["resend_in"] <= 10
    await service.advance(20)
    assert (await read_verification(service, verification_id))["resend_in"] == 0


async def test_each_end_is_shown(make_service: ServiceFactory) -> None:
    """The status and the time of the end are shown for a success, a cancel, a newer request and an expiry."""
    service = await make_service(demo_policy(resend_cooldown_seconds=1, ttl_seconds=100))
    superseded, _ = await service.request_code()
    await service.advance(1)
    verified, right = await service.request_code(purpose="registration")
    canceled, _ = await service.request_code(purpose="password_reset")
    exhausted, code = await service.request_code()
    for _ in range(5):
        await service.verify(exhausted, service.wrong_code(code))
    await service.verify(verified, right)
    assert_complete((await service.client.delete(VERIFICATIONS + canceled)).json())
    await service.advance(1)
    expired, _ = await service.request_code()
    await service.advance(100)
    found = {
        (await read_verification(service, one))["status"]: one
        for one in (superseded, exhausted, verified, canceled, expired)
    }
    assert found == {
        "superseded": superseded,
        "exhausted": exhausted,
        "verified": verified,
        "canceled": canceled,
        "expired": expired,
    }
    bodies = {status: await read_verification(service, one) for status, one in found.items()}
    assert bodies["expired"]["ended_at"] == bodies["expired"]["expires_at"]
    assert all(body["ended_at"] < body["expires_at"] for status, body in bodies.items() if status != "expired")
    assert all(body["expires_in"] == 0 for body in bodies.values())


@pytest.mark.parametrize("end", ["verified", "canceled", "exhausted", "superseded", "expired"])
async def test_an_end_is_forgotten_after_ten_minutes(make_service: ServiceFactory, end: str) -> None:
    """Ten minutes after its end, not after its expiry, a verification is unknown to every endpoint."""
    service = await make_service(demo_policy(ttl_seconds=600, resend_cooldown_seconds=1))
    verification_id, code = await service.request_code()
    await service.advance(1)
    match end:
        case "verified":
            await service.verify(verification_id, code)
        case "canceled":
            await service.client.delete(VERIFICATIONS + verification_id)
        case "exhausted":
            for _ in range(5):
                await service.verify(verification_id, service.wrong_code(code))
        case "superseded":
            await service.request()
        case _:
            await service.advance(599)
    await service.advance(595)
    assert (await read_verification(service, verification_id))["status"] == end
    await service.advance(5)
    assert_problem(await service.client.get(VERIFICATIONS + verification_id), 404, "verification_unknown")
    assert_problem(await service.client.delete(VERIFICATIONS + verification_id), 404, "verification_unknown")
    assert_problem(await service.verify(verification_id, code), 404, "verification_unknown")


async def test_delete_can_be_repeated(service: RunningService) -> None:
    """A repeated DELETE gets 200 with the same body, whatever ended the verification first."""
    verification_id, code = await service.request_code()
    bodies = [await service.client.delete(VERIFICATIONS + verification_id) for _ in range(3)]
    ended = {assert_complete(body.json())["ended_at"] for body in bodies}
    assert {(body.status_code, body.json()["status"]) for body in bodies} == {(200, "canceled")}
    assert len(ended) == 1
    assert_problem(await service.verify(verification_id, code), 409, "verification_canceled")

    await service.advance(31)
    verification_id, code = await service.request_code()
    await service.verify(verification_id, code)
    body = assert_complete((await service.client.delete(VERIFICATIONS + verification_id)).json())
    assert body["status"] == "verified"
    assert_problem(await service.verify(verification_id, code), 409, "verification_used")


async def test_no_response_contains_the_whole_number(service: RunningService) -> None:
    """Before the proof every response contains the masked number only."""
    verification_id, _ = await service.request_code()
    for response in (
        await service.client.get(VERIFICATIONS + verification_id),
        await service.client.delete(VERIFICATIONS + verification_id),
        await service.request(),
    ):
        assert "1010" not in response.text
        assert "phone" not in response.json() or response.json()["phone"] == "+62812*****055"
