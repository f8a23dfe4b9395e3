"""The HTTP contract: states, problems, limits, idempotency."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Any

import httpx
import jwt
import pytest

from tests.world import E164, NUMBER, World, WorldMaker

MEMBERS = {
    "verification_id",
    "status",
    "purpose",
    "channel",
    "phone",
    "country",
    "code_length",
    "expires_at",
    "expires_in",
    "resend_at",
    "resend_in",
    "attempts_left",
    "sends_left",
}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Hold a reply to be this problem, whole."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert body["request_id"] == response.headers["x-request-id"]
    assert {"type", "title", "status", "detail"} <= set(body)
    if status in (429, 503):
        assert int(response.headers["retry-after"]) == body["retry_after"] >= 1
    return body


async def test_the_202(world: World) -> None:
    """A request is answered with exactly the members of the contract."""
    body = (await world.request()).json()
    assert set(body) == MEMBERS
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,36}", body["verification_id"])
    assert (body["phone"], body["country"], body["status"]) == ("+62812*****055", "ID", "pending")
    assert (body["expires_in"], body["resend_in"], body["code_length"]) == (300, 30, 6)
    assert (body["attempts_left"], body["sends_left"]) == (5, 4)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["expires_at"])


async def test_the_cooldown_is_exact(world: World) -> None:
    """Retry-After is honest: a second before it is too soon, at it the request passes."""
    await world.requested()
    wait = problem(await world.request(), 429, "resend_too_soon")["retry_after"]
    assert 29 <= wait <= 30
    await world.advance(wait - 2)
    problem(await world.request(), 429, "resend_too_soon")
    await world.advance(2)
    assert (await world.request()).status_code == 202


async def test_a_new_request_supersedes_the_old_one(world: World) -> None:
    """The newest verification is the one that counts, with attempts of its own."""
    first, code = await world.requested()
    await world.verify(first, world.wrong(code))
    await world.advance(31)
    second, newer = await world.requested()
    problem(await world.verify(first, code), 409, "verification_superseded")
    assert (await world.verify(second, newer)).status_code == 200


async def test_sends_of_a_chain_are_counted(make_world: WorldMaker) -> None:
    """After max_sends the chain has to end; a success ends it too."""
    world = await make_world({"tenants": {"demo": {"policy": {"max_sends": 2, "resend_cooldown_seconds": 1}}}})
    assert (await world.request()).json()["sends_left"] == 1
    await world.advance(1.1)
    assert (await world.request()).json()["sends_left"] == 0
    await world.advance(1.1)
    body = problem(await world.request(), 429, "rate_limited")
    assert body["limit"] == "max_sends"
    assert 297 <= body["retry_after"] <= 300
    await world.advance(body["retry_after"])
    verification_id, code = await world.requested()
    assert (await world.verify(verification_id, code)).status_code == 200
    await world.advance(1.1)
    assert (await world.request()).json()["sends_left"] == 1


async def test_the_recipient_limit_counts_every_purpose(make_world: WorldMaker) -> None:
    """Sends to one number count over purposes, and the limit says its name."""
    world = await make_world({"limits": {"recipient": ["2/3600"]}})
    await world.requested(purpose="login")
    await world.requested(purpose="registration")
    assert problem(await world.request(purpose="password_reset"), 429, "rate_limited")["limit"] == "recipient"


async def test_attempts_run_out(world: World) -> None:
    """The last wrong guess says 0; later ones, right or wrong, are told that no attempts are left."""
    verification_id, code = await world.requested()
    for left in (4, 3, 2, 1, 0):
        body = problem(await world.verify(verification_id, world.wrong(code)), 422, "code_incorrect")
        assert body["attempts_left"] == left
    wait = problem(await world.verify(verification_id, code), 429, "attempts_exhausted")["retry_after"]
    assert (await world.client.get(f"/v1/verifications/{verification_id}")).json()["status"] == "exhausted"
    await world.advance(wait)
    assert (await world.request()).status_code == 202


async def test_failures_lock_the_recipient(make_world: WorldMaker) -> None:
    """A new code does not refill guesses; at the limit both endpoints are locked, for right codes too."""
    policy = {"resend_cooldown_seconds": 1, "max_attempts": 3}
    world = await make_world({"tenants": {"demo": {"policy": policy}}, "limits": {"recipient_failures": ["4/86400"]}})
    first, code = await world.requested()
    for _ in range(3):
        await world.verify(first, world.wrong(code))
    await world.advance(1.1)
    second, code = await world.requested()
    await world.verify(second, world.wrong(code))
    problem(await world.verify(second, code), 429, "recipient_locked")
    await world.advance(1.1)
    problem(await world.request(), 429, "recipient_locked")


async def test_a_success_clears_the_failures(make_world: WorldMaker) -> None:
    """Failures before a success do not count after it."""
    world = await make_world(
        {
            "tenants": {"demo": {"policy": {"resend_cooldown_seconds": 1}}},
            "limits": {"recipient_failures": ["4/86400"]},
        }
    )
    for _ in range(3):
        verification_id, code = await world.requested()
        for _ in range(3):
            problem(await world.verify(verification_id, world.wrong(code)), 422, "code_incorrect")
        assert (await world.verify(verification_id, code)).status_code == 200
        await world.advance(1.1)


@pytest.mark.parametrize(("seconds", "status"), [(299, 200), (300, 410)])
async def test_expiry_is_exact(world: World, seconds: int, status: int) -> None:
    """A code is good until its last second and expired at its end."""
    verification_id, code = await world.requested()
    await world.advance(seconds - 0.5 if status == 200 else seconds)
    response = await world.verify(verification_id, code)
    assert response.status_code == status
    if status == 410:
        problem(response, 410, "verification_expired")


@pytest.mark.parametrize("end", ["verified", "expired", "exhausted", "superseded", "canceled"])
async def test_an_end_is_readable_for_ten_minutes(world: World, end: str) -> None:
    """Each end keeps its state for ten minutes and is unknown after them."""
    verification_id, code = await world.requested()
    path = f"/v1/verifications/{verification_id}"
    match end:
        case "verified":
            await world.verify(verification_id, code)
        case "expired":
            await world.advance(300)
        case "exhausted":
            for _ in range(5):
                await world.verify(verification_id, world.wrong(code))
        case "superseded":
            await world.advance(31)
            await world.requested()
        case "canceled":
            assert (await world.client.delete(path)).json()["status"] == "canceled"
    await world.advance(595)
    body = (await world.client.get(path)).json()
    assert body["status"] == end
    assert body["ended_at"] is not None
    await world.advance(6)
    problem(await world.client.get(path), 404, "verification_unknown")
    problem(await world.verify(verification_id, code), 404, "verification_unknown")


async def test_cancel_can_be_repeated(world: World) -> None:
    """DELETE answers 200 with the same body, also the second time; a guess is refused."""
    verification_id, code = await world.requested()
    path = f"/v1/verifications/{verification_id}"
    first, second = (await world.client.delete(path)).json(), (await world.client.delete(path)).json()
    assert first["status"] == second["status"] == "canceled"
    assert set(first) == {*MEMBERS, "created_at", "ended_at", "deliveries"}
    problem(await world.verify(verification_id, code), 409, "verification_canceled")


@pytest.mark.parametrize("typed", ["{} ", "{0[0]}{0[1]}{0[2]} - {0[3]}{0[4]}{0[5]}", "fullwidth", "arabic"])
async def test_typed_codes(world: World, typed: str) -> None:
    """Spaces and dashes are dropped, digits of other scripts are digits."""
    verification_id, code = await world.requested()
    shifts = {"fullwidth": 0xFF10, "arabic": 0x0660}
    digits = "".join(chr(shifts.get(typed, ord("0")) + int(digit)) for digit in code)
    entered = digits if typed in shifts else typed.format(code)
    assert (await world.verify(verification_id, entered)).status_code == 200


@pytest.mark.parametrize("typed", ["123", "1234 56 78 90 1", "12a456", "------", "12.456"])
async def test_what_is_no_code_costs_nothing(world: World, typed: str) -> None:
    """Anything but 4-10 digits is malformed and takes no attempt; another length is a wrong guess."""
    verification_id, code = await world.requested()
    problem(await world.verify(verification_id, typed), 400, "request_malformed")
    assert problem(await world.verify(verification_id, code[:4]), 422, "code_incorrect")["attempts_left"] == 4


@pytest.mark.parametrize(
    ("phone", "status", "code"),
    [
        ("0215551234", 422, "phone_not_mobile"),
        ("08091234567", 422, "phone_not_mobile"),
        ("08123456", 422, "phone_invalid"),
        ("08123456789 ext 5", 422, "phone_invalid"),
        ("0812-CALL-NOW", 422, "phone_invalid"),
        ("+870773111632", 403, "country_not_allowed"),
        ("1" * 65, 400, "request_malformed"),
    ],
)
async def test_numbers_that_get_nothing(world: World, phone: str, status: int, code: str) -> None:
    """What is not a mobile number of an allowed country is refused by name, and not repeated."""
    response = await world.request(phone)
    problem(response, status, code)
    assert phone not in response.text


async def test_countries_are_an_allow_list(make_world: WorldMaker) -> None:
    """Without a wildcard only the listed countries get texts."""
    world = await make_world({"tenants": {"demo": {"countries": ["ID"]}}})
    problem(await world.request("+6591234567"), 403, "country_not_allowed")
    problem(await world.request(purpose="payment"), 403, "purpose_not_allowed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"phone": 812, "purpose": "login"}',
        b'{"phone": "0812-1010-0055"}',
        b'{"phone": "0812-1010-0055", "purpose": "login", "decoy": "true"}',
        b'{"phone": "0812-1010-0055", "purpose": "login", "extra": 1}',
        b'{"phone": "0812-1010-0055", "purpose": "login", "channel": "fax"}',
        b'{"phone": "0812-1010-0055", "purpose": "login", "client_ip": "localhost"}',
        b'{"phone": "\xff", "purpose": "login"}',
        b"\xef\xbb\xbf{}",
        b"[" * 60_000,
        b'{"phone": "' + b"8" * 100 + b'", "purpose": "login"}',
        b'{"phone": "0812-1010-0055", "purpose": "x' + b"y" * 40 + b'"}',
    ],
)
async def test_malformed_bodies(world: World, body: bytes) -> None:
    """Whatever is wrong with a body has its problem, and the number is not repeated."""
    response = await world.client.post("/v1/request-code", content=body, headers={"Content-Type": "application/json"})
    assert problem(response, 400, "request_malformed")["errors"]
    assert "1010" not in response.text


async def test_size_type_method_and_path(world: World) -> None:
    """What the framework would answer by itself is a problem of ours too."""
    json = {"Content-Type": "application/json"}
    post = world.client.post
    problem(await post("/v1/request-code", content=b" " * 65_537, headers=json), 413, "body_too_large")
    problem(await post("/v1/request-code", content=b" " * 65_536, headers=json), 400, "request_malformed")
    problem(
        await post("/v1/request-code", content=b"{}", headers={"Content-Type": "text/plain"}),
        415,
        "media_type_unsupported",
    )
    problem(await world.client.get("/v1/request-code"), 405, "method_not_allowed")
    problem(await world.client.get("/v2"), 404, "not_found")


async def test_the_order_of_judgement(world: World) -> None:
    """Size and type come before the key, the key before the body, the body before the scope, and so on."""
    stranger = world.caller(None)
    plain = {"Content-Type": "text/plain"}
    problem(await stranger.post("/v1/request-code", content=b"{}", headers=plain), 415, "media_type_unsupported")
    problem(await stranger.post("/v1/request-code", json={}), 401, "key_missing")
    problem(await world.caller("no-such-key").post("/v1/request-code", json={}), 401, "key_invalid")
    problem(await world.request("0", purpose="payment"), 403, "purpose_not_allowed")


async def test_scopes(make_world: WorldMaker) -> None:
    """A key does what its scopes say; `client_ip` and `decoy` are for servers."""
    key = {"id": "app", "sha256": hashlib.sha256(b"app-key").hexdigest(), "scopes": ["request"]}
    world = await make_world({"tenants": {"demo": {"api_keys": [key]}}, "limits": {"client_ip": ["1/60"]}})
    app = world.caller("app-key", "198.51.100.7")
    body = {"phone": NUMBER, "purpose": "login"}
    problem(await app.post("/v1/request-code", json={**body, "decoy": True}), 403, "scope_missing")
    problem(await app.post("/v1/request-code", json={**body, "client_ip": "1.1.1.1"}), 403, "scope_missing")
    assert (await app.post("/v1/request-code", json=body)).status_code == 202
    other = {"phone": "0812-1010-0066", "purpose": "login"}
    assert problem(await app.post("/v1/request-code", json=other), 429, "rate_limited")["limit"] == "client_ip"
    guess = {"verification_id": "A" * 23, "code": "123456"}
    problem(await app.post("/v1/verify-code", json=guess), 403, "scope_missing")
    problem(await app.get("/v1/verifications/x"), 403, "scope_missing")
    assert (await app.post("/v1/normalize-phone", json={"phone": NUMBER})).json() == {
        "e164": E164,
        "national": "0812-1010-0055",
        "country": "ID",
        "type": "mobile",
        "mobile": True,
    }


async def test_a_decoy_answers_the_same_and_sends_nothing(world: World) -> None:
    """A decoy has the same members, takes guesses, and leaves no message."""
    body = (await world.request(decoy=True)).json()
    assert set(body) == MEMBERS
    read = (await world.client.get(f"/v1/verifications/{body['verification_id']}")).json()
    assert (read["status"], read["deliveries"]) == ("pending", [])
    problem(await world.verify(body["verification_id"], "123456"), 422, "code_incorrect")
    problem(await world.request(), 429, "resend_too_soon")
    assert world.inbox.messages() == []


async def test_reuse_sends_the_same_code_again(make_world: WorldMaker) -> None:
    """Under `resend = "reuse"` a second text has the same code, and no code lives longer than ten minutes."""
    policy = {"resend": "reuse", "resend_cooldown_seconds": 1, "ttl_seconds": 400}
    world = await make_world({"tenants": {"demo": {"policy": policy}}})
    first, code = await world.requested()
    await world.advance(300)
    response = await world.request()
    second = response.json()["verification_id"]
    assert await world.code_of(second) == code
    assert 298 <= response.json()["expires_in"] <= 300
    problem(await world.verify(first, code), 409, "verification_superseded")
    assert (await world.verify(second, code)).status_code == 200


async def test_idempotent_verify(world: World) -> None:
    """A lost 200 is asked for again with its key; a kept refusal costs one attempt only."""
    verification_id, code = await world.requested()
    wrong = {"verification_id": verification_id, "code": world.wrong(code)}
    right = {"verification_id": verification_id, "code": code}
    post = world.client.post
    for _ in range(2):
        response = await post("/v1/verify-code", json=wrong, headers={"Idempotency-Key": "a"})
        assert problem(response, 422, "code_incorrect")["attempts_left"] == 4
    problem(await post("/v1/verify-code", json=right, headers={"Idempotency-Key": "a"}), 422, "idempotency_mismatch")
    answers = [await post("/v1/verify-code", json=right, headers={"Idempotency-Key": "b"}) for _ in range(2)]
    assert answers[0].status_code == 200
    assert answers[0].content == answers[1].content
    problem(await world.verify(verification_id, code), 409, "verification_used")


async def test_refusals_that_pass_are_not_kept(world: World) -> None:
    """A 429 under a key is forgotten: the same request may pass later."""
    await world.requested()
    body, headers = {"phone": NUMBER, "purpose": "login"}, {"Idempotency-Key": "later"}
    problem(await world.client.post("/v1/request-code", json=body, headers=headers), 429, "resend_too_soon")
    await world.advance(31)
    assert (await world.client.post("/v1/request-code", json=body, headers=headers)).status_code == 202
    other = {"phone": "0812-1010-0066", "purpose": "login"}
    problem(await world.client.post("/v1/request-code", json=other, headers=headers), 422, "idempotency_mismatch")


async def test_a_worker_that_died_under_a_key_sends_no_second_text(world: World) -> None:
    """Who asks again after a crash gets the verification that was left, and no second text goes out."""
    body, headers = {"phone": NUMBER, "purpose": "login"}, {"Idempotency-Key": "crash"}
    first = (await world.client.post("/v1/request-code", json=body, headers=headers)).json()["verification_id"]
    await world.message_of(first)
    [key] = [key async for key in world.store.scan_iter("otp:i:*")]
    await world.store.hdel(key, "answer")
    problem(await world.client.post("/v1/request-code", json=body, headers=headers), 409, "idempotency_in_flight")
    await world.advance(16)
    again = await world.client.post("/v1/request-code", json=body, headers=headers)
    assert (again.status_code, again.json()["verification_id"]) == (202, first)
    assert len(world.inbox.messages()) == 1


async def test_the_token_says_exactly_this(world: World) -> None:
    """The proof has the contract's claims and header, and the JWKS no private member."""
    verification_id, code = await world.requested()
    token = (await world.verify(verification_id, code)).json()["token"]
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert header == {"alg": "EdDSA", "typ": "otp-verification+jwt", "kid": "dev"}
    assert set(claims) == {"iss", "aud", "sub", "jti", "iat", "exp", "phone", "purpose"}
    assert claims["exp"] - claims["iat"] <= 300
    assert E164.removeprefix("+") not in claims["sub"]
    [key] = (await world.client.get("/.well-known/jwks.json")).json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}


async def test_no_route(make_world: WorldMaker) -> None:
    """A number that nobody serves is told so, and nothing is counted for it."""
    world = await make_world({"routes": [{"country": "SG", "providers": ["inbox"]}]})
    for _ in range(3):
        problem(await world.request(), 503, "no_route")
    assert not [key async for key in world.store.scan_iter("otp:*v:*")]


async def test_overload_costs_no_attempt(make_world: WorldMaker) -> None:
    """Without a place in the hash pool the answer is 503, and the guess is not paid for."""
    world = await make_world({"hashing": {"max_waiting": 1, "time_cost": 10, "memory_kib": 65536}})
    verification_id, code = await world.requested()
    held = asyncio.create_task(world.request("0812-1010-0066"))
    await asyncio.sleep(0.02)
    problem(await world.verify(verification_id, code), 503, "overloaded")
    problem(await world.request("0812-1010-0077"), 503, "overloaded")
    assert (await held).status_code == 202
    assert (await world.client.get(f"/v1/verifications/{verification_id}")).json()["attempts_left"] == 5
