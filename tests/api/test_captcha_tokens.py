"""Captcha tokens over HTTP: who must send one, that it counts once, and what its verifier may answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from otp_service.domain.captcha import CaptchaUse
from otp_service.sandbox.dev_config import merged
from otp_service.store.captcha_uses import RedisCaptchaUses
from otp_service.store.replies import unavailable
from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE
from tests.api.idempotent_requests import request_with_key
from tests.captcha_simulator import SECRET, CaptchaSimulator
from tests.config_parts import api_key, shared_keys
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

COOLDOWN = {"tenants": {"demo": {"policy": {"resend_cooldown_seconds": 1}}}}


@pytest.fixture
async def vendor() -> AsyncIterator[CaptchaSimulator]:
    """A captcha vendor of the kind Turnstile."""
    async with CaptchaSimulator() as running:
        yield running


@pytest.fixture
async def service(make_service: ServiceFactory, vendor: CaptchaSimulator) -> RunningService:
    """A service whose tenant demands a token of the vendor."""
    return await make_service(vendor.config())


async def failed(response: httpx.Response) -> None:
    """Check that a token was not accepted, without a word about the reason."""
    assert_problem(response, 403, "captcha_failed")
    assert "Send a new one" in response.json()["detail"]


async def test_token_of_a_person_gets_a_code(service: RunningService, vendor: CaptchaSimulator) -> None:
    """A solved challenge is verified once, with the secret and without the person's address."""
    token = vendor.solve()

    verification_id, code = await service.request_code(captcha_token=token)

    assert (await service.verify(verification_id, code)).status_code == 200
    assert len(vendor.requests) == 1
    assert vendor.last_form() == {"secret": SECRET, "response": token}


async def test_request_without_a_token(service: RunningService, vendor: CaptchaSimulator, hashes: Counter[str]) -> None:
    """Without a token nothing is asked, hashed, counted or sent."""
    assert_problem(await service.request(), 403, "captcha_required")

    assert (vendor.requests, hashes["hash"], service.inbox.messages()) == ([], 0, [])
    assert await service.store.keys("otp:*") == []


async def test_forged_token(service: RunningService, hashes: Counter[str]) -> None:
    """A token that the vendor does not know is refused before the hash; everything acquired is released."""
    await failed(await service.request(captcha_token="forged"))

    assert (hashes["hash"], service.inbox.messages()) == (0, [])
    assert await service.store.keys("otp:u:*") == []


async def test_forged_tokens_of_an_address_are_limited(make_service: ServiceFactory, vendor: CaptchaSimulator) -> None:
    """Of 30 parallel forged tokens from one address 5 reach the vendor; then a person elsewhere gets the code at once.

    Nothing of the recipient is taken, and the total of the publishable key is not used up.
    """
    keys = [api_key("server", "request", "server"), {**api_key("app", "request"), "publishable": True}]
    service = await make_service(merged(vendor.config(), {"tenants": {"demo": {"api_keys": keys}}}))
    app = service.caller("app")

    forged = [
        app.post(
            REQUEST_CODE,
            json={**REQUEST_BODY, "phone": f"0812-1010-{number:04}", "captcha_token": f"forged-{number}"},
        )
        for number in range(30)
    ]
    found = Counter(one.json()["code"] for one in await asyncio.gather(*forged))
    limits = await service.store.keys("otp:w:*")

    assert found == {"captcha_failed": 5, "rate_limited": 25}
    assert len(vendor.requests) == 5
    assert sorted([await service.store.llen(name) for name in limits]) == [5, 5]
    again = await app.post(REQUEST_CODE, json={**REQUEST_BODY, "captcha_token": vendor.solve()})
    assert_problem(again, 429, "rate_limited", "limit")
    elsewhere = {**REQUEST_BODY, "phone": "0812-1010-0001", "client_ip": "203.0.113.9"}
    server = await service.caller("server").post(REQUEST_CODE, json={**elsewhere, "captcha_token": vendor.solve()})
    assert server.status_code == 202


