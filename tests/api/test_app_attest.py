"""App Attest over HTTP: from a challenge to a code, and every assertion that is not accepted."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from otp_service.domain.app_attest import CHALLENGE_SECONDS
from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.attested_keys import RedisAttestedKeys
from otp_service.store.replies import unavailable
from tests.api.app_attest_app import CONFIG, KEYS, OTHER, App, outcome
from tests.api.idempotent_requests import request_with_key
from tests.app_attest_device import Device
from tests.config_parts import api_key, tenant
from tests.log_capture import captured_logs
from tests.problem_assertions import problem_code
from tests.running_service import RunningService, ServiceFactory


@pytest.fixture
async def service(make_service: ServiceFactory) -> RunningService:
    """A service whose tenant demands assertions of the app."""
    return await make_service(CONFIG)


@pytest.fixture
async def app(service: RunningService) -> App:
    """An app whose key is registered."""
    installed = App(service.client)
    assert (await installed.register()).status_code == 200
    return installed


async def test_from_challenge_to_code(service: RunningService) -> None:
    """An app registers its key once and gets a code by an assertion; the same assertion gets no second one."""
    installed = App(service.client)
    registered = await installed.register()
    token = await installed.token()

    verification_id, code = await service.request_code(captcha_token=token)

    assert registered.json() == {"key_id": installed.device.key_id, "expires_in": 90 * 86400}
    assert (await service.verify(verification_id, code)).status_code == 200
    await service.advance(2)
    assert await outcome(service, token) == "captcha_failed"
    assert await outcome(service, await installed.token(recipient=OTHER), OTHER) == "202"


async def test_challenges_store_nothing(service: RunningService) -> None:
    """A challenge is random, and costs the store nothing until it is used; what is stored then has a TTL."""
    installed = App(service.client)
    challenges = {await installed.challenge() for _ in range(20)}

    assert len(challenges) == 20
    assert await service.store.keys("otp:*") == []
    await installed.register()
    await service.request_code(captcha_token=await installed.token())
    names = await service.store.keys("otp:*")
    assert all([await service.store.pttl(name) > 0 for name in names])
    assert not any(installed.device.key_id.encode() in name for name in names)


async def test_request_of_another_kind(service: RunningService, app: App) -> None:
    """An assertion is worth nothing for another recipient or purpose."""
    assert await outcome(service, await app.token(recipient=OTHER)) == "captcha_failed"
    assert await outcome(service, await app.token(purpose="registration")) == "captcha_failed"
    assert await outcome(service, await app.token()) == "202"


async def test_malformed_tokens(service: RunningService, app: App) -> None:
    """A token of another form is refused; the log says why, and contains nothing of it."""
    key_id, challenge, assertion = (await app.token()).split(".")
    malformed = {
        "token": "malformed",
        f"{key_id}.{challenge}.{assertion}.x": "malformed",
        f"{key_id}.{challenge}.{assertion}{'A' * 2048}": "malformed",
        f"{key_id}.{challenge}.!": "malformed",
        f"{key_id}.{challenge}.": "malformed",
        f"A{key_id}.{challenge}.{assertion}": "malformed",
        f"AAAA.{challenge}.{assertion}": "malformed",
        f"{'A' * 43}=.{challenge}.{assertion}": "key_unknown",
        f"{key_id}.{'A' * 50}.{assertion}": "challenge",
        f"{key_id}..{assertion}": "challenge",
        f"{key_id}.A{challenge}.{assertion}": "challenge",
    }

    for token, why in malformed.items():
        with captured_logs() as log:
            assert await outcome(service, token) == "captcha_failed"
        assert f'"why":"{why}"' in log.getvalue()
        assert token not in log.getvalue()
    assert await outcome(service, f"{key_id}.{challenge}.{assertion}") == "202"


async def test_expired_challenge(service: RunningService, app: App) -> None:
    """A challenge is valid for five minutes, for assertions as for attestations."""
    other = App(service.client)
    token, challenge = await app.token(), await other.challenge()
    await service.advance(CHALLENGE_SECONDS)

    assert await outcome(service, token) == "captcha_failed"
    assert problem_code(await other.register(challenge)) == "captcha_failed"


async def test_used_challenge(service: RunningService, app: App) -> None:
    """A challenge is good for one assertion or one attestation, by any key."""
    other = App(service.client)
    challenge = await app.challenge()
    assert await outcome(service, app.device.token(challenge)) == "202"

    assert await outcome(service, app.device.token(challenge, recipient=OTHER), OTHER) == "captcha_failed"
    assert problem_code(await other.register(challenge)) == "captcha_failed"
    challenge = await other.challenge()
    assert (await other.register(challenge)).status_code == 200
    assert problem_code(await App(service.client).register(challenge)) == "captcha_failed"
    assert await outcome(service, other.device.token(challenge, recipient=OTHER), OTHER) == "captcha_failed"


async def test_counter(service: RunningService, app: App) -> None:
    """A counter that was used, or is lower, is refused: a copied key is worth one request."""
    assert await outcome(service, await app.token(counter=5)) == "202"

    assert await outcome(service, await app.token(counter=5, recipient=OTHER), OTHER) == "captcha_failed"
    assert await outcome(service, await app.token(counter=4, recipient=OTHER), OTHER) == "captcha_failed"
    assert await outcome(service, await app.token(counter=6, recipient=OTHER), OTHER) == "202"


@pytest.mark.usefixtures("patient_store")
async def test_parallel_requests_with_one_counter(make_service: ServiceFactory) -> None:
    """Of 50 parallel requests with assertions of one counter exactly one gets a code."""
    service = await make_service(merged(CONFIG, {"captcha": {"ios": {"max_concurrent": 64}}}))
    installed = App(service.client)
    await installed.register()
    recipients = [f"+62812101{number:05}" for number in range(50)]
    tokens = [await installed.token(counter=7, recipient=recipient) for recipient in recipients]

    found = await asyncio.gather(*map(outcome, [service] * 50, tokens, recipients))

    assert Counter(found) == {"202": 1, "captcha_failed": 49}


async def test_tenants_are_apart(make_service: ServiceFactory) -> None:
    """A key, and a challenge, of one tenant are worth nothing at another one with the same verifier."""
    acme = {**tenant(api_key("acme", "request")), "policy": {"captcha": "ios"}}
    service = await make_service(merged(CONFIG, {"tenants": {"acme": acme}}))
    demo, other = App(service.client), App(service.caller("acme"))
    await demo.register()
    other.device = demo.device

    async def at_acme(token: str) -> str:
        body = {"phone": "0812-1010-0055", "purpose": "login", "captcha_token": token}
        return problem_code(await other.client.post("/v1/request-code", json=body))

    assert await at_acme(await other.token()) == "captcha_failed"
    assert await at_acme(await demo.token()) == "captcha_failed"
    assert problem_code(await other.register(await demo.challenge())) == "captcha_failed"
    assert (await other.register()).status_code == 200
    assert await at_acme(await other.token()) == "202"


async def test_repeat_under_an_idempotency_key(service: RunningService, app: App) -> None:
    """A request that failed after its assertion was accepted is repeated with the same one, and only by its key."""
    token = await app.token()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("otp_service.store.verifications.RedisVerifications.start", _away)
        assert problem_code(await request_with_key(service, "key-1", captcha_token=token)) == "store_unavailable"

    assert problem_code(await request_with_key(service, "key-2", captcha_token=token)) == "captcha_failed"
    assert problem_code(await request_with_key(service, "key-1", captcha_token=token)) == "202"


async def _away(*_: object) -> None:
    raise unavailable()


@pytest.mark.parametrize("method", ["find", "advance"])
async def test_store_does_not_answer(service: RunningService, app: App, method: str) -> None:
    """A key or a counter that cannot be read refuses the request, and the assertion is not accepted unseen."""
    token = await app.token()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RedisAttestedKeys, method, _away)
        assert await outcome(service, token) == "store_unavailable"

    assert service.inbox.messages() == []


async def test_killed_store() -> None:
    """After the store has died no assertion is accepted and no key is registered; challenges need no store."""
    server = EmbeddedServer()
    factory = ServiceFactory(server.url)
    try:
        service = await factory(CONFIG)
        installed = App(service.client)
        await installed.register()
        token, body = await installed.token(), Device().registration(await installed.challenge())
        server.stop()

        assert await outcome(service, token) == "store_unavailable"
        assert problem_code(await service.client.post(KEYS, json=body)) == "store_unavailable"
        assert await installed.challenge()
        assert service.inbox.messages() == []
    finally:
        await factory.close()
        server.stop()


async def test_each_app_of_a_tenant_has_a_verifier(make_service: ServiceFactory) -> None:
    """The key of the iOS app demands its assertions, and that of another app the tokens of its own verifier."""
    other = {"type": "app_attest", "app_ids": ["A1B2C3D4E5.com.example.tablet"], "required_for": "none"}
    keys = [{**api_key("ios", "request"), "captcha": "ios"}, api_key("tablet", "request")]
    demo = {"api_keys": keys, "policy": {"captcha": "tablet"}}
    service = await make_service(merged(CONFIG, {"captcha": {"tablet": other}, "tenants": {"demo": demo}}))
    ios, tablet = App(service.caller("ios")), App(service.caller("tablet"))
    body = {"phone": "0812-1010-0055", "purpose": "login"}

    assert (await ios.register()).status_code == 200
    assert problem_code(await tablet.register()) == "captcha_failed"
    assert problem_code(await ios.client.post("/v1/request-code", json=body)) == "captcha_required"
    taken = {**body, "captcha_token": await ios.token()}
    assert problem_code(await tablet.client.post("/v1/request-code", json=taken)) == "captcha_failed"
    assert problem_code(await ios.client.post("/v1/request-code", json=taken)) == "202"
    assert problem_code(await tablet.client.post("/v1/request-code", json={**body, "phone": OTHER})) == "202"
