"""Recipients that are e-mail addresses: the whole flow, their own limits and locks, and what is kept of them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import Counter
from typing import Any

import pytest

from tests.api.api_requests import REQUEST_CODE, UNLOCK_RECIPIENT, VERIFICATIONS, VERIFY_CODE
from tests.config_parts import demo_policy
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import dump_store

ADDRESS = "Ann.Lee+otp@Example.com"
SENT_TO, MASKED = "Ann.Lee+otp@example.com", "A***@example.com"
LOCAL_PART = b"ann.lee"
REQUESTED_MEMBERS = {
    "verification_id", "status", "purpose", "channel", "email", "code_length", "expires_at", "expires_in", "resend_at",
    "resend_in", "attempts_left", "sends_left",
}  # fmt: skip


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a proof token."""
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


async def test_the_whole_flow(service: RunningService) -> None:
    """The code arrives by e-mail; responses have the masked address, the proof and its token the whole one."""
    response = await service.request(email=ADDRESS)
    assert response.status_code == 202, response.text
    requested = response.json()
    assert requested.keys() == REQUESTED_MEMBERS
    assert (requested["channel"], requested["email"]) == ("email", MASKED)
    verification_id = requested["verification_id"]
    message = await service.message_of(verification_id)
    assert (message.to, message.channel) == (SENT_TO, "email")
    code = await service.code_of(verification_id)
    assert "5 menit" in message.text  # in the language of the tenant's country

    wrong = await service.verify(verification_id, service.wrong_code(code))
    assert_problem(wrong, 422, "code_incorrect", "attempts_left")
    verified = await service.verify(verification_id, code)
    assert verified.status_code == 200
    body = verified.json()
    assert body.keys() == {
        "verification_id", "status", "purpose", "email", "verified_at", "token", "token_expires_at",
    }  # fmt: skip
    claims = claims_of(body["token"])
    assert (body["email"], claims["email"]) == (SENT_TO, SENT_TO)
    assert "phone" not in claims and "ann" not in claims["sub"].lower()
    found = (await service.client.get(VERIFICATIONS + verification_id)).json()
    assert (found["email"], found["status"]) == (MASKED, "verified")
    assert found.keys() == REQUESTED_MEMBERS | {"created_at", "ended_at", "deliveries"}
    [delivery] = found["deliveries"]
    assert (delivery["provider"], delivery["channel"], delivery["status"]) == ("email-inbox", "email", "sent")


async def test_the_locale_of_an_email(service: RunningService) -> None:
    """The language that was asked for."""
    verification_id, _ = await service.request_code(email=ADDRESS, locale="en-GB")
    assert "5 minutes" in (await service.message_of(verification_id)).text


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({}, "/phone"),
        ({"email": ADDRESS, "phone": "0812-1010-0055"}, "/email"),
        ({"email": None}, "/email"),
        ({"email": "a@"}, "/email"),
        ({"email": "a" * 255}, "/email"),
        ({"email": ADDRESS, "country": "ID"}, "/country"),
        ({"email": ADDRESS, "channel": "sms"}, "/channel"),
        ({"email": ADDRESS, "channel": "auto"}, "/channel"),
        ({"phone": "0812-1010-0055", "channel": "email"}, "/channel"),
    ],
)
async def test_members_that_do_not_fit(service: RunningService, members: dict[str, Any], pointer: str) -> None:
    """Exactly one recipient, and a channel that reaches it; errors do not repeat the address."""
    response = await service.client.post(REQUEST_CODE, json={"purpose": "login", **members})
    problem = assert_problem(response, 400, "request_malformed", "errors")
    assert problem["errors"][0]["pointer"] == pointer
    assert "Ann.Lee" not in response.text


async def test_refusals(make_service: ServiceFactory) -> None:
    """An invalid address, a tenant without the channel, and a channel without a route."""
    service = await make_service()
    response = await service.request(email="Ann.Lee@example..com")
    assert_problem(response, 422, "email_invalid")
    assert "Ann.Lee" not in response.text
    other = await make_service(demo_policy(channels=["sms"]))
    assert_problem(await other.request(email=ADDRESS), 403, "channel_not_allowed")
    unrouted = await make_service({"routes": [{"providers": ["inbox"]}]})
    assert_problem(await unrouted.request(email=ADDRESS), 503, "no_route")
    assert (await service.request(email=ADDRESS, channel="email")).status_code == 202


async def test_spellings_share_the_cooldown_exactly(service: RunningService) -> None:
    """Of 40 parallel requests for five spellings of one address, one is accepted."""
    spellings = [ADDRESS, ADDRESS.lower(), ADDRESS.upper(), f" {ADDRESS} ", "aNN.lEE+OTP@example.COM"]
    responses = await asyncio.gather(*(service.request(email=text) for text in spellings * 8))
    assert Counter(response.status_code for response in responses) == {202: 1, 429: 39}
    assert (await service.request(email="Ann.Lee@example.com")).status_code == 202


