"""verify-code: valid codes, attempts, the end of a verification, and the proof token."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import unicodedata
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import jwt
import pytest

from otp_service.crypto.hashing import HashPool
from tests.api.api_requests import UNKNOWN_ID, VERIFICATIONS, VERIFY_CODE
from tests.config_parts import SLOW_HASHING, api_key, demo_policy, tenant
from tests.problem_assertions import UTC_TIME_PATTERN, assert_common_headers, assert_problem, problem_code
from tests.running_service import E164, RunningService, ServiceFactory

CLAIMS = {"iss", "aud", "sub", "jti", "iat", "exp", "phone", "purpose"}


def in_script(code: str, zero: str) -> str:
    """Write a code with the digits of another script."""
    return "".join(chr(ord(zero) + int(digit)) for digit in code)


def utc(seconds: int) -> str:
    """Format a time as the contract does."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TYPED = [
    "{0}",
    " {0} ",
    "{1} {2}",
    "{1}-{2}",
    "{1} - {2}",
    "{1}\u2013{2}",
    "{1}\u2014{2}",
    "{1}\u00a0{2}",
    " -{1}--{2}- ",
    "FULL-WIDTH",
    "ARABIC-INDIC",
    "EXTENDED ARABIC-INDIC",
    "mixed",
]


async def test_how_a_code_may_be_typed(service: RunningService) -> None:
    """Spaces and dashes are removed; full-width and Arabic-Indic digits are accepted."""
    for n, typed in enumerate(TYPED, 10):
        verification_id, code = await service.request_code(f"0812-1010-00{n}")
        if typed == "mixed":
            entered = in_script(code[:2], "\uff10") + "-" + in_script(code[2:4], "\u0660") + " " + code[4:]
        elif typed.isupper():
            entered = in_script(code, unicodedata.lookup(f"{typed.replace('FULL-WIDTH', 'FULLWIDTH')} DIGIT ZERO"))
        else:
            entered = typed.format(code, code[:3], code[3:])
        assert (await service.verify(verification_id, entered)).status_code == 200


async def test_a_code_of_another_length_is_an_attempt(service: RunningService) -> None:
    """Any 4-10 digits are an attempt; a part of the code, or the code with more digits, is wrong."""
    for length in (4, 5, 7, 8, 9, 10):
        verification_id, code = await service.request_code(f"0812-1010-00{length:02d}")
        attempt_body = (code + "0000")[:length]
        body = assert_problem(
            await service.verify(verification_id, attempt_body), 422, "code_incorrect", "attempts_left"
        )
        assert body["attempts_left"] == 4


async def test_a_malformed_code_costs_nothing(service: RunningService) -> None:
    """A malformed code uses no attempt, and does not count as a wrong code."""
    verification_id, code = await service.request_code()
    for typed in ("123", "1234 56 78 90 1", "", "abcdef", "12-3", "------", "12.456", code + "x"):
        assert_problem(await service.verify(verification_id, typed), 400, "request_malformed", "errors")
    assert (await service.client.get(VERIFICATIONS + verification_id)).json()["attempts_left"] == 5
    assert not [
        name for key in await service.store.keys("otp:*r:*") for name in await service.store.hkeys(key) if b"f:" in name
    ]


async def test_a_code_verifies_only_its_own_verification(make_service: ServiceFactory) -> None:
    """The code of another number, purpose or verification is wrong."""
    service = await make_service(demo_policy(code_length=10))
    issued = [
        await service.request_code(),
        await service.request_code(purpose="registration"),
        await service.request_code("0812-1010-0066"),
    ]
    for (verification_id, _), (_, foreign) in pairwise([*issued, issued[0]]):
        assert_problem(await service.verify(verification_id, foreign), 422, "code_incorrect", "attempts_left")
    for verification_id, code in issued:
        assert (await service.verify(verification_id, code)).status_code == 200


