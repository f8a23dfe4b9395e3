"""The README's samples accept the proofs of the real service, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from otp_service.crypto.pem import new_ed25519_pem
from tests.config_parts import api_key, shared_keys, tenant
from tests.proof_samples.sample_runs import COMMANDS, KEYS_URL, RunningSample, readme_samples
from tests.running_service import E164, RunningService, ServiceFactory
from tests.service_process import free_port

FIRST, SECOND, FOREIGN = new_ed25519_pem(), new_ed25519_pem(), new_ed25519_pem()
ISSUER = "https://otp.example.com"
TYPE = "otp-verification+jwt"


def config(current: str, **keys: str) -> dict[str, Any]:
    """Return the config of a service whose tenant is the one of the samples."""
    acme = tenant(api_key("web", "request", "verify"))
    return {**shared_keys(), "tokens": {"issuer": ISSUER, "current": current, **keys}, "tenants": {"acme": acme}}


class PublishedService:
    """A service on a port of this machine, which can be replaced by another replica; its key set is counted."""

    def __init__(self, replica: RunningService) -> None:
        self.replica = replica
        self.port = free_port()
        self.fetches = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request by the current replica."""
        self.fetches += scope["path"] == "/.well-known/jwks.json"
        await self.replica.app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Listen within the block."""
        settings = uvicorn.Config(self, port=self.port, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(settings)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            server.should_exit = True
            await task


def signed(key: str = FIRST, kid: str = "t1", typ: str = TYPE, **claims: Any) -> str:
    """Sign a token by hand that is a proof for tenant acme, but for what is changed; None leaves a claim out."""
    now = int(time.time())
    own: dict[str, Any] = {"iss": ISSUER, "aud": "acme", "jti": "j", "iat": now, "exp": now + 300, "phone": E164}
    kept = {name: value for name, value in (own | {"purpose": "login"} | claims).items() if value is not None}
    return jwt.encode(kept, key, algorithm="EdDSA", headers={"typ": typ, "kid": kid})


def by_secret(claims: dict[str, Any]) -> str:
    """Sign with HS256 and the public key as the secret, for a check that lets the token choose its algorithm."""
    public = load_pem_private_key(FIRST.encode(), None).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return jwt.encode(claims, public, algorithm="HS256", headers={"typ": TYPE, "kid": "t1"})


def forged() -> dict[str, str]:
    """Return tokens that differ from a proof in one thing each."""
    head, body, signature = signed().split(".")
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=="))
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": TYPE, "kid": "t1"}).encode()).decode().rstrip("=")
    now = int(time.time())
    other = json.dumps(claims | {"jti": "k"}).encode()
    return {
        "another audience": signed(aud="other"),
        "no audience": signed(aud=None),
        "another issuer": signed(iss="https://otp.example.net"),
        "another type": signed(typ="JWT"),
        "expired": signed(iat=now - 600, exp=now - 300),
        "without end": signed(exp=None),
        "another key": signed(FOREIGN),
        "tampered": f"{head}.{base64.urlsafe_b64encode(other).decode().rstrip('=')}.{signature}",
        "without signature": f"{head}.{body}.",
        "alg none": f"{none}.{body}.",
        "alg none, signed": f"{none}.{body}.{signature}",
        "HS256 with the public key": by_secret(claims),
        "another number": signed(phone="+6281210100066"),
        "without number": signed(phone=None),
        "another purpose": signed(purpose="password_reset"),
        "garbage": "x",
        "empty": "",
    }


def test_the_readme_has_every_sample() -> None:
    """One for each language, and each pins the algorithm, the type, the issuer and the audience."""
    samples = readme_samples()
    assert set(samples) == set(COMMANDS)
    for sample in samples.values():
        for part in ('"EdDSA"', TYPE, f'"{ISSUER}"', '"acme"', KEYS_URL):
            assert sample.count(part) == 1


async def proof(replica: RunningService, phone: str) -> tuple[str, str]:
    """Verify a code, and return the proof and the verification's id."""
    caller = replica.caller("web")
    requested = await caller.post("/v1/request-code", json={"phone": phone, "purpose": "login"})
    verification_id = requested.json()["verification_id"]
    code = await replica.code_of(verification_id)
    verified = await caller.post("/v1/verify-code", json={"verification_id": verification_id, "code": code})
    return verified.json()["token"], verification_id


@pytest.mark.parametrize("language", list(COMMANDS))
async def test_a_sample_accepts_proofs_only(make_service: ServiceFactory, tmp_path: Path, language: str) -> None:
    """Real proofs are accepted, with one fetch of the keys; others are refused; a new key is fetched."""
    first = await make_service(config("t1", t1=FIRST))
    both = await make_service(config("t2", t1=FIRST, t2=SECOND))
    published = PublishedService(first)
    local = KEYS_URL.replace(ISSUER, f"http://127.0.0.1:{published.port}")
    sample = readme_samples()[language].replace(KEYS_URL, local)
    command = await asyncio.to_thread(COMMANDS[language], tmp_path, sample)
    token, verification_id = await proof(first, E164)
    async with published.serve(), RunningSample.started(command, tmp_path) as running:
        for _ in range(10):
            assert await running.check(token, E164, "login") == f"ok {verification_id}"
        assert await running.check(signed(), E164, "login") == "ok j"  # so the others differ in one thing only
        assert published.fetches == 1
        answers = {name: await running.check(other, E164, "login") for name, other in forged().items()}
        answers["for another number"] = await running.check(token, "+6281210100066", "login")
        answers["for another purpose"] = await running.check(token, E164, "password_reset")
        assert {name: answer for name, answer in answers.items() if not answer.startswith("refused ")} == {}
        assert await running.check(token, E164, "login") == f"ok {verification_id}"

        published.replica = both
        token, verification_id = await proof(both, "+6281210100066")
        async with asyncio.timeout(10):  # jose4j waits 0.3 s between two fetches
            while await running.check(token, "+6281210100066", "login") != f"ok {verification_id}":
                await asyncio.sleep(0.1)
        assert (await running.check(signed(FOREIGN, kid="t3"), E164, "login")).startswith("refused ")
        assert await running.check(signed(), E164, "login") == "ok j"
