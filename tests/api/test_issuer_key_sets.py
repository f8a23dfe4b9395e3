"""Key sets of token issuers, over HTTP: where they are fetched, which keys count, and what a change does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from tests.api.api_requests import normalize_as
from tests.issuer_simulator import IssuerSimulator
from tests.running_service import ServiceFactory


async def test_issuer_that_was_never_reached(make_service: ServiceFactory, issuer: IssuerSimulator) -> None:
    """Without any key nothing can be verified: 503 with Retry-After, and not 401."""
    issuer.always = Respond(SimulatorResponse(status=500))
    service = await make_service({"issuers": {"corp": issuer.config()}})

    response = await normalize_as(service, issuer.token())

    assert (response.status_code, response.json()["code"]) == (503, "issuer_unavailable")
    assert 1 <= int(response.headers["retry-after"]) <= 5


@pytest.mark.parametrize("discovery", ["openid", "oauth"])
async def test_discovered_keys(make_service: ServiceFactory, issuer: IssuerSimulator, discovery: str) -> None:
    """The address of the key set is read from the metadata, if the config says so."""
    service = await make_service({"issuers": {"corp": issuer.config(jwks_url=None, discovery=discovery)}})

    assert (await normalize_as(service, issuer.token())).status_code == 200
    path = {"openid": "openid-configuration", "oauth": "oauth-authorization-server"}[discovery]
    assert [one.path for one in issuer.requests] == [f"/.well-known/{path}", "/jwks.json"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example.com"},
        {"jwks_uri": "http://192.0.2.1/jwks.json"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
async def test_metadata_that_is_not_trusted(
    make_service: ServiceFactory, issuer: IssuerSimulator, metadata: dict[str, Any]
) -> None:
    """Metadata of another issuer, or that leads to an insecure address, gives no keys."""
    issuer.metadata = metadata
    service = await make_service({"issuers": {"corp": issuer.config(jwks_url=None, discovery="openid")}})

    assert (await normalize_as(service, issuer.token())).status_code == 503


async def test_redirects_are_not_followed(make_service: ServiceFactory, issuer: IssuerSimulator) -> None:
    """A key set elsewhere is not fetched: whoever controls a redirect would sign tokens."""
    async with IssuerSimulator() as attacker:
        to = SimulatorResponse(status=302, headers={"Location": f"{attacker.url}/jwks.json"})
        issuer.always = Respond(to)
        service = await make_service({"issuers": {"corp": issuer.config()}})

        response = await normalize_as(service, attacker.token(iss=issuer.url))

        assert (response.status_code, attacker.requests) == (503, [])


async def test_private_and_unfit_keys_are_not_used(make_service: ServiceFactory, issuer: IssuerSimulator) -> None:
    """A key set may hold keys for other uses, secrets and damaged ones: only the usable ones count."""
    usable = issuer.key_set()["keys"]
    unfit = [
        {"kty": "oct", "kid": "h1", "k": "c2VjcmV0", "alg": "HS256"},
        {**usable[0], "kid": "enc", "use": "enc"},
        {**usable[0], "kid": "ops", "key_ops": ["sign"]},
        {**usable[0], "kid": "alg", "alg": "ES256"},
        {**usable[0], "kid": "x", "x": "AA"},
        {**usable[0], "kid": 5},
        {"kty": "RSA", "kid": "short", "n": "AQAB" * 8, "e": "AQAB"},
        {"kty": "RSA", "kid": "slow", "n": "AQAB" * 100, "e": "AQAB" * 60},
        {"kty": "RSA", "kid": "surrogate", "n": "\ud800" * 400, "e": "AQAB"},
        {"kty": "EC", "kid": "y", "crv": "P-256", "x": 5, "y": []},
        "text",
    ]
    body = json.dumps({"keys": [*unfit, *usable]}).encode()
    issuer.always = Respond(SimulatorResponse(body))
    service = await make_service({"issuers": {"corp": issuer.config()}})

    good = await normalize_as(service, issuer.token())
    bad = [await normalize_as(service, issuer.token(headers={"kid": key_id})) for key_id in ("enc", "ops", "alg", "x")]

    assert good.status_code == 200
    assert [one.status_code for one in bad] == [401] * 4


async def test_key_that_the_issuer_withdraws(make_service: ServiceFactory, issuer: IssuerSimulator) -> None:
    """A token that was accepted is refused once the key set no longer has its key, although it is remembered."""
    service = await make_service({"issuers": {"corp": issuer.config(jwks_min_refresh_seconds=1)}})
    withdrawn = issuer.token()
    assert (await normalize_as(service, withdrawn)).status_code == 200
    issuer.keys = {"k2": Ed25519PrivateKey.generate()}

    while (await normalize_as(service, issuer.token())).status_code != 200:  # until the new key is fetched, 1 s later
        assert issuer.fetches <= 2

    assert (await normalize_as(service, withdrawn)).status_code == 401