async def test_denied_request_keeps_its_token(service: RunningService, vendor: CaptchaSimulator) -> None:
    """A request that a limit denies does not use up the person's token: it is accepted after the wait."""
    token = vendor.solve()
    await service.request_code(captcha_token=vendor.solve())

    assert_problem(await service.request(captcha_token=token), 429, "resend_too_soon")
    assert len(vendor.requests) == 1
    await service.advance(31)
    assert (await service.request(captcha_token=token)).status_code == 202


async def test_used_token_is_refused_whatever_the_vendor_says(
    make_service: ServiceFactory, vendor: CaptchaSimulator
) -> None:
    """A vendor that accepts a token again does not matter: ours is remembered, and is not even sent to it."""
    service = await make_service(merged(vendor.config(), COOLDOWN))
    token = vendor.solve()
    await service.request_code(captcha_token=token)
    await service.advance(2)

    await failed(await service.request(captcha_token=token))
    await failed(await service.request(phone="0812-1010-0056", captcha_token=token))
    assert len(vendor.requests) == 1


async def test_parallel_requests_with_one_token(service: RunningService, vendor: CaptchaSimulator) -> None:
    """Of 20 parallel requests with a token that the vendor accepts each time, exactly one is served."""
    token = vendor.solve()
    vendor.forgets = True

    found = await asyncio.gather(
        *(service.request(phone=f"0812-1010-{number:04}", captcha_token=token) for number in range(20))
    )

    assert Counter(one.status_code for one in found) == {202: 1, 403: 19}


async def test_repeated_request_needs_no_second_check(service: RunningService, vendor: CaptchaSimulator) -> None:
    """The replay of an answer asks nobody, also when the client has got a new token for its retry."""
    first = await request_with_key(service, captcha_token=vendor.solve())
    again = await request_with_key(service, captcha_token=vendor.solve())

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert len(vendor.requests) == 1