async def test_another_tenants_verification_is_unknown(make_service: ServiceFactory) -> None:
    """Another tenant's id gets 404 from each endpoint, like an unknown id, and uses nothing."""
    service = await make_service({"tenants": {"acme": tenant(api_key("acme", "request", "verify", "read"))}})
    verification_id, code = await service.request_code()
    acme = service.caller("acme")
    answers = [
        await acme.post(VERIFY_CODE, json={"verification_id": verification_id, "code": code}),
        await acme.get(VERIFICATIONS + verification_id),
        await acme.delete(VERIFICATIONS + verification_id),
    ]
    never = await acme.get(VERIFICATIONS + UNKNOWN_ID)
    for answer in answers:
        body = assert_problem(answer, 404, "verification_unknown")
        assert body | {"request_id": ""} == never.json() | {"request_id": ""}
    assert (await service.client.get(VERIFICATIONS + verification_id)).json()["attempts_left"] == 5
    assert (await service.verify(verification_id, code)).status_code == 200


@pytest.mark.parametrize("most", [1, 3, 5])
async def test_attempts_count_down(make_service: ServiceFactory, most: int) -> None:
    """Each wrong code returns the attempts left, down to 0; then no code is compared any more."""
    service = await make_service(demo_policy(max_attempts=most))
    verification_id, code = await service.request_code()
    for left in range(most - 1, -1, -1):
        body = assert_problem(
            await service.verify(verification_id, service.wrong_code(code)), 422, "code_incorrect", "attempts_left"
        )
        assert body["attempts_left"] == left
    for attempt_body in (code, service.wrong_code(code)):
        assert_problem(await service.verify(verification_id, attempt_body), 429, "attempts_exhausted")
    body = (await service.client.get(VERIFICATIONS + verification_id)).json()
    assert (body["status"], body["attempts_left"]) == ("exhausted", 0)


@pytest.mark.parametrize(
    ("policy", "windows", "kept_by", "seconds"),
    [
        ({}, ["5/3600"], "recipient_locked", 30),
        ({"max_sends": 1, "ttl_seconds": 100}, ["5/3600"], "rate_limited", 100),
        ({"max_sends": 1, "ttl_seconds": 100}, ["1/200"], "rate_limited", 200),
    ],
    ids=["lockout", "chain", "recipient"],
)
async def test_retry_after_of_exhausted_attempts(
    make_service: ServiceFactory, policy: dict[str, Any], windows: list[str], kept_by: str, seconds: int
) -> None:
    """Retry-After is when request-code would be accepted: by the lockout, the chain or the recipient limit."""
    service = await make_service(demo_policy(**policy) | {"limits": {"recipient": windows}})
    await service.stop_clock()
    verification_id, code = await service.request_code()
    for _ in range(5):
        await service.verify(verification_id, service.wrong_code(code))
    wait = assert_problem(await service.verify(verification_id, code), 429, "attempts_exhausted")["retry_after"]
    assert seconds - 5 <= wait <= seconds
    await service.advance(wait - 2)
    assert problem_code(await service.request()) == kept_by
    assert assert_problem(await service.verify(verification_id, code), 429, "attempts_exhausted")["retry_after"] <= 2
    await service.advance(2)
    assert assert_problem(await service.verify(verification_id, code), 429, "attempts_exhausted")["retry_after"] == 1
    assert (await service.request()).status_code == 202


async def test_the_last_attempt_may_be_right(service: RunningService) -> None:
    """After four wrong codes the right one succeeds."""
    verification_id, code = await service.request_code()
    for _ in range(4):
        await service.verify(verification_id, service.wrong_code(code))
    assert (await service.verify(verification_id, code)).status_code == 200
    assert (await service.client.get(VERIFICATIONS + verification_id)).json()["status"] == "verified"


async def test_the_first_end_wins(make_service: ServiceFactory) -> None:
    """An ended verification keeps its status, whatever happens to it later."""
    service = await make_service(demo_policy(resend_cooldown_seconds=1, ttl_seconds=100))
    used, code = await service.request_code(purpose="login")
    await service.verify(used, code)
    canceled, third = await service.request_code(purpose="password_reset")
    await service.client.delete(VERIFICATIONS + canceled)
    exhausted_id, other = await service.request_code(purpose="registration")
    for _ in range(5):
        await service.verify(exhausted_id, service.wrong_code(other))
    for step in (lambda: service.advance(1), service.request_code, lambda: service.advance(100)):
        await step()
        for verification_id, typed, expected, status in (
            (used, code, "verification_used", "verified"),
            (exhausted_id, other, "attempts_exhausted", "exhausted"),
            (canceled, third, "verification_canceled", "canceled"),
        ):
            assert problem_code(await service.verify(verification_id, typed)) == expected
            assert (await service.client.delete(VERIFICATIONS + verification_id)).json()["status"] == status


