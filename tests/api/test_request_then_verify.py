"""The main flow: request a code, then verify it."""

from __future__ import annotations

import jwt

from tests.running_service import E164, RunningService


async def test_a_code_is_verified_once(service: RunningService) -> None:
    """A correct code gets a 200 with a token that the JWKS verifies; the second time it gets `verification_used`."""
    verification_id, code = await service.request_code()

    response = await service.verify(verification_id, code)

    assert response.status_code == 200
    body = response.json()
    jwks = (await service.client.get("/.well-known/jwks.json")).json()
    key = jwt.PyJWK(jwks["keys"][0])
    claims = jwt.decode(body["token"], key, algorithms=["EdDSA"], audience="demo", issuer="http://127.0.0.1:8000")
    assert claims["phone"] == body["phone"] == E164
    assert claims["jti"] == verification_id
    again = await service.verify(verification_id, code)
    assert (again.status_code, again.json()["code"]) == (409, "verification_used")