async def test_token_of_a_request_that_failed_after_the_check(
    service: RunningService, vendor: CaptchaSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure behind the check, the same request is served with its token; another request is not."""
    from otp_service.crypto.verification_cipher import VerificationCipher
    from otp_service.domain.errors import Reason, Refused

    async def overloaded(*_args: Any, **_named: Any) -> None:
        raise Refused(Reason.OVERLOADED)

    token = vendor.solve()
    with monkeypatch.context() as patched:
        patched.setattr(VerificationCipher, "hash_code", overloaded)
        assert_problem(await request_with_key(service, captcha_token=token), 503, "overloaded")

    await failed(await service.request(captcha_token=token))
    await failed(await request_with_key(service, key="order-18", captcha_token=token))
    assert (await request_with_key(service, captcha_token=token)).status_code == 202
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("step", ["use_of", "mark_used"])
async def test_store_that_fails_at_the_token(
    service: RunningService, vendor: CaptchaSimulator, monkeypatch: pytest.MonkeyPatch, hashes: Counter[str], step: str
) -> None:
    """A lost reply about the token is 503: nothing is hashed or sent, all is released, and the repeat is served."""
    call, is_lost = getattr(RedisCaptchaUses, step), True

    async def lost(uses: RedisCaptchaUses, *args: Any) -> CaptchaUse:
        found: CaptchaUse = await call(uses, *args)
        if is_lost:
            raise unavailable(ConnectionError())
        return found

    monkeypatch.setattr(RedisCaptchaUses, step, lost)
    token = vendor.solve()
    assert_problem(await request_with_key(service, captcha_token=token), 503, "store_unavailable")
    assert (hashes["hash"], service.inbox.messages()) == (0, [])

    is_lost = False
    assert (await request_with_key(service, captcha_token=token)).status_code == 202
    assert len(vendor.requests) == 1


async def test_decoy_needs_a_token_too(service: RunningService, vendor: CaptchaSimulator) -> None:
    """A decoy is refused and served like a real request, with the same calls."""
    token = vendor.solve()

    missing = await service.request(decoy=True)
    first = await service.request(decoy=True, captcha_token=token)
    await service.advance(31)
    again = await service.request(decoy=True, captcha_token=token)

    assert_problem(missing, 403, "captcha_required")
    assert first.status_code == 202
    await failed(again)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("required_for", "secret", "publishable"), [("all", 403, 403), ("publishable", 202, 403), ("none", 202, 202)]
)
async def test_who_needs_a_token(
    make_service: ServiceFactory, vendor: CaptchaSimulator, required_for: str, secret: int, publishable: int
) -> None:
    """`required_for` decides by the kind of API key; a token that is sent is always verified."""
    keys = [api_key("server", "request"), {**api_key("app", "request"), "publishable": True}]
    config = merged(vendor.config(required_for=required_for), {"tenants": {"demo": {"api_keys": keys}}})
    service = await make_service(config)

    found = []
    for name, phone in (("server", "0812-1010-0055"), ("app", "0812-1010-0056")):
        body = {**REQUEST_BODY, "phone": phone}
        found.append((await service.caller(name).post(REQUEST_CODE, json=body)).status_code)
        body |= {"phone": "0812-1010-0057", "captcha_token": "forged"}
        await failed(await service.caller(name).post(REQUEST_CODE, json=body))

    assert found == [secret, publishable]


async def test_token_without_a_verifier(make_service: ServiceFactory) -> None:
    """Where nothing would verify it, a token is refused: its sender would believe that it was."""
    service = await make_service()

    response = await service.request(captcha_token="token")

    assert_problem(response, 400, "request_malformed", "errors")
    assert response.json()["errors"][0]["pointer"] == "/captcha_token"


@pytest.mark.parametrize("token", ["", "a" * 8193, "a b", "a\n", "é", 5, ["a"]])
async def test_malformed_token(service: RunningService, vendor: CaptchaSimulator, token: Any) -> None:
    """Anything but 1 to 8,192 visible ASCII characters is refused before anything is called."""
    response = await service.request(captcha_token=token)

    assert_problem(response, 400, "request_malformed", "errors")
    assert (response.json()["errors"][0]["pointer"], vendor.requests) == ("/captcha_token", [])


@pytest.mark.parametrize("token", ["a&secret=b", "%26response=b", "a;b=c", "+", "=" * 100, '"<>\\'])
async def test_token_cannot_change_the_form(service: RunningService, vendor: CaptchaSimulator, token: str) -> None:
    """A token with separators of a form arrives at the vendor as it is, in its own field."""
    await failed(await service.request(captcha_token=token))

    assert vendor.last_form() == {"secret": SECRET, "response": token}


async def test_address_of_the_person(make_service: ServiceFactory, vendor: CaptchaSimulator) -> None:
    """With `send_client_ip` the vendor gets an IPv4 address; never the network that stands for an IPv6 one."""
    service = await make_service(vendor.config(send_client_ip=True))

    await service.request(phone="0812-1010-0056", client_ip="203.0.113.9", captcha_token=vendor.solve())
    first = vendor.last_form()
    await service.request(phone="0812-1010-0057", client_ip="2001:db8::1", captcha_token=vendor.solve())

    assert first["remoteip"] == "203.0.113.9"
    assert "remoteip" not in vendor.last_form()


async def test_nothing_secret_in_logs(make_service: ServiceFactory, vendor: CaptchaSimulator) -> None:
    """Neither token, secret nor number is in a log line or a key of the store, whatever the result."""
    service = await make_service(merged(vendor.config(), shared_keys()))
    tokens = [vendor.solve(), "forged-token-of-a-stranger"]

    with captured_logs() as log:
        statuses = [
            (await service.request(phone=f"0812-1010-005{number}", captcha_token=token)).status_code
            for number, token in enumerate(tokens)
        ]

    assert statuses == [202, 403]
    keys = await service.store.keys("*")
    stored = str(keys) + str([await service.store.get(key) for key in keys if key.startswith(b"otp:u:")])
    for secret in (*tokens, SECRET, "81210100050", "81210100051"):
        assert secret not in log.getvalue() + stored
    assert '"why":"invalid-input-response"' in log.getvalue()
