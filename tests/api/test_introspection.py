"""POST /v1/introspect (RFC 7662): which tokens are active, for whom, and how often."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from typing import Any

import httpx
import jwt
import pytest

from otp_service.crypto.pem import new_ed25519_pem
from otp_service.crypto.tokens import MAX_TOKEN_CHARS
from otp_service.store.attempts import RedisPresentedProofs
from otp_service.store.replies import unavailable
from tests.config_parts import api_key, shared_keys, tenant
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_common_headers, assert_one_field_error, assert_problem
from tests.running_service import E164, RunningService, ServiceFactory
from tests.store_contents import dump_store

INTROSPECT = "/v1/introspect"
INACTIVE = {"active": False}
TENANTS = {"acme": tenant(api_key("reader", "read"), api_key("app", "request", "verify"))}


OLD, NEW, OTHER = new_ed25519_pem(), new_ed25519_pem(), new_ed25519_pem()
TOKENS = {"issuer": "https://otp.example.com", "current": "new", "new": NEW, "old": OLD}


def signed(key: str = NEW, kid: str | None = "new", typ: str = "otp-verification+jwt", **claims: Any) -> str:
    """Sign a token by hand, as an attacker or another service would."""
    own: dict[str, Any] = {
        "iss": "https://otp.example.com",
        "aud": "demo",
        "sub": "s",
        "jti": "j",
        "iat": 1_700_000_000,
        "exp": 4_000_000_000,
        "purpose": "login",
        "phone": E164,
    }
    kept: dict[str, Any] = {name: value for name, value in (own | claims).items() if value is not None}
    headers = {"typ": typ, "kid": kid} if kid else {"typ": typ}
    return jwt.encode(kept, key, algorithm="EdDSA", headers=headers)


async def proof(service: RunningService, **members: Any) -> str:
    """Verify a code and return the proof token."""
    verification_id, code = await service.request_code(**members)
    body = {"verification_id": verification_id, "code": code}
    body |= {name: value for name, value in members.items() if name in ("transaction", "binding")}
    return str((await service.client.post("/v1/verify-code", json=body)).json()["token"])


async def introspect(service: RunningService, token: str, **members: Any) -> dict[str, Any]:
    """Introspect a token, and return the body of the answer, which is always 200."""
    answer = await service.client.post(INTROSPECT, json={"token": token, **members})
    assert answer.status_code == 200, answer.text
    assert_common_headers(answer)
    found: dict[str, Any] = answer.json()
    return found


async def test_an_active_proof(service: RunningService) -> None:
    """Its claims are returned as they are, and whether it was consumed; as JSON and as a form."""
    token = await proof(service)
    claims = jwt.decode(token, options={"verify_signature": False})
    expected = {**claims, "active": True, "consumed": False}
    assert await introspect(service, token) == expected
    assert await introspect(service, token, token_type_hint="access_token") == expected
    form = {"token": token, "token_type_hint": "access_token", "client_id": "x"}
    answer = await service.client.post(INTROSPECT, data=form)
    assert (answer.status_code, answer.json()) == (200, expected)
    assert expected["phone"] == E164


async def test_what_the_code_was_bound_to(make_service: ServiceFactory) -> None:
    """The transaction and the hash of the binding are members, too."""
    service = await make_service({"tenants": {"demo": {"purposes": ["login", "payment"]}}})
    paid = {"amount": "12500.00", "currency": "IDR", "payee": "Toko Budi"}
    found = await introspect(service, await proof(service, purpose="payment", transaction=paid, binding="d"))
    assert found["transaction"] == paid
    assert found["binding_sha256"] == "GKw-c0PwFokMUQ6T-TUmEWnZ4_VlQ2Qpgw-vCTT0-OQ"


async def test_claims_of_another_version(make_service: ServiceFactory) -> None:
    """A proof that another version has signed for a payee that this one would refuse is active, with its claims."""
    service = await make_service({"tokens": TOKENS})
    paid = {"amount": "1", "currency": "IDR", "payee": "x" * 71, "memo": "later"}
    found = await introspect(service, signed(transaction=paid, later=1))
    assert (found["active"], found["transaction"], "later" in found) == (True, paid, False)


@pytest.mark.parametrize("as_form", [False, True])
async def test_a_proof_is_consumed_once(service: RunningService, *, as_form: bool) -> None:
    """The first call with `consume` finds it active, later ones do not; without `consume` it is active and consumed."""
    token = await proof(service)

    async def consume() -> dict[str, Any]:
        if as_form:
            answer = await service.client.post(INTROSPECT, data={"token": token, "consume": "true"})
        else:
            answer = await service.client.post(INTROSPECT, json={"token": token, "consume": True})
        return dict(answer.json())

    assert (await introspect(service, token))["consumed"] is False
    assert (await introspect(service, token, consume=False))["consumed"] is False
    first = await consume()
    assert (first["active"], first["consumed"]) == (True, False)
    assert [await consume() for _ in range(3)] == [INACTIVE] * 3
    later = await introspect(service, token)
    assert (later["active"], later["consumed"]) == (True, True)


async def test_parallel_calls_consume_once(make_service: ServiceFactory) -> None:
    """Of 60 parallel calls at two replicas exactly one finds the proof active."""
    config = {**shared_keys(), "tokens": TOKENS}
    replicas = [await make_service(config), await make_service(config)]
    token = await proof(replicas[0])
    answers = await asyncio.gather(*(introspect(replicas[n % 2], token, consume=True) for n in range(60)))
    assert Counter(answer["active"] for answer in answers) == {True: 1, False: 59}


async def test_the_mark_ends_with_the_proof(service: RunningService) -> None:
    """The mark has no readable part of the proof and lives as long; an expired proof is not active and leaves none."""
    token = await proof(service)
    claims = jwt.decode(token, options={"verify_signature": False})
    await introspect(service, token, consume=True)
    [mark] = await service.store.keys("otp:pt:*")
    assert claims["jti"].encode() not in mark
    assert 0 < await service.store.pttl(mark) <= 300_000
    assert await service.store.get(mark) == b""
    other = await proof(service, phone="0812-1010-0066")
    await service.advance(300)
    for late in (token, other):
        assert await introspect(service, late) == INACTIVE
        assert await introspect(service, late, consume=True) == INACTIVE
    assert await service.store.keys("otp:pt:*") == [mark]


async def test_a_proof_is_active_until_its_last_second(service: RunningService) -> None:
    """By the clock of the store, which also made its times."""
    token = await proof(service)
    await service.advance(298)
    assert (await introspect(service, token))["active"] is True


async def test_another_tenants_proof_is_not_active(make_service: ServiceFactory) -> None:
    """Neither tenant learns about the other's proofs, nor consumes them."""
    service = await make_service({"tenants": TENANTS})
    token = await proof(service)
    answer = await service.caller("reader").post(INTROSPECT, json={"token": token, "consume": True})
    assert (answer.status_code, answer.json()) == (200, INACTIVE)
    assert (await introspect(service, token, consume=True))["active"] is True


