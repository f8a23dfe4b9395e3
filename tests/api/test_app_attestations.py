"""Attestations of apps over HTTP: Play Integrity, and another one behind a service of the siteverify protocol."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from otp_service.crypto import service_account
from otp_service.domain.captcha import request_hash
from otp_service.sandbox.simulators.http_server import Hang, Request, Respond, Simulator, SimulatorResponse
from tests.log_capture import captured_logs
from tests.play_integrity_simulator import CERTIFICATE, PACKAGE, PlayIntegritySimulator
from tests.problem_assertions import problem_code
from tests.running_service import E164, RunningService, ServiceFactory

DECODE = f"/v1/{PACKAGE}:decodeIntegrityToken"


@pytest.fixture(scope="module", autouse=True)
def _key_is_checked_once() -> Iterator[None]:
    """Read each private key once: to check an RSA key takes 20 ms, and each service reads it twice."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(service_account, "load_pem_private_key", functools.cache(load_pem_private_key))
        yield


@pytest.fixture
async def google() -> AsyncIterator[PlayIntegritySimulator]:
    """Google's endpoints."""
    async with PlayIntegritySimulator() as running:
        yield running


async def outcome(service: RunningService, token: str, phone: str = E164) -> str:
    """Request a code with a token; return the status, or the code of the problem."""
    return problem_code(await service.request(phone=phone, captcha_token=token))


async def test_genuine_app(make_service: ServiceFactory, google: PlayIntegritySimulator) -> None:
    """The token of a genuine app is decoded once, with one access token for many requests."""
    service = await make_service(google.config())
    token, other = google.attest(), google.attest(recipient="+6281210100056")

    assert await outcome(service, token) == "202"
    assert await outcome(service, other, "0812-1010-0056") == "202"
    assert (google.calls("/token"), google.calls(DECODE)) == (1, 2)


NOT_GENUINE: list[tuple[str, dict[str, Any]]] = [
    ("request_package", {"requestDetails": {"requestPackageName": "com.example.other"}}),
    ("request_hash", {"requestDetails": {"requestHash": "aGVsbG8"}}),
    ("request_hash", {"requestDetails": {"requestHash": None}}),
    ("request_hash", {"recipient": "+6281210100056"}),
    ("request_hash", {"purpose": "registration"}),
    ("age", {"age": 130}),
    ("age", {"age": -60}),
    ("age", {"requestDetails": {"timestampMillis": None}}),
    ("age", {"requestDetails": {"timestampMillis": "9" * 400}}),
    ("app", {"appIntegrity": {"appRecognitionVerdict": "UNRECOGNIZED_VERSION"}}),
    ("app", {"appIntegrity": {"appRecognitionVerdict": "UNEVALUATED"}}),
    ("app", {"appIntegrity": {"packageName": "com.example.other"}}),
    ("app", {"appIntegrity": None}),
    ("device", {"deviceIntegrity": {"deviceRecognitionVerdict": []}}),
    ("device", {"deviceIntegrity": {"deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY"]}}),
    ("device", {"deviceIntegrity": {"deviceRecognitionVerdict": "MEETS_DEVICE_INTEGRITY"}}),
    ("device", {"deviceIntegrity": "MEETS_DEVICE_INTEGRITY"}),
    ("testing", {"testingDetails": {"isTestingResponse": True}}),
    ("request_package", {"requestDetails": []}),
]
"""Which rule refuses a token, and the parts of its payload that differ from a genuine one."""


async def test_app_or_device_that_is_not_genuine(make_service: ServiceFactory, google: PlayIntegritySimulator) -> None:
    """A token for another request, of a changed app or on an emulator is refused; the log says which rule."""
    service = await make_service(google.config())

    for why, parts in NOT_GENUINE:
        with captured_logs() as log:
            assert await outcome(service, google.attest(**parts)) == "captcha_failed", parts
        assert f'"why":"{why}"' in log.getvalue(), parts


