"""Forged and unfit access tokens over HTTP: all are answered alike, and nothing of them is logged."""

from __future__ import annotations

import pytest

from tests.api.api_requests import normalize_as
from tests.api.forged_access_tokens import FORGED_TOKENS
from tests.issuer_simulator import IssuerSimulator
from tests.log_capture import captured_logs, request_lines
from tests.running_service import RunningService, ServiceFactory

INVALID = 'Bearer realm="otp-service", error="invalid_token"'


@pytest.fixture
async def service(make_service: ServiceFactory, issuer: IssuerSimulator) -> RunningService:
    """A service that trusts the issuer."""
    return await make_service({"issuers": {"corp": issuer.config()}})


@pytest.mark.parametrize("index", range(len(FORGED_TOKENS)))
async def test_refused_tokens_are_answered_alike(service: RunningService, issuer: IssuerSimulator, index: int) -> None:
    """Every unfit token is 401 with `error="invalid_token"`; only the log says why, and contains nothing of it."""
    fault, make = FORGED_TOKENS[index]
    token = make(issuer)

    with captured_logs() as log:
        response = await normalize_as(service, token)

    assert (response.status_code, response.json()["code"]) == (401, "key_invalid")
    assert response.headers.get_list("www-authenticate") == [INVALID]
    [line] = request_lines(log)
    assert (line["token_fault"], line["outcome"]) == (fault, "key_invalid")
    assert not [part for part in token.split(".") if len(part) > 8 and part in log.getvalue()]


async def test_addresses_of_keys_in_a_token_are_not_read(service: RunningService, issuer: IssuerSimulator) -> None:
    """`jku`, `x5u` and `jwk` of a token lead nowhere: its key comes from the configured key set alone."""
    async with IssuerSimulator() as attacker:
        links = {"jku": f"{attacker.url}/jwks.json", "x5u": f"{attacker.url}/x", "jwk": attacker.key_set()["keys"][0]}
        forged = await normalize_as(service, attacker.token(headers=links, iss=issuer.url))
        good = await normalize_as(service, issuer.token(headers=links))

        assert (forged.status_code, good.status_code) == (401, 200)
        assert attacker.requests == []
