"""Codes that are bound to a transaction or to a text of the caller: only the same values verify them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import Counter
from typing import Any

import jwt
import msgspec
import pytest

from otp_service.api.request_mapping import canonical_body
from otp_service.api.schemas import VerifyCodeBody
from tests.api.api_requests import REQUEST_CODE, VERIFICATIONS, VERIFY_CODE
from tests.config_parts import api_key, demo_policy, tenant
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_one_field_error, assert_problem
from tests.running_service import E164, NUMBER, RunningService, ServiceFactory
from tests.store_contents import dump_store

PAID = {"amount": "12500.00", "currency": "IDR", "payee": "Toko Budi"}
BOUND: dict[str, Any] = {"transaction": PAID, "binding": "device-17/x=="}
PURPOSES = ["login", "registration", "password_reset", "payment", "transfer"]
KEYS = [{"Idempotency-Key": name} for name in ("order-17", "attempt-17")]
OPEN_LIMITS: dict[str, Any] = {"client_ip": [], "recipient": [], "prefix": []}
CONFIG: dict[str, Any] = {"tenants": {"demo": {"purposes": PURPOSES}}, "limits": OPEN_LIMITS}


@pytest.fixture
async def paying(make_service: ServiceFactory) -> RunningService:
    """A service whose tenant has purposes for payments."""
    return await make_service(CONFIG)


async def attempt(service: RunningService, verification_id: str, code: str, **bound: Any) -> Any:
    """Call verify-code with these members, and return the response."""
    body = {"verification_id": verification_id, "code": code, **bound}
    return await service.client.post(VERIFY_CODE, json=body)


def other_values() -> list[dict[str, Any]]:
    """Return every way to send something else than `BOUND`: another value, one too few, values exchanged."""
    changed: list[dict[str, Any]] = [
        {"transaction": {**PAID, name: value}}
        for name, value in [
            ("amount", "12500.0"),
            ("amount", "12500"),
            ("amount", "12500.01"),
            ("amount", "1250000"),
            ("currency", "USD"),
            ("payee", "Toko Budl"),
            ("payee", "toko budi"),
            ("payee", "Toko  Budi"),
        ]
    ]
    changed += [{"binding": text} for text in ("device-17", "Device-17/x==", "device-17/x==x", "transaction")]
    changed += [{"transaction": None}, {"binding": None}, {"transaction": None, "binding": None}]
    return [{name: value for name, value in {**BOUND, **one}.items() if value is not None} for one in changed]


@pytest.mark.parametrize("values", other_values(), ids=range(len(other_values())))
async def test_another_value_is_a_wrong_code(paying: RunningService, values: dict[str, Any]) -> None:
    """The right code with another or a missing value is a wrong code: the same answer, and one attempt less."""
    verification_id, code = await paying.request_code(purpose="payment", **BOUND)
    plain_id, plain_code = await paying.request_code("0812-1010-0066")
    refused = await attempt(paying, verification_id, code, **values)
    wrong = await paying.verify(plain_id, paying.wrong_code(plain_code))
    body = assert_problem(refused, 422, "code_incorrect", "attempts_left")
    assert body["attempts_left"] == 4
    assert body | {"request_id": ""} == wrong.json() | {"request_id": ""}
    assert (await attempt(paying, verification_id, code, **BOUND)).status_code == 200


@pytest.mark.parametrize("values", [BOUND, {"binding": "x"}], ids=["both", "binding"])
async def test_a_value_that_was_not_given_is_a_wrong_code(paying: RunningService, values: dict[str, Any]) -> None:
    """A code that is bound to nothing verifies without values only."""
    verification_id, code = await paying.request_code(purpose="payment")
    refused = await attempt(paying, verification_id, code, **values)
    assert assert_problem(refused, 422, "code_incorrect", "attempts_left")["attempts_left"] == 4
    assert (await paying.verify(verification_id, code)).status_code == 200


@pytest.mark.parametrize("values", [{"transaction": PAID}, {"binding": BOUND["binding"]}, BOUND], ids=range(3))
async def test_the_proof_states_what_was_bound(paying: RunningService, values: dict[str, Any]) -> None:
    """The transaction is a claim as it was sent, the binding its SHA-256 in base64url; what was not sent is absent."""
    verification_id, code = await paying.request_code(purpose="payment", **values)
    answer = await attempt(paying, verification_id, code, **values)
    assert answer.status_code == 200
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    assert claims.get("transaction") == values.get("transaction")
    digest = hashlib.sha256(BOUND["binding"].encode()).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() if "binding" in values else None
    assert claims.get("binding_sha256") == expected
    assert {"transaction", "binding_sha256"} & set(claims) == {
        {"transaction": "transaction", "binding": "binding_sha256"}[name] for name in values
    }


async def test_the_message_names_the_transaction(paying: RunningService) -> None:
    """The text names amount, currency and payee; no answer, no URL and no part of the store does."""
    answer = await paying.request(purpose="payment", **BOUND)
    verification_id = answer.json()["verification_id"]
    stored = await dump_store(paying.store)
    message = await paying.message_of(verification_id)
    code = await paying.code_of(verification_id)
    assert message.text == (
        f"Demo: {code} kode Anda untuk membayar 12500.00 IDR ke Toko Budi. Berlaku 5 menit. "
        "Jangan berikan kepada siapa pun."
    )
    read = await paying.client.get(VERIFICATIONS + verification_id)
    everything = b"\n".join([*stored, *stored.values(), answer.content, read.content])
    for secret in (b"12500", b"Budi", b"device-17", code.encode() + b"\n"):
        assert secret not in everything
    assert set(answer.json()) == set((await paying.request("0812-1010-0066")).json())


async def test_parallel_attempts_with_other_payees(paying: RunningService) -> None:
    """Of 40 parallel right codes with 40 other payees 5 are compared; then the right values verify nothing any more."""
    verification_id, code = await paying.request_code(purpose="payment", **BOUND)
    others = [{**BOUND, "transaction": {**PAID, "payee": f"Toko {n}"}} for n in range(40)]
    answers = await asyncio.gather(*(attempt(paying, verification_id, code, **values) for values in others))
    found = Counter(answer.json()["code"] for answer in answers)
    assert found == {"code_incorrect": 5, "attempts_exhausted": 35}
    assert_problem(await attempt(paying, verification_id, code, **BOUND), 429, "attempts_exhausted")


async def test_parallel_right_attempts_have_one_success(paying: RunningService) -> None:
    """Of 30 parallel right codes with the right values exactly one gets 200."""
    verification_id, code = await paying.request_code(purpose="payment", **BOUND)
    answers = await asyncio.gather(*(attempt(paying, verification_id, code, **BOUND) for _ in range(30)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 29}


async def test_reuse_keeps_a_code_for_the_same_transaction_only(make_service: ServiceFactory) -> None:
    """Under `reuse` a code is sent again for the same transaction; another one, or none, gets a new code."""
    policy = {"resend": "reuse", "resend_cooldown_seconds": 1, "max_sends": 20, "code_length": 10}
    service = await make_service({"tenants": {"demo": {"purposes": PURPOSES, "policy": policy}}, "limits": OPEN_LIMITS})
    codes = []
    for values in (BOUND, {**BOUND, "binding": "other"}, {"transaction": {**PAID, "amount": "1"}}, {}, {}, BOUND):
        verification_id, code = await service.request_code(purpose="payment", **values)
        codes.append(code)
        await service.advance(2)
    assert codes[0] == codes[1]
    assert codes[3] == codes[4]
    assert len(set(codes)) == 4
    assert (await attempt(service, verification_id, codes[-1], **BOUND)).status_code == 200


async def test_a_reused_code_verifies_under_the_new_binding_only(make_service: ServiceFactory) -> None:
    """The same code goes on under the binding of the newest request; the one before is a wrong code."""
    service = await make_service(demo_policy(resend="reuse"))
    _, code = await service.request_code(binding="first")
    await service.advance(31)
    verification_id, again = await service.request_code(binding="second")
    assert again == code
    assert_problem(
        await attempt(service, verification_id, code, binding="first"), 422, "code_incorrect", "attempts_left"
    )
    assert (await attempt(service, verification_id, code, binding="second")).status_code == 200


async def test_decoys_take_the_same_values(paying: RunningService) -> None:
    """A decoy with the same values answers with the same members, and no code verifies it."""
    real = await paying.request(purpose="payment", **BOUND)
    decoy = await paying.request("0812-1010-0066", purpose="payment", decoy=True, **BOUND)
    assert (real.status_code, set(real.json())) == (decoy.status_code, set(decoy.json()))
    answer = await attempt(paying, decoy.json()["verification_id"], "123456", **BOUND)
    assert_problem(answer, 422, "code_incorrect", "attempts_left")


async def test_idempotency_keys_cover_the_values(paying: RunningService) -> None:
    """The same key with another transaction or binding is another request, in both endpoints."""
    body = {"phone": NUMBER, "purpose": "payment", **BOUND}
    first = await paying.client.post(REQUEST_CODE, json=body, headers=KEYS[0])
    assert (await paying.client.post(REQUEST_CODE, json=body, headers=KEYS[0])).content == first.content
    for changed in ({"binding": "x"}, {"transaction": {**PAID, "payee": "B"}}, {"binding": None}):
        answer = await paying.client.post(REQUEST_CODE, json={**body, **changed}, headers=KEYS[0])
        assert_problem(answer, 422, "idempotency_mismatch")
    verification_id = first.json()["verification_id"]
    sent = {"verification_id": verification_id, "code": await paying.code_of(verification_id), **BOUND}
    proof = await paying.client.post(VERIFY_CODE, json=sent, headers=KEYS[1])
    assert proof.status_code == 200
    assert (await paying.client.post(VERIFY_CODE, json=sent, headers=KEYS[1])).content == proof.content
    answer = await paying.client.post(VERIFY_CODE, json={**sent, "binding": "x"}, headers=KEYS[1])
    assert_problem(answer, 422, "idempotency_mismatch")
    stored = b"\n".join((await dump_store(paying.store)).values())
    assert not [one for one in (b"12500", b"Budi", b"device-17") if one in stored]


def test_the_fingerprint_of_an_attempt_without_values_is_the_same_as_before() -> None:
    """A replica of the version before repeats the answer to an attempt without the new members."""
    body = msgspec.convert({"verification_id": "A", "code": "123456"}, VerifyCodeBody)
    assert canonical_body(body) == '{"code":"123456","verification_id":"A"}'


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"purpose": "payment", "transaction": PAID, "channel": "auto"}, "/transaction"),
        ({"purpose": "payment", "transaction": PAID, "channel": "voice"}, "/transaction"),
        ({"purpose": "payment", "transaction": PAID, "channel": "whatsapp"}, "/transaction"),
        ({"purpose": "transfer"}, "/transaction"),  # its own template names one
        ({"purpose": "transfer", "locale": "fr"}, "/transaction"),
        ({"transaction": {**PAID, "payee": "\U0001d160" * 24}}, "/transaction/payee"),  # 72 in its normal form
    ],
)
async def test_the_message_must_name_the_transaction(
    make_service: ServiceFactory, members: dict[str, Any], pointer: str
) -> None:
    """A transaction that the message would not name is refused, and so is a message that names one without it."""
    texts = {"id": {"transfer": "{brand}: {code} {amount} {currency} {payee}", "registration": "{brand} {code}"}}
    policy = {"channels": ["sms", "voice", "whatsapp"]}
    demo = {"purposes": PURPOSES, "templates": texts, "policy": policy}
    service = await make_service({"tenants": {"demo": demo}, "limits": OPEN_LIMITS})
    assert assert_one_field_error(await service.request(**members))[0] == pointer
    assert service.inbox.messages() == []


async def test_a_transaction_needs_the_scope_server(make_service: ServiceFactory) -> None:
    """A key of an app cannot choose what a message of the tenant says is paid; it can bind a code, and verify both."""
    app = tenant(api_key("app", "request", "verify"), purposes=["payment"])
    server = api_key("server", "request", "server")
    service = await make_service({"tenants": {"acme": {**app, "api_keys": [*app["api_keys"], server]}}})
    body = {"phone": NUMBER, "purpose": "payment", **BOUND}
    caller = service.caller("app")
    assert_problem(await caller.post(REQUEST_CODE, json=body), 403, "scope_missing")
    requested = await service.caller("server").post(REQUEST_CODE, json=body)
    verification_id = requested.json()["verification_id"]
    sent = {"verification_id": verification_id, "code": await service.code_of(verification_id), **BOUND}
    assert (await caller.post(VERIFY_CODE, json=sent)).status_code == 200
    bound = {"phone": "0812-1010-0066", "purpose": "payment", "binding": "b"}
    assert (await caller.post(REQUEST_CODE, json=bound)).status_code == 202


async def test_e_mails_take_a_binding_and_no_transaction(make_service: ServiceFactory) -> None:
    """A binding works by every channel."""
    routes = [{"providers": ["inbox"]}, {"channel": "email", "providers": ["inbox"]}]
    service = await make_service({**demo_policy(channels=["sms", "email"]), "routes": routes})
    assert_one_field_error(await service.request(email="ann@example.com", transaction=PAID))
    verification_id, code = await service.request_code(email="ann@example.com", binding="b")
    assert_problem(await service.verify(verification_id, code), 422, "code_incorrect", "attempts_left")
    assert (await attempt(service, verification_id, code, binding="b")).status_code == 200


async def test_two_encodings_of_a_payee_are_one(paying: RunningService) -> None:
    """A payee that is sent in another Unicode normal form is the same payee."""
    paid = {**PAID, "payee": "Caf\u00e9"}
    verification_id, code = await paying.request_code(purpose="payment", transaction=paid)
    answer = await attempt(paying, verification_id, code, transaction={**PAID, "payee": "Cafe\u0301"})
    assert answer.status_code == 200
    assert jwt.decode(answer.json()["token"], options={"verify_signature": False})["transaction"] == paid
    assert answer.json()["phone"] == E164


async def test_nothing_that_is_bound_is_logged(make_service: ServiceFactory) -> None:
    """No log line has the amount, the payee or the binding, whatever the outcome, nor does an error repeat them."""
    with captured_logs() as stream:
        service = await make_service(CONFIG)
        verification_id, code = await service.request_code(purpose="payment", **BOUND)
        answers = [
            await attempt(service, verification_id, code, binding="device-18"),
            await attempt(service, verification_id, code, **BOUND),
            await service.request(purpose="login", channel="auto", **BOUND),
            await service.request(purpose="payment", transaction={**PAID, "payee": "Toko Budi\n"}),
            await service.request(purpose="payment", binding="device-17 x"),
        ]
        logged = stream.getvalue()
    assert [answer.status_code for answer in answers] == [422, 200, 400, 400, 400]
    shown = logged + "".join(answer.text for answer in answers if answer.status_code != 200)
    assert not [secret for secret in ("12500", "Budi", "device-1") if secret in shown]


@pytest.mark.parametrize("purpose", ["login", "registration"])
async def test_a_purpose_that_names_no_transaction_gets_the_text_that_does(
    make_service: ServiceFactory, purpose: str
) -> None:
    """The built-in text of a purpose, and a template of the tenant, say nothing of a payment: another text is sent."""
    texts = {"en": {"registration": "{brand} {code}"}}
    service = await make_service({"tenants": {"demo": {"purposes": PURPOSES, "templates": texts}}})
    answer = await service.request(purpose=purpose, locale="en", transaction=PAID)
    code = await service.code_of(answer.json()["verification_id"])
    sent = (await service.message_of(answer.json()["verification_id"])).text

    assert sent.startswith(f"Demo: {code} is your code to pay 12500.00 IDR to Toko Budi.")
    wrong = await service.verify(answer.json()["verification_id"], code)
    assert_problem(wrong, 422, "code_incorrect", "attempts_left")


async def test_a_text_of_the_caller_names_no_transaction(make_service: ServiceFactory) -> None:
    """A purpose whose messages name a transaction cannot be used with a text of the caller (CAMARA)."""
    texts = {"id": {"payment": "{brand}: {code} {amount} {currency} {payee}"}}
    camara = {"enabled": True, "purpose": "payment"}
    demo = {"purposes": PURPOSES, "templates": texts, "camara": camara}
    service = await make_service({"tenants": {"demo": demo}, "limits": OPEN_LIMITS})
    body = {"phoneNumber": E164, "message": "{{code}} is your code"}
    answer = await service.client.post("/one-time-password-sms/v1/send-code", json=body)
    assert (answer.status_code, service.inbox.messages()) == (400, [])
