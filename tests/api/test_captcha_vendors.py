"""Answers of captcha vendors over HTTP: success that is none, errors, silence, and what follows from each."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otp_service.sandbox.simulators.http_server import Cut, Down, Hang, Raw, Respond, SimulatorResponse
from tests.captcha_simulator import CaptchaSimulator
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

BROKEN = [
    Hang(),
    Cut(),
    Down(60),
    Raw(b"no HTTP"),
    Respond(SimulatorResponse(status=500)),
    Respond(SimulatorResponse(status=502, body=b"<html>")),
    Respond(SimulatorResponse(status=503)),
    Respond(SimulatorResponse(status=429)),
    Respond(SimulatorResponse(status=302, headers={"Location": "http://127.0.0.1:1/"})),
    Respond(SimulatorResponse(body=b"<html>")),
    Respond(SimulatorResponse(body=b'{"success": "true"}')),
    Respond(SimulatorResponse(body=b'{"success": 1}')),
    Respond(SimulatorResponse(body=b"[]")),
    Respond(SimulatorResponse(status=500, body=b'{"success": true}')),
    Respond(SimulatorResponse(body=b'{"success": false, "error-codes": ["internal-error"]}')),
]
"""What a vendor does that is down or broken."""


@pytest.fixture(params=["turnstile"])
async def vendor(request: pytest.FixtureRequest) -> AsyncIterator[CaptchaSimulator]:
    """A captcha vendor."""
    async with CaptchaSimulator(request.param) as running:
        yield running


async def codes(service: RunningService, *tokens: str) -> list[str]:
    """Request a code with each token, for a number of its own; return the codes of the answers, "" for success."""
    found = []
    for number, token in enumerate(tokens):
        response = await service.request(phone=f"0812-1010-{number:04}", captcha_token=token)
        found.append(response.json().get("code", ""))
    return found


@pytest.mark.parametrize("vendor", ["turnstile", "hcaptcha", "recaptcha"], indirect=True)
async def test_each_vendor(make_service: ServiceFactory, vendor: CaptchaSimulator) -> None:
    """A good token is accepted; one that is used elsewhere, or forged, is not."""
    service = await make_service(vendor.config())
    used = vendor.solve()
    other = await make_service(vendor.config())

    assert await codes(other, used) == [""]
    await other.store.flushall()  # so that only the vendor knows the used token
    assert await codes(service, vendor.solve(), used, "forged") == ["", "captcha_failed", "captcha_failed"]


@pytest.mark.parametrize(
    ("vendor", "config", "solved", "accepted"),
    [
        ("turnstile", {"hostnames": ["login.example.com"]}, {}, True),
        ("turnstile", {"hostnames": ["a.example", "login.example.com"]}, {}, True),
        ("turnstile", {"hostnames": ["example.com"]}, {}, False),
        ("turnstile", {"hostnames": ["login.example.com"]}, {"hostname": None}, False),
        ("turnstile", {"hostnames": ["login.example.com"]}, {"hostname": ["login.example.com"]}, False),
        ("turnstile", {"action": "login"}, {}, True),
        ("turnstile", {"action": "login"}, {"action": "signup"}, False),
        ("recaptcha", {"action": "login"}, {}, False),
        ("recaptcha", {"min_score": 0.5}, {"score": 0.5}, True),
        ("recaptcha", {"min_score": 0.5}, {"score": 0.4}, False),
        ("recaptcha", {"min_score": 0.5}, {}, False),
        ("recaptcha", {"min_score": 0.5}, {"score": "0.9"}, False),
        ("recaptcha", {"min_score": 0.5}, {"score": True}, False),
        ("hcaptcha", {"max_score": 0.7}, {"score": 0.7}, True),
        ("hcaptcha", {"max_score": 0.7}, {"score": 0.8}, False),
        ("hcaptcha", {"max_score": 0.7}, {}, False),
    ],
    indirect=["vendor"],
)
async def test_success_of_another_site(
    make_service: ServiceFactory, vendor: CaptchaSimulator, config: Any, solved: Any, accepted: bool
) -> None:
    """A token that was solved on another site, for another action or with a bad score is not accepted."""
    service = await make_service(vendor.config(**config))

    assert await codes(service, vendor.solve(**solved)) == ["" if accepted else "captcha_failed"]


@pytest.mark.parametrize("vendor", ["hcaptcha"], indirect=True)
async def test_site_key_is_sent(make_service: ServiceFactory, vendor: CaptchaSimulator) -> None:
    """HCaptcha gets the site key, so that a token of another site of the account is refused there."""
    service = await make_service(vendor.config(site_key="10000000-ffff-ffff-ffff-000000000001"))

    assert await codes(service, vendor.solve()) == [""]
    assert vendor.last_form()["sitekey"] == "10000000-ffff-ffff-ffff-000000000001"


@pytest.mark.parametrize("step", BROKEN, ids=repr)
async def test_vendor_that_is_down(make_service: ServiceFactory, vendor: CaptchaSimulator, step: Any) -> None:
    """By default, no code is sent while tokens cannot be verified: 503 with Retry-After, and nothing is kept."""
    service = await make_service(vendor.config(timeout_seconds=0.5))
    vendor.always = step

    response = await service.request(captcha_token=vendor.solve())

    assert_problem(response, 503, "captcha_unavailable")
    assert response.headers["retry-after"] == "5"
    vendor.always = None
    assert await codes(service, vendor.solve()) == [""]


@pytest.mark.parametrize("step", BROKEN[:6], ids=repr)
async def test_allowed_failure(make_service: ServiceFactory, vendor: CaptchaSimulator, step: Any) -> None:
    """With `on_failure = "allow"` codes are sent meanwhile; a token still counts once."""
    service = await make_service(vendor.config(timeout_seconds=0.5, on_failure="allow"))
    vendor.always = step

    assert await codes(service, "one", "one", "two") == ["", "captcha_failed", ""]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"success": False, "error-codes": ["invalid-input-secret"]}, "captcha_unavailable"),
        ({"success": False, "error-codes": ["internal-error", "sitekey-secret-mismatch"]}, "captcha_unavailable"),
        ({"success": False, "error-codes": ["bad-request"]}, "captcha_failed"),
        ({"success": False, "error-codes": ["internal-error", "timeout-or-duplicate"]}, "captcha_failed"),
        ({"success": False, "error-codes": ["of-tomorrow"]}, "captcha_failed"),
        ({"success": False, "error-codes": []}, "captcha_failed"),
        ({"success": False, "error-codes": "internal-error"}, "captcha_failed"),
        ({"success": False}, "captcha_failed"),
        (400, "captcha_failed"),
        (414, "captcha_failed"),
        (403, "captcha_failed"),
        (429, "captcha_unavailable"),
    ],
)
async def test_no_token_opens_the_door(
    make_service: ServiceFactory, vendor: CaptchaSimulator, answer: Any, code: str
) -> None:
    """Even with `on_failure = "allow"`, a wrong secret and answers that callers may cause let nothing pass.

    None of them counts as an outage either, which would let the next requests pass.
    """
    service = await make_service(vendor.config(on_failure="allow"))
    status, body = (answer, b"") if isinstance(answer, int) else (200, json.dumps(answer).encode())
    vendor.always = Respond(SimulatorResponse(status=status, body=body))

    assert await codes(service, *(f"token-{number}" for number in range(7))) == [code] * 7


async def test_token_that_is_too_long_for_the_vendor(make_service: ServiceFactory, vendor: CaptchaSimulator) -> None:
    """A token beyond the length that Turnstile documents is rejected without a call."""
    service = await make_service(vendor.config())

    assert await codes(service, "a" * 2048, "a" * 2049) == ["captcha_failed"] * 2
    assert len(vendor.requests) == 1


async def test_silent_vendor_gets_few_calls(make_service: ServiceFactory, vendor: CaptchaSimulator) -> None:
    """After five failures in a row the vendor is left alone; once it answers again, a probe restores the service."""
    service = await make_service(vendor.config(timeout_seconds=0.5))
    vendor.always = Respond(SimulatorResponse(status=500))

    assert set(await codes(service, *(f"token-{number}" for number in range(20)))) == {"captcha_unavailable"}
    assert len(vendor.requests) == 5


async def test_slow_vendor_takes_few_slots(make_service: ServiceFactory, vendor: CaptchaSimulator) -> None:
    """At most `max_concurrent` requests wait for the vendor; others are answered at once, even under `allow`."""
    service = await make_service(vendor.config(timeout_seconds=1, max_concurrent=3, on_failure="allow"))
    vendor.always = Hang()

    found = await asyncio.gather(
        *(service.request(phone=f"0812-1010-{number:04}", captcha_token=f"token-{number}") for number in range(10))
    )

    assert Counter(one.json().get("code", "") for one in found) == {"": 3, "overloaded": 7}
    assert len(vendor.requests) == 3