async def test_one_success_of_parallel_codes(service: RunningService) -> None:
    """Of 20 correct codes in parallel one gets 200."""
    verification_id, code = await service.request_code(email=ADDRESS)
    responses = await asyncio.gather(*(service.verify(verification_id, code) for _ in range(20)))
    assert Counter(response.status_code for response in responses)[200] == 1


async def test_limits_of_addresses(make_service: ServiceFactory) -> None:
    """`recipient` counts one address, `email_domain` a domain; limits of numbers count no address."""
    limits = {"recipient": ["2/3600"], "email_domain": ["3/3600"], "prefix": ["1/3600"], "country": ["1/3600"]}
    service = await make_service({"limits": limits, **demo_policy(resend_cooldown_seconds=1)})
    for _ in range(2):
        await service.request_code(email=ADDRESS)
        await service.advance(1)
    problem = assert_problem(await service.request(email=ADDRESS.lower()), 429, "rate_limited", "limit")
    assert problem["limit"] == "recipient"
    await service.request_code(email="ben@EXAMPLE.com")
    problem = assert_problem(await service.request(email="eva@example.com"), 429, "rate_limited", "limit")
    assert problem["limit"] == "email_domain"
    assert (await service.request(email="eva@example.org")).status_code == 202
    assert (await service.request()).status_code == 202


async def test_a_locked_address_is_unlocked(make_service: ServiceFactory) -> None:
    """Wrong codes lock the address only; the endpoint takes the address, and the audit line masks it."""
    service = await make_service(demo_policy(max_consecutive_failures=2))
    verification_id, code = await service.request_code(email=ADDRESS)
    for _ in range(2):
        await service.verify(verification_id, service.wrong_code(code))
    assert_problem(await service.verify(verification_id, code), 429, "recipient_locked")
    assert (await service.request()).status_code == 202
    with captured_logs() as logged:
        response = await service.client.post(UNLOCK_RECIPIENT, json={"email": ADDRESS.lower()})
    assert response.json() == {"email": "a***@example.com", "unlocked": True, "failures_cleared": 2}
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert [line["email"] for line in lines if line["event"] != "delivery"] == ["a***@example.com"] * 2
    assert (await service.verify(verification_id, code)).status_code == 200
    both = {"email": ADDRESS, "phone": "0812-1010-0055"}
    assert_problem(await service.client.post(UNLOCK_RECIPIENT, json=both), 400, "request_malformed", "errors")
    assert_problem(await service.client.post(UNLOCK_RECIPIENT, json={"email": "ann@b"}), 422, "email_invalid")


async def test_resend_and_repetition(make_service: ServiceFactory) -> None:
    """The same code again under `reuse`, one message for one idempotency key, and a decoy that looks the same."""
    service = await make_service(demo_policy(resend="reuse"))
    headers = {"Idempotency-Key": "first"}
    body = {"email": ADDRESS, "purpose": "login"}
    responses = [await service.client.post(REQUEST_CODE, json=body, headers=headers) for _ in range(2)]
    assert responses[0].json() == responses[1].json()
    code = await service.code_of(responses[0].json()["verification_id"])
    await service.advance(30)
    resent, again = await service.request_code(email=ADDRESS)
    assert again == code
    assert len(service.inbox.messages()) == 2
    proofs = [
        await service.client.post(
            VERIFY_CODE, json={"verification_id": resent, "code": code}, headers={"Idempotency-Key": "second"}
        )
        for _ in range(2)
    ]
    assert proofs[0].json() == proofs[1].json() and proofs[0].json()["email"] == SENT_TO
    decoy = (await service.request(email="nobody@example.com", decoy=True)).json()
    assert decoy.keys() == REQUESTED_MEMBERS


async def test_nothing_readable_is_kept(service: RunningService) -> None:
    """No address in the store's keys and values, nor a hash of it without a key; none in the log."""
    with captured_logs() as logged:
        verification_id, code = await service.request_code(email=ADDRESS, reference=f"for {ADDRESS}")
        headers = {"Idempotency-Key": "one"}
        await service.client.post(
            REQUEST_CODE, json={"email": "Ann.Lee@example.org", "purpose": "login"}, headers=headers
        )
        await service.client.get(f"{VERIFICATIONS}{ADDRESS}")
        await service.client.get(f"/{ADDRESS}", params={"email": ADDRESS})
        await service.client.post(REQUEST_CODE, json={"email": ADDRESS, "purpose": ADDRESS})
        kept = await dump_store(service.store)
        await service.verify(verification_id, code)
    everything = b"\n".join([*kept, *kept.values()]).lower()
    assert len(kept) > 5
    for text in (ADDRESS, SENT_TO, SENT_TO.lower(), "Ann.Lee@example.org"):
        raw = text.encode()
        digests = [hashlib.new(name, raw) for name in ("md5", "sha1", "sha256")]
        forms = [raw, base64.b64encode(raw).rstrip(b"="), raw.hex().encode(), *(one.digest() for one in digests)]
        assert [form for form in forms if form.lower() in everything] == []
    assert LOCAL_PART not in everything
    assert "ann.lee" not in logged.getvalue().lower()
    assert f'"email":"{MASKED}"' in logged.getvalue()
