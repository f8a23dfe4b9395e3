"""Access tokens over HTTP: what a good one may do, and where it is accepted."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.api_requests import normalize_as
from tests.issuer_simulator import AUDIENCE, CLIENT, IssuerSimulator, rsa_key
from tests.log_capture import captured_logs, request_lines
from tests.running_service import RunningService, ServiceFactory

GUID = "00001111-aaaa-2222-bbbb-3333cccc4444"
"""Some issuers name clients like this; the log masks digits elsewhere, but not in the name of a configured client."""


@pytest.fixture
async def service(make_service: ServiceFactory, issuer: IssuerSimulator) -> RunningService:
    """A service that trusts the issuer."""
    return await make_service({"issuers": {"corp": issuer.config()}})


async def test_token_requests_and_verifies_a_code(service: RunningService, issuer: IssuerSimulator) -> None:
    """A good token does what an API key with its scopes does, at the tenant of its client."""
    service.client = service.caller(issuer.token())

    verification_id, code = await service.request_code()
    verified = await service.verify(verification_id, code)

    assert (verified.status_code, verified.json()["status"]) == (200, "verified")


@pytest.mark.parametrize(
    ("claims", "decoy_status", "read_status"),
    [
        ({"scope": "otp:request otp:server otp:admin"}, 403, 403),  # `scopes` of the issuer leaves server and admin out
        ({"scope": "request verify read server"}, 403, 403),  # without the prefix
        ({"scope": None, "scp": ["otp:read"]}, 403, 404),
        ({"scope": None, "scp": "otp:read"}, 403, 404),
        ({"scope": ["otp:read", 5, None]}, 403, 404),
        ({"scope": None}, 403, 403),
        ({"scope": 5}, 403, 403),
    ],
)
async def test_scopes_of_a_token(
    service: RunningService, issuer: IssuerSimulator, claims: dict[str, Any], decoy_status: int, read_status: int
) -> None:
    """A token has the scopes that it names with the prefix and that its issuer may give; no others."""
    service.client = service.caller(issuer.token(**claims))

    decoy = await service.request(decoy=True)
    read = await service.client.get("/v1/verifications/unknown")

    assert (decoy.status_code, read.status_code) == (decoy_status, read_status)


async def test_scopes_that_the_issuer_may_give(make_service: ServiceFactory, issuer: IssuerSimulator) -> None:
    """With `scopes` and another prefix in the config, a token may have `server`."""
    table = issuer.config(scopes=["request", "server"], scope_prefix="https://otp.example.com/")
    service = await make_service({"issuers": {"corp": table}})
    scope = "https://otp.example.com/request https://otp.example.com/server"
    service.client = service.caller(issuer.token(scope=scope))

    assert (await service.request(decoy=True)).status_code == 202


@pytest.mark.parametrize(
    ("headers", "claims"),
    [
        ({"typ": "AT+JWT"}, {}),
        ({"typ": "application/at+jwt"}, {}),
        ({}, {"aud": ["other", AUDIENCE]}),
        ({}, {"client_id": None, "azp": CLIENT}),
        ({}, {"exp": -3}),  # within the leeway
        ({}, {"nbf": 3}),
        ({}, {"exp": 300.5}),
    ],
)
async def test_tokens_that_differ_and_are_valid(
    service: RunningService, issuer: IssuerSimulator, headers: dict[str, Any], claims: dict[str, Any]
) -> None:
    """The forms that the RFCs allow are accepted, and clocks that differ a little."""
    claims = {name: time.time() + value if name in ("exp", "nbf") else value for name, value in claims.items()}

    assert (await normalize_as(service, issuer.token(headers=headers, **claims))).status_code == 200


@pytest.mark.parametrize("kind", ["ES256", "RS256"])
async def test_other_keys(make_service: ServiceFactory, issuer: IssuerSimulator, kind: str) -> None:
    """Keys of P-256 and RSA verify as well."""
    issuer.keys["k2"] = rsa_key() if kind == "RS256" else ec.generate_private_key(ec.SECP256R1())
    service = await make_service({"issuers": {"corp": issuer.config()}})

    assert (await normalize_as(service, issuer.token())).status_code == 200


async def test_plain_jwt_only_where_allowed(make_service: ServiceFactory, issuer: IssuerSimulator) -> None:
    """With `allow_plain_jwt`, `typ` may be `JWT`; that of another kind of token is refused still."""
    service = await make_service({"issuers": {"corp": issuer.config(allow_plain_jwt=True)}})

    found = [await normalize_as(service, issuer.token(headers={"typ": typ})) for typ in ("JWT", "dpop+jwt")]

    assert [one.status_code for one in found] == [200, 401]


async def test_one_issuer_serves_several_tenants_by_a_claim(
    make_service: ServiceFactory, issuer: IssuerSimulator
) -> None:
    """The configured claim chooses the tenant, which needs no API key; the log has issuer and client."""
    second = {"country": "SG", "purposes": ["payment"]}
    table = issuer.config(client_claim="org", clients={"one": "demo", GUID: "second"})
    service = await make_service({"tenants": {"second": second}, "issuers": {"corp": table}})

    with captured_logs() as log:
        found = [
            await service.caller(issuer.token(org=org)).post(
                "/v1/request-code", json={"phone": "+65 8123 4567", "purpose": "payment"}
            )
            for org in ("one", GUID)
        ]

    assert [one.status_code for one in found] == [403, 202]
    logged = [(line["tenant"], line["api_key"]) for line in request_lines(log)]
    assert logged == [("demo", "corp:one"), ("second", f"corp:{GUID}")]


async def test_api_keys_are_answered_as_before(service: RunningService) -> None:
    """Neither a valid nor an invalid API key is affected by configured issuers."""
    good, bad, none = [await service.caller(key).get("/v1/verifications/x") for key in ("dev-key", "wrong", None)]

    assert [one.status_code for one in (good, bad, none)] == [404, 401, 401]
    assert {one.headers["www-authenticate"] for one in (bad, none)} == {'Bearer realm="otp-service"'}
    assert bad.json()["detail"] == "Send an API key that is configured."


async def test_tokens_without_issuers_are_invalid_keys(make_service: ServiceFactory, issuer: IssuerSimulator) -> None:
    """Without `[issuers]` a token is an API key that is not configured."""
    service = await make_service()

    response = await normalize_as(service, issuer.token())

    assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Bearer realm="otp-service"')