async def test_the_proof(service: RunningService) -> None:
    """The 200 and its token have exactly the members of the contract, and the JWKS verifies the token."""
    verification_id, code = await service.request_code()
    response = await service.verify(verification_id, code)
    assert_common_headers(response)
    body = response.json()
    assert set(body) == {"verification_id", "status", "purpose", "phone", "verified_at", "token", "token_expires_at"}
    assert (body["verification_id"], body["status"]) == (verification_id, "verified")
    assert (body["purpose"], body["phone"]) == ("login", E164)
    assert re.fullmatch(UTC_TIME_PATTERN, body["verified_at"])
    assert re.fullmatch(UTC_TIME_PATTERN, body["token_expires_at"])

    jwks = await service.caller(None).get("/.well-known/jwks.json")
    assert_common_headers(jwks)
    [key] = jwks.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}  # `d` would be the private half
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    header = jwt.get_unverified_header(body["token"])
    assert header == {"alg": "EdDSA", "typ": "otp-verification+jwt", "kid": key["kid"]}
    claims = jwt.decode(
        body["token"],
        jwt.PyJWK(key),
        algorithms=["EdDSA"],
        audience="demo",
        issuer="http://127.0.0.1:8000",
        options={"require": sorted(CLAIMS)},
    )
    assert set(claims) == CLAIMS
    assert (claims["jti"], claims["phone"], claims["purpose"]) == (verification_id, E164, "login")
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert (body["verified_at"], body["token_expires_at"]) == (utc(claims["iat"]), utc(claims["exp"]))
    assert (await service.client.get(VERIFICATIONS + verification_id)).json()["ended_at"] == body["verified_at"]
    digits = E164.removeprefix("+")
    unkeyed = {hashlib.sha256(form.encode()).digest() for form in (E164, digits, "0" + digits[2:])}
    assert digits not in claims["sub"]
    assert base64.urlsafe_b64decode(claims["sub"] + "==") not in {digest[:16] for digest in unkeyed}


async def test_the_subject_identifies_the_number(make_service: ServiceFactory) -> None:
    """`sub` is the same for one number with any purpose, and different for another number."""
    service = await make_service({})
    subjects = []
    for phone, purpose in (("0812-1010-0055", "login"), (E164, "registration"), ("0812-1010-0066", "login")):
        token = (await service.verify(*await service.request_code(phone, purpose))).json()["token"]
        subjects.append(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["sub"])
    assert subjects[0] == subjects[1] != subjects[2]


async def test_an_unknown_id_costs_no_hash(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compared for a verification that is unknown, of another tenant, or ended."""
    verification_id, code = await service.request_code()
    assert (await service.verify(verification_id, code)).status_code == 200
    monkeypatch.setattr(HashPool, "matches", None)
    assert_problem(await service.verify(verification_id, code), 409, "verification_used")
    assert_problem(await service.verify(UNKNOWN_ID, code), 404, "verification_unknown")


@pytest.mark.parametrize(("seconds", "status"), [(299, 200), (300, 410)])
async def test_expiry_is_exact(service: RunningService, seconds: int, status: int) -> None:
    """A code is valid until its last second, and expired after it."""
    verification_id, code = await service.request_code()
    await service.advance(seconds - 0.5 if status == 200 else seconds)
    response = await service.verify(verification_id, code)
    assert response.status_code == status
    if status == 410:
        assert_problem(response, 410, "verification_expired")


async def test_overload_costs_no_attempt(make_service: ServiceFactory) -> None:
    """Without a free hash slot the response is 503, and no attempt and no limit is used."""
    service = await make_service({"hashing": {"max_waiting": 1, **SLOW_HASHING["hashing"]}})
    verification_id, code = await service.request_code()
    held = asyncio.create_task(service.request("0812-1010-0066"))
    await asyncio.sleep(0.02)
    assert_problem(await service.verify(verification_id, code), 503, "overloaded")
    assert_problem(await service.request("0812-1010-0077"), 503, "overloaded")
    assert (await held).status_code == 202
    assert (await service.client.get(VERIFICATIONS + verification_id)).json()["attempts_left"] == 5
    assert (await service.request("0812-1010-0077")).status_code == 202
