"""`DELETE /v1/admin/recipients`: what is removed of a number or an address, what stays, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from otp_service.domain.recipient import hashed_as
from otp_service.observability.audit import AUDIT
from otp_service.sandbox.dev_config import merged
from tests.api.api_requests import RECIPIENTS, REQUEST_CODE
from tests.config_parts import api_key, demo_policy, shared_keys, tenant
from tests.opt_out_changes import KEYRING, opt_out_in_store
from tests.problem_assertions import assert_problem
from tests.running_service import NUMBER, RunningService, ServiceFactory
from tests.store_contents import dump_store
from tests.test_audit_log import lines_of

E164, ADDRESS = "+6281210100055", "ann@example.com"
BOUNDED = {"guard_numbers"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Use a file as the audit log of this process."""
    path = tmp_path / "audit.jsonl"
    AUDIT.configure(str(path))
    yield path
    AUDIT.configure(None)


def keyed_hash(to: str = E164) -> bytes:
    """Return the keyed hash of a recipient under `shared_keys()`."""
    return KEYRING.keyed_hash(*hashed_as("recipient", to)).encode()


async def forget(service: RunningService, **body: Any) -> dict[str, Any]:
    """Forget a recipient, which must succeed; return the body."""
    answer = await service.client.request("DELETE", RECIPIENTS, json=body or {"phone": NUMBER})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert not any(text in answer.text for text in (E164, ADDRESS))
    return found


def kept(body: dict[str, Any]) -> set[str]:
    """Return what remains, each until a time in the future."""
    times = [datetime.fromisoformat(one["until"]) for one in body["kept"]]
    assert all(time.utcoffset() is not None for time in times)
    return {one["what"] for one in body["kept"]}


async def test_a_pending_verification_is_removed(make_service: ServiceFactory, log: Path) -> None:
    """Its id is unknown, its code is worth nothing, and no key but those of the limits names the recipient."""
    service = await make_service(shared_keys())
    verification_id, code = await service.request_code()
    before = await dump_store(service.store)
    assert any(keyed_hash() in value for value in before.values())

    body = await forget(service)
    assert (body["phone"], body["verifications_removed"], kept(body)) == ("+62812*****055", 1, {"limits"} | BOUNDED)
    assert_problem(await service.verify(verification_id, code), 404, "verification_unknown")
    stored = await dump_store(service.store)
    assert not any(verification_id.encode() in name for name in stored)
    assert not any(keyed_hash() in value for value in stored.values())
    named = [name for name in stored if keyed_hash() in name]
    assert [name.split(b":")[2] for name in named] == [b"r"]

    again = await forget(service)
    assert (again["verifications_removed"], kept(again)) == (0, kept(body))
    assert await dump_store(service.store) == stored
    lines = lines_of(log)
    assert [(one["action"], one["actor"], one["result"], one["verifications"]) for one in lines] == [
        ("forget", "dev", "forgotten", 1),
        ("forget", "dev", "forgotten", 0),
    ]
    assert {line["subject"] for line in lines} == {keyed_hash().decode()}
    assert "81210100055" not in str(lines)


async def test_limits_and_locks_are_not_reset(make_service: ServiceFactory) -> None:
    """Forgetting is no way around the cooldown, the limit of sends, or a lock by wrong codes."""
    policy = demo_policy(max_consecutive_failures=2, resend_cooldown_seconds=30)
    service = await make_service(merged(policy, {"limits": {"recipient": ["2/3600"]}}))
    verification_id, code = await service.request_code()
    for _ in range(2):
        await service.verify(verification_id, service.wrong_code(code))
    assert kept(await forget(service)) == {"limits", "lock"} | BOUNDED
    assert_problem(await service.request(), 429, "recipient_locked")

    other = "0812-1010-0056"
    await service.request_code(other)
    await forget(service, phone=other)
    assert_problem(await service.request(other), 429, "resend_too_soon")
    await service.advance(31)
    assert (await service.request(other)).status_code == 202
    await forget(service, phone=other)
    await service.advance(31)
    assert (await service.request(other)).json()["limit"] == "recipient"


async def test_an_opt_out_stays(make_service: ServiceFactory) -> None:
    """It is the person's own wish, and holds for all tenants."""
    service = await make_service(shared_keys())
    await opt_out_in_store(service)
    assert "opt_out" in kept(await forget(service))
    assert_problem(await service.request(), 403, "recipient_opted_out")


async def test_only_the_tenant_of_the_key_forgets(make_service: ServiceFactory) -> None:
    """A verification of another tenant goes on."""
    service = await make_service({"tenants": {"other": tenant(api_key("other", "request", "verify", "admin"))}})
    verification_id, code = await service.request_code()
    answer = await service.caller("other").request("DELETE", RECIPIENTS, json={"phone": NUMBER})
    assert (answer.status_code, answer.json()["verifications_removed"]) == (200, 0)
    assert (await service.verify(verification_id, code)).status_code == 200


async def test_an_address_is_forgotten(make_service: ServiceFactory) -> None:
    """By its own keyed hash, in any case of its letters."""
    service = await make_service(shared_keys())
    answer = await service.client.post(REQUEST_CODE, json={"email": ADDRESS, "purpose": "login", "channel": "email"})
    assert answer.status_code == 202, answer.text
    body = await forget(service, email="Ann@Example.com")
    assert (body["email"], body["verifications_removed"], kept(body)) == ("A***@example.com", 1, {"limits"})
    stored = await dump_store(service.store)
    assert not any(keyed_hash(ADDRESS) in value for value in stored.values())


async def test_it_needs_the_scope_admin_and_one_recipient(make_service: ServiceFactory) -> None:
    """A key for requests is refused, and so is a body without or with two recipients, or with other members."""
    service = await make_service({"tenants": {"acme": tenant(api_key("app", "request", "read", "server", "verify"))}})
    refused = await service.caller("app").request("DELETE", RECIPIENTS, json={"phone": NUMBER})
    assert_problem(refused, 403, "scope_missing")
    for body in ({}, {"phone": NUMBER, "email": ADDRESS}, {"phone": NUMBER, "opt_out": True}):
        answer = await service.client.request("DELETE", RECIPIENTS, json=body)
        assert_problem(answer, 400, "request_malformed", "errors")
