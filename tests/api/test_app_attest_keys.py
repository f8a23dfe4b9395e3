"""Registration of the keys of apps over HTTP: who may register one, how often, and what a repeat changes."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.domain.app_attest import CHALLENGE_SECONDS
from otp_service.sandbox.dev_config import merged
from tests.api.app_attest_app import CHALLENGES, CONFIG, KEYS, OTHER, App, outcome
from tests.app_attest_device import PRODUCTION, Authority, Device
from tests.config_parts import api_key, shared_keys
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_problem, problem_code
from tests.running_service import RunningService, ServiceFactory


@pytest.fixture
async def service(make_service: ServiceFactory) -> RunningService:
    """A service whose tenant demands assertions of the app."""
    return await make_service(CONFIG)


async def test_repeated_registration_changes_nothing(service: RunningService) -> None:
    """A registration whose reply was lost may be sent again; who replays it cannot set the counter back."""
    installed = App(service.client)
    challenge = await installed.challenge()
    body = installed.device.registration(challenge)
    first = await service.client.post(KEYS, json=body)
    token = await installed.token()
    assert await outcome(service, token) == "202"

    assert (await service.client.post(KEYS, json=body)).json() == first.json()
    assert await outcome(service, await installed.token(counter=1, recipient=OTHER), OTHER) == "captcha_failed"
    assert problem_code(await installed.register(challenge)) == "captcha_failed"  # another attestation of the key
    await service.advance(CHALLENGE_SECONDS)
    assert problem_code(await service.client.post(KEYS, json=body)) == "captcha_failed"


@pytest.mark.parametrize(
    ("why", "forged"),
    [("app_id", {"app_id": "A1B2C3D4E5.com.example.fake"}), ("environment", {"aaguid": b"appattestdevelop"})],
)
async def test_forged_attestation(service: RunningService, why: str, forged: Any) -> None:
    """A key that is not attested is not registered; all forgeries are in `test_app_attest_objects.py`."""
    installed = App(service.client)

    with captured_logs() as log:
        refused = await installed.register(**forged)

    assert_problem(refused, 403, "captcha_failed")
    assert "attest a new key" in refused.json()["detail"]
    assert f'"why":"{why}"' in log.getvalue()
    assert await service.store.keys("otp:ak:*") == []
    without_key = await service.request(captcha_token=await installed.token())
    assert "attests a new key" in assert_problem(without_key, 403, "captcha_failed")["detail"]


@pytest.mark.parametrize(
    ("changed", "aaguid"),
    [
        ({"environment": "development"}, b"appattestdevelop"),
        ({"root_certificate": Authority.root("Other").pem}, PRODUCTION),
    ],
)
async def test_environments_and_roots_are_apart(
    make_service: ServiceFactory, changed: dict[str, str], aaguid: bytes
) -> None:
    """After a change of the environment or the root, keys that were attested before are not accepted any more."""
    production = merged(CONFIG, shared_keys())
    before = await make_service(merged(production, {"captcha": {"ios": changed}}))
    after, device = await make_service(production), Device(aaguid=aaguid)
    issuer = Authority.root("Other").intermediate() if "root_certificate" in changed else None
    assert (await App(before.client, device).register(issuer=issuer)).status_code == 200

    assert await outcome(after, await App(after.client, device).token()) == "captcha_failed"
    assert await outcome(before, await App(before.client, device).token()) == "202"


async def test_replicas_share_challenges_and_keys(make_service: ServiceFactory) -> None:
    """A challenge, a key and a used challenge of one replica are known to the others."""
    config = merged(CONFIG, shared_keys())
    one, other = await make_service(config), await make_service(config)
    installed = App(one.client)
    challenge = await installed.challenge()

    installed.client = other.client
    assert (await installed.register(challenge)).status_code == 200
    token = await installed.token()
    assert await outcome(one, token) == "202"
    assert problem_code(await App(one.client).register(challenge)) == "captcha_failed"


async def test_other_text_of_a_key_id(service: RunningService) -> None:
    """Base64 has several texts for the same 32 bytes; only that of iOS is accepted, so a key has one counter."""
    installed = App(service.client)
    body = installed.device.registration(await installed.challenge())
    last = body["key_id"][-2]
    others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body["key_id"] = body["key_id"][:-2] + others[others.index(last) ^ 1] + "="

    assert problem_code(await service.client.post(KEYS, json=body)) == "captcha_failed"


async def test_tenant_without_app_attest(make_service: ServiceFactory) -> None:
    """Where no app is configured there is no challenge, and no key to register."""
    service = await make_service()

    assert_problem(await service.client.post(CHALLENGES), 404, "not_found")
    body = Device().registration("A" * 50)
    assert_problem(await service.client.post(KEYS, json=body), 404, "not_found")


async def test_scope(make_service: ServiceFactory) -> None:
    """An API key that may not request codes gets no challenge, and registers no key."""
    service = await make_service(merged(CONFIG, {"tenants": {"demo": {"api_keys": [api_key("checker", "verify")]}}}))
    client = service.caller("checker")

    assert_problem(await client.post(CHALLENGES), 403, "scope_missing")
    assert_problem(await client.post(KEYS, json=Device().registration("A" * 50)), 403, "scope_missing")


async def test_body_of_a_registration(service: RunningService) -> None:
    """Each member has a form and a bound, which are checked before anything is decoded."""
    changes: list[dict[str, Any]] = [
        {"key_id": "A" * 44},
        {"key_id": "A" * 42 + "=="},
        {"challenge": "A" * 49},
        {"challenge": "A" * 49 + "+"},
        {"attestation": ""},
        {"attestation": "A" * 16388},
        {"attestation": "A=A="},
        {"extra": 1},
    ]

    for change in changes:
        body = {**Device().registration("A" * 50), **change}
        refused = assert_problem(await service.client.post(KEYS, json=body), 400, "request_malformed", "errors")
        assert refused["errors"][0]["pointer"] == f"/{next(iter(change))}"


async def test_registrations_of_an_address_are_limited(make_service: ServiceFactory) -> None:
    """One address registers as many keys as it may request codes, and uses up none of its requests for codes."""
    keys = [{**api_key("app", "request"), "publishable": True}]
    service = await make_service(merged(CONFIG, {"tenants": {"demo": {"api_keys": keys}}}))
    client, elsewhere = service.caller("app"), service.caller("app", "203.0.113.9")
    apps = [App(client) for _ in range(6)]

    found = [problem_code(await one.register()) for one in apps]

    assert found == ["200"] * 5 + ["rate_limited"]
    assert (await App(elsewhere).register()).status_code == 200
    body = {"phone": "0812-1010-0055", "purpose": "login", "captcha_token": await apps[0].token()}
    assert (await client.post("/v1/request-code", json=body)).status_code == 202


async def test_attestation_of_apple_takes_the_built_in_root(make_service: ServiceFactory) -> None:
    """Without `root_certificate` only Apple's own certificates are accepted."""
    config = merged(CONFIG, {"captcha": {"ios": {}}})
    del config["captcha"]["ios"]["root_certificate"]
    service = await make_service(config)

    assert problem_code(await App(service.client).register()) == "captcha_failed"
