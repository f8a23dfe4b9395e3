"""Key rotation: what was made under a listed key stays valid, and keyed hashes do not change."""

from __future__ import annotations

import base64
from typing import Any

import jwt

from otp_service.sandbox.dev_config import dev_config
from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE, VERIFICATIONS, VERIFY_CODE
from tests.problem_assertions import assert_problem
from tests.running_service import E164, RunningService, ServiceFactory

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
BEFORE: dict[str, Any] = {"keys": {"k1": OLD, "current": "k1", "index": "k1"}}
AFTER: dict[str, Any] = {"keys": {"k1": OLD, "k2": NEW, "current": "k2", "index": "k1"}}
KEY = {"Idempotency-Key": "order-17"}


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a proof token."""
    payload: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return payload


async def proved(service: RunningService, verification_id: str, code: str) -> str:
    """Verify a code with an idempotency key, and return the proof."""
    attempt_body = {"verification_id": verification_id, "code": code}
    response = await service.client.post(VERIFY_CODE, json=attempt_body, headers=KEY)
    assert response.status_code == 200, response.text
    return str(response.json()["token"])


async def test_a_code_stays_valid_after_rotation(make_service: ServiceFactory) -> None:
    """Verifications from before and after a change of `current` can be read and verified."""
    before, after = await make_service(BEFORE), await make_service(AFTER)
    verification_id, code = await before.request_code()
    assert (await after.client.get(VERIFICATIONS + verification_id)).json()["phone"] == "+62812*****055"
    body = assert_problem(
        await after.verify(verification_id, after.wrong_code(code)), 422, "code_incorrect", "attempts_left"
    )
    assert body["attempts_left"] == 4
    assert_problem(await after.request(), 429, "resend_too_soon")
    first = claims(await proved(after, verification_id, code))
    await after.advance(30)
    second = claims((await after.verify(*await after.request_code())).json()["token"])
    assert (first["sub"], first["phone"]) == (second["sub"], second["phone"]) == (second["sub"], E164)
    assert first["jti"] != second["jti"]


async def test_kept_responses_stay_readable_after_rotation(make_service: ServiceFactory) -> None:
    """A retry after a rotation gets its earlier response on both endpoints, and sends nothing."""
    before, after = await make_service(BEFORE), await make_service(AFTER)
    first = await before.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=KEY)
    verification_id = first.json()["verification_id"]
    token = await proved(before, verification_id, await before.code_of(verification_id))
    again = await after.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=KEY)
    assert (again.status_code, again.content) == (202, first.content)
    assert await proved(after, verification_id, await before.code_of(verification_id)) == token
    assert after.inbox.messages() == []


async def test_a_code_is_sent_again_under_another_key(make_service: ServiceFactory) -> None:
    """With `reuse` the code from before the rotation is sent again after it."""
    again = {"tenants": {"demo": {"policy": {"resend": "reuse"}}}}
    before, after = await make_service(BEFORE | again), await make_service(AFTER | again)
    _, code = await before.request_code()
    await after.advance(30)
    verification_id, same = await after.request_code()
    assert same == code
    assert (await after.verify(verification_id, code)).status_code == 200


async def test_every_listed_token_key_is_published(make_service: ServiceFactory) -> None:
    """The JWKS verifies a proof from before the rotation, and new proofs are signed with the new key."""
    pems = {name: dev_config("")["tokens"]["dev"] for name in ("t1", "t2")}
    before = await make_service({"tokens": {"t1": pems["t1"], "current": "t1"}})
    after = await make_service({"tokens": {**pems, "current": "t2", "issuer": "https://otp.example.com"}})
    jwks = jwt.PyJWKSet.from_dict((await after.client.get("/.well-known/jwks.json")).json())
    assert {"t1", "t2"} < {key.key_id for key in jwks.keys}
    for service, signer, issuer in (
        (before, "t1", "http://127.0.0.1:8000"),
        (after, "t2", "https://otp.example.com"),
    ):
        token = (await service.verify(*await service.request_code())).json()["token"]
        assert jwt.get_unverified_header(token)["kid"] == signer
        payload = jwt.decode(token, jwks[signer], algorithms=["EdDSA"], audience="demo", issuer=issuer)
        assert payload["phone"] == E164