FORGED = {
    "garbage": "x",
    "empty parts": "..",
    "spaces": " ",
    "unicode": "\u00e9.\u00e9.\u00e9",
    "deep header": base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.",
    "list header": base64.urlsafe_b64encode(b"[]").decode() + ".e30.",
    "too long": signed(sub="x" * MAX_TOKEN_CHARS),
    "other key": signed(OTHER),
    "other kid": signed(kid="old"),
    "unknown kid": signed(kid="x"),
    "no kid": signed(kid=None),
    "kid of another type": ".".join(
        [base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"otp-verification+jwt","kid":["new"]}').decode(), "e30", "AA"]
    ),
    "other type": signed(typ="JWT"),
    "other tenant": signed(aud="acme"),
    "tenants": signed(aud=["demo"]),
    "no audience": signed(aud=None),
    "other issuer": signed(iss="https://evil.example"),
    "no id": signed(jti=None),
    "no end": signed(exp=None),
    "no purpose": signed(purpose=None),
    "alg none": jwt.encode({"aud": "demo"}, "", algorithm="none", headers={"kid": "new"}),
    "alg HS256": jwt.encode({"aud": "demo"}, "x" * 32, algorithm="HS256", headers={"kid": "new"}),
}


async def test_other_texts_are_not_active(make_service: ServiceFactory) -> None:
    """Whatever is not a proof for this tenant gets the same answer of one member, and leaves nothing in the store."""
    service = await make_service({"tokens": TOKENS})
    own = signed()
    assert (await introspect(service, own))["active"] is True  # so the others differ in one thing only
    head, body, signature = own.split(".")
    changed = json.loads(base64.urlsafe_b64decode(body + "==")) | {"phone": "+6281210100066"}
    other_body = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    texts = {**FORGED, "changed": f"{head}.{other_body}.{signature}", "unsigned": f"{head}.{body}."}
    assert {name: await introspect(service, text, consume=True) for name, text in texts.items()} == dict.fromkeys(
        texts, INACTIVE
    )
    assert await service.store.keys("otp:pt:*") == []