@pytest.mark.parametrize(
    ("checks", "parts", "expected"),
    [
        ({"certificates": [CERTIFICATE]}, {}, "202"),
        ({"certificates": ["B" * 43]}, {}, "captcha_failed"),
        ({"require_license": True}, {}, "202"),
        ({"require_license": True}, {"accountDetails": {"appLicensingVerdict": "UNLICENSED"}}, "captcha_failed"),
        ({"bind_request": False}, {"requestDetails": {"requestHash": "aGVsbG8"}}, "202"),
        ({"device": ["MEETS_STRONG_INTEGRITY"]}, {}, "captcha_failed"),
        ({"max_age_seconds": 600}, {"age": 500}, "202"),
    ],
)
async def test_configured_checks(
    make_service: ServiceFactory, google: PlayIntegritySimulator, checks: Any, parts: Any, expected: str
) -> None:
    """Each of `checks` decides as it says."""
    service = await make_service(google.config(checks=checks))

    assert await outcome(service, google.attest(**parts)) == expected


async def test_token_that_google_cannot_decode(make_service: ServiceFactory, google: PlayIntegritySimulator) -> None:
    """A forged token is refused, and is no failure of Google: even under `allow` nothing is sent."""
    service = await make_service(google.config(on_failure="allow"))

    assert await outcome(service, "forged") == "captcha_failed"


@pytest.mark.parametrize("path", [DECODE, "/token"])
async def test_used_up_quota_opens_no_door(
    make_service: ServiceFactory, google: PlayIntegritySimulator, path: str
) -> None:
    """Who uses up Google's daily quota with forged tokens gets no code without one, even under `allow`."""
    service = await make_service(google.config(on_failure="allow"))
    google.scripted_paths = frozenset({path})
    google.always = Respond(SimulatorResponse(status=429))

    assert [await outcome(service, "forged") for _ in range(7)] == ["captcha_unavailable"] * 7


async def test_access_token_is_renewed(make_service: ServiceFactory, google: PlayIntegritySimulator) -> None:
    """An access token that expires soon, or that Google no longer accepts, is replaced."""
    google.expires_in = 30
    service = await make_service(google.config())
    assert await outcome(service, google.attest()) == "202"
    google.expires_in = 3600
    assert await outcome(service, google.attest(recipient="+6281210100056"), "0812-1010-0056") == "202"
    assert google.calls("/token") == 2

    google.access_token = "ya29.second"
    refused = [await outcome(service, google.attest(recipient="+6281210100057"), "0812-1010-0057") for _ in range(2)]

    assert refused == ["captcha_unavailable", "202"]


@pytest.mark.parametrize("path", ["/token", DECODE])
@pytest.mark.parametrize("step", [Hang(), Respond(SimulatorResponse(status=503))], ids=repr)
async def test_google_is_down(
    make_service: ServiceFactory, google: PlayIntegritySimulator, path: str, step: Any
) -> None:
    """While either endpoint fails, requests are refused with 503, within the timeout for both together."""
    service = await make_service(google.config(timeout_seconds=0.5))
    google.scripted_paths = frozenset({path})
    google.always = step

    assert await outcome(service, google.attest()) == "captcha_unavailable"


class AttestationService(Simulator):
    """A service of the operator's own, which keeps the attested keys of devices (here: a fixed assertion of one)."""

    def answer(self, request: Request) -> SimulatorResponse:
        """Accept the assertion of a known device over this very request."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        device, _, signed_hash = form["response"].partition(":")
        is_genuine = (form["secret"], device, signed_hash) == ("shared", "device-1", form["request_hash"])
        return SimulatorResponse(json.dumps({"success": is_genuine}).encode())


async def test_attestations_behind_a_service_of_the_operator(make_service: ServiceFactory) -> None:
    """A service that verifies assertions of its own over `request_hash` stands behind the same port."""
    async with AttestationService() as attestations:
        table = {"type": "siteverify", "secret": "shared", "verify_url": f"{attestations.url}/siteverify"}
        policy = {"tenants": {"demo": {"policy": {"captcha": "desktop"}}}}
        service = await make_service({"captcha": {"desktop": table}, **policy})
        genuine, stolen = (f"device-1:{request_hash('login', to)}" for to in (E164, "+6281210100056"))

        assert await outcome(service, stolen) == "captcha_failed"
        assert await outcome(service, genuine) == "202"
