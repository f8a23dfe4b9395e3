"""GET and DELETE of a verification: its members, as it stands now, and until when."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.api.api_requests import BY_ID
from tests.config_parts import demo
from tests.problem_assertions import MEMBERS, TIME, common, problem
from tests.running_service import World, WorldMaker

WHOLE = MEMBERS | {"created_at": str, "deliveries": list}
STATUSES = {"pending", "verified", "expired", "exhausted", "superseded", "canceled"}


async def read(world: World, verification_id: str) -> dict[str, Any]:
    """Read a verification and hold its form."""
    response = await world.client.get(BY_ID + verification_id)
    assert response.status_code == 200, response.text
    common(response)
    return whole(response.json())


def whole(body: dict[str, Any]) -> dict[str, Any]:
    """Hold the body of GET and DELETE to be whole and well-formed."""
    assert {name: type(value) for name, value in body.items() if name != "ended_at"} == WHOLE
    assert body["status"] in STATUSES
    assert (body["ended_at"] is None) is (body["status"] == "pending")
    for name in ("created_at", "expires_at", "resend_at", "ended_at"):
        assert body[name] is None or re.fullmatch(TIME, body[name])
    for delivery in body["deliveries"]:
        assert set(delivery) == {"provider", "status", "at", "error"}
        assert delivery["status"] in {"queued", "sending", "sent", "delivered", "undelivered", "failed", "unknown"}
        assert re.fullmatch(TIME, delivery["at"])
    return body


async def test_it_shows_the_202_as_it_stands_now(world: World) -> None:
    """The members of the 202 with what has changed since: time, attempts, deliveries."""
    first = (await world.request()).json()
    verification_id = first["verification_id"]
    await world.message_of(verification_id)
    body = await read(world, verification_id)
    while body["deliveries"][0]["status"] != "sent":
        body = await read(world, verification_id)
    assert {name: body[name] for name in MEMBERS} == first | {name: body[name] for name in ("expires_in", "resend_in")}
    [delivery] = body["deliveries"]
    assert (delivery["provider"], delivery["status"], delivery["error"]) == ("inbox", "sent", None)

    await world.advance(20)
    await world.verify(verification_id, "0" * 10)
    body = await read(world, verification_id)
    assert (body["status"], body["attempts_left"], body["sends_left"]) == ("pending", 4, 4)
    assert 278 <= body["expires_in"] <= 280
    assert 8 <= body["resend_in"] <= 10
    await world.advance(20)
    assert (await read(world, verification_id))["resend_in"] == 0


async def test_each_end_is_shown(make_world: WorldMaker) -> None:
    """How it ended, and when: at the guess, the cancel, the newer request, or the end of its time."""
    world = await make_world(demo(resend_cooldown_seconds=1, ttl_seconds=100))
    superseded, _ = await world.requested()
    await world.advance(1)
    verified, right = await world.requested(purpose="registration")
    canceled, _ = await world.requested(purpose="password_reset")
    exhausted, code = await world.requested()
    for _ in range(5):
        await world.verify(exhausted, world.wrong(code))
    await world.verify(verified, right)
    whole((await world.client.delete(BY_ID + canceled)).json())
    await world.advance(1)
    expired, _ = await world.requested()
    await world.advance(100)
    found = {(await read(world, one))["status"]: one for one in (superseded, exhausted, verified, canceled, expired)}
    assert found == {
        "superseded": superseded,
        "exhausted": exhausted,
        "verified": verified,
        "canceled": canceled,
        "expired": expired,
    }
    bodies = {status: await read(world, one) for status, one in found.items()}
    assert bodies["expired"]["ended_at"] == bodies["expired"]["expires_at"]
    assert all(body["ended_at"] < body["expires_at"] for status, body in bodies.items() if status != "expired")
    assert all(body["expires_in"] == 0 for body in bodies.values())


@pytest.mark.parametrize("end", ["verified", "canceled", "exhausted", "superseded", "expired"])
async def test_an_end_is_forgotten_after_ten_minutes(make_world: WorldMaker, end: str) -> None:
    """Ten minutes after its end, and not after its expiry, a verification is unknown to every endpoint."""
    world = await make_world(demo(ttl_seconds=600, resend_cooldown_seconds=1))
    verification_id, code = await world.requested()
    await world.advance(1)
    match end:
        case "verified":
            await world.verify(verification_id, code)
        case "canceled":
            await world.client.delete(BY_ID + verification_id)
        case "exhausted":
            for _ in range(5):
                await world.verify(verification_id, world.wrong(code))
        case "superseded":
            await world.request()
        case _:
            await world.advance(599)
    await world.advance(595)
    assert (await read(world, verification_id))["status"] == end
    await world.advance(5)
    problem(await world.client.get(BY_ID + verification_id), 404, "verification_unknown")
    problem(await world.client.delete(BY_ID + verification_id), 404, "verification_unknown")
    problem(await world.verify(verification_id, code), 404, "verification_unknown")


async def test_delete_can_be_repeated(world: World) -> None:
    """200 with the same body, whatever had ended it; the first end stays."""
    verification_id, code = await world.requested()
    bodies = [await world.client.delete(BY_ID + verification_id) for _ in range(3)]
    ended = {whole(body.json())["ended_at"] for body in bodies}
    assert {(body.status_code, body.json()["status"]) for body in bodies} == {(200, "canceled")}
    assert len(ended) == 1
    problem(await world.verify(verification_id, code), 409, "verification_canceled")

    await world.advance(31)
    verification_id, code = await world.requested()
    await world.verify(verification_id, code)
    body = whole((await world.client.delete(BY_ID + verification_id)).json())
    assert body["status"] == "verified"
    problem(await world.verify(verification_id, code), 409, "verification_used")


async def test_no_reply_shows_the_whole_number(world: World) -> None:
    """Before the proof only the masked number is told, however it is asked for."""
    verification_id, _ = await world.requested()
    for response in (
        await world.client.get(BY_ID + verification_id),
        await world.client.delete(BY_ID + verification_id),
        await world.request(),
    ):
        assert "1010" not in response.text
        assert "phone" not in response.json() or response.json()["phone"] == "+62812*****055"