async def test_an_earlier_key_is_still_known(make_service: ServiceFactory) -> None:
    """A proof signed by a key that no longer signs is active while the key is configured, and not afterwards."""
    shared = shared_keys()
    before = await make_service({**shared, "tokens": {**TOKENS, "current": "old"}})
    token = await proof(before)
    after = await make_service({**shared, "tokens": TOKENS})
    assert (await introspect(after, token))["active"] is True
    removed = await make_service({**shared, "tokens": {name: key for name, key in TOKENS.items() if name != "old"}})
    assert await introspect(removed, token) == INACTIVE


async def test_who_may_ask(make_service: ServiceFactory) -> None:
    """A key with the scope `read` may; an app's key and no key may not."""
    service = await make_service({"tenants": TENANTS})
    assert_problem(await service.caller("app").post(INTROSPECT, json={"token": "x"}), 403, "scope_missing")
    assert_problem(await service.caller(None).post(INTROSPECT, json={"token": "x"}), 401, "key_missing")
    assert (await service.caller("reader").post(INTROSPECT, json={"token": "x"})).json() == INACTIVE


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        ("", "/token"),
        ("token=", "/token"),
        ("token=a&token=b", "/token"),
        ("token=a&consume=", "/consume"),
        ("token=a&consume=yes", "/consume"),
        ("token=a&consume=true&consume=true", "/consume"),
        ("token=a&consume=1", "/consume"),
        ("token=a&consume=TRUE", "/consume"),
        ("token=a&token_type_hint=" + "x" * 65, "/token_type_hint"),
        ("token=a&+6281210100055=1&+6281210100055=1", ""),
        ("token=%ff", ""),
        ("token=\u00e9", ""),
        ("token", ""),
        ("&".join(["token=a", *(f"p{n}=1" for n in range(20))]), ""),
    ],
)
async def test_malformed_forms(service: RunningService, form: str, pointer: str) -> None:
    """A form says what is wrong like JSON does, and repeats nothing."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await service.client.post(INTROSPECT, content=form.encode(), headers=headers)
    assert assert_one_field_error(answer)[0] == pointer


async def test_only_introspection_takes_forms(service: RunningService) -> None:
    """Other endpoints refuse them, and this one refuses other types."""
    assert_problem(await service.client.post("/v1/verify-code", data={"code": "1"}), 415, "media_type_unsupported")
    answer = await service.client.post(INTROSPECT, content=b"token=a", headers={"Content-Type": "text/plain"})
    assert_problem(answer, 415, "media_type_unsupported")
    assert "json" in answer.json()["detail"] and "form" in answer.json()["detail"]
    assert_one_field_error(await service.client.post(INTROSPECT, json={"token": "a", "other": 1}))
    assert_problem(await service.client.post(INTROSPECT, content=b"x" * 70_000), 413, "body_too_large")


async def test_no_token_is_logged_or_stored(make_service: ServiceFactory) -> None:
    """A log line has the verification's id and no part of the token or the number, also for a form."""
    with captured_logs() as stream:
        service = await make_service()
        token = await proof(service)
        await introspect(service, token, consume=True)
        await service.client.post(INTROSPECT, data={"token": token})
        await introspect(service, token[:-3])
        logged = stream.getvalue()
    claims = jwt.decode(token, options={"verify_signature": False})
    stored = b"\n".join([*(await dump_store(service.store)).values()])
    for part in token.split("."):
        assert part not in logged
        assert part.encode() not in stored
    assert E164.removeprefix("+") not in logged
    lines = [json.loads(line) for line in logged.splitlines() if '"/v1/introspect"' in line]
    assert [line.get("verification_id") for line in lines] == [claims["jti"], claims["jti"], None]


async def test_the_store_is_away(make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the store nothing is active: 503."""
    service = await make_service()
    token = await proof(service)

    async def away(*_: object, **__: object) -> None:
        raise unavailable()

    monkeypatch.setattr(RedisPresentedProofs, "present", away)
    answer: httpx.Response = await service.client.post(INTROSPECT, json={"token": token})
    assert_problem(answer, 503, "store_unavailable")
