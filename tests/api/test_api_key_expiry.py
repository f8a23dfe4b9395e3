"""API keys that expire, keys that may do less than their tenant, and the forms of new keys."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from otp_service.api.auth import ApiKey, ApiKeys, UnusableKey, new_api_key
from otp_service.domain.errors import Refused
from otp_service.domain.limits import SendPolicy
from otp_service.domain.tenant import Tenant
from tests.api.api_requests import NORMALIZE_PHONE, REQUEST_BODY, REQUEST_CODE
from tests.config_parts import api_key, tenant
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_problem
from tests.running_service import NUMBER, RunningService, ServiceFactory

DIGEST = hashlib.sha256(b"secret").hexdigest()
POLICY = SendPolicy(30, 5, 300, (), ())
PLAIN_TENANT = Tenant("acme", "Acme", "ID", frozenset({"ID"}), frozenset({"login"}), POLICY, 6, 5, {})


def at(seconds: float) -> str:
    """Return the RFC 3339 time that is this far from now."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


def keys_of(*keys: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return a config with a tenant that has these keys."""
    return {"tenants": {"acme": tenant(*keys, **members)}}


def authenticated(key: ApiKey, now: float, presented: str = "secret") -> str:
    """Return `valid`, or the detail of the refusal of a key at a time."""
    try:
        ApiKeys([key], lambda: now).authenticate(f"Bearer {presented}".encode())
    except Refused as refused:
        return f"{refused.reason}: {refused.detail}"
    return "valid"


async def normalize(service: RunningService, key: str) -> Any:
    """Call an endpoint that takes every key."""
    return await service.caller(key).post(NORMALIZE_PHONE, json={"phone": NUMBER})


@pytest.mark.parametrize(("now", "valid"), [(999.999, True), (1000.0, False), (1000.001, False)])
def test_a_key_expires_at_its_time(now: float, *, valid: bool) -> None:
    """A key is valid until right before `expires_at`, and invalid from that time on."""
    key = ApiKey("web", DIGEST, frozenset(), PLAIN_TENANT, expires_at=1000.0)
    assert (authenticated(key, now) == "valid") is valid


async def test_keys_rotate_without_a_pause(make_service: ServiceFactory) -> None:
    """Two keys of a tenant are valid beside each other; only the one whose time has come is refused, by a 401."""
    config = keys_of(api_key("old", "request", expires_at=at(600)), api_key("new", "request"))
    service = await make_service(config)
    assert [(await normalize(service, key)).status_code for key in ("old", "new")] == [200, 200]
    await service.advance(601)
    body = assert_problem(await normalize(service, "old"), 401, "key_invalid")
    assert body["detail"] == "The API key has expired. Send one that is valid now."
    assert (await normalize(service, "new")).status_code == 200


async def test_the_log_names_an_expired_key(make_service: ServiceFactory) -> None:
    """The log line of a refused request has the id of the configured key, and nothing of an unknown one."""
    service = await make_service(keys_of(api_key("old", "request", expires_at=at(-1))))
    with captured_logs() as log:
        assert_problem(await normalize(service, "old"), 401, "key_invalid")
        assert_problem(await normalize(service, "unknown-key"), 401, "key_invalid")
    lines = [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == "request"]
    assert [(line.get("tenant"), line.get("api_key")) for line in lines] == [("acme", "old"), (None, None)]
    assert "unknown-key" not in log.getvalue()


async def test_a_key_may_have_fewer_purposes_and_countries(make_service: ServiceFactory) -> None:
    """A narrowed key is refused what only its tenant has; another key of the tenant is not."""
    narrow = api_key("narrow", "request", purposes=["login"], countries=["ID"])
    service = await make_service(keys_of(narrow, api_key("wide", "request"), countries=["ID", "SG"]))
    for changes, code in (
        ({"purpose": "registration"}, "purpose_not_allowed"),
        ({"phone": "+6591234567"}, "country_not_allowed"),
    ):
        body = {**REQUEST_BODY, **changes}
        assert_problem(await service.caller("narrow").post(REQUEST_CODE, json=body), 403, code)
        assert (await service.caller("wide").post(REQUEST_CODE, json=body)).status_code == 202
    assert (await service.caller("narrow").post(REQUEST_CODE, json=REQUEST_BODY)).status_code == 202


def test_new_keys_are_recognizable() -> None:
    """A new key shows by its prefix whether it is a secret, and has 256 random bits."""
    assert [new_api_key(publishable=kind)[:7] for kind in (False, True)] == ["otp_sk_", "otp_pk_"]
    assert {len(new_api_key(publishable=kind)) for kind in (False, True)} == {50}
    assert new_api_key(publishable=True) != new_api_key(publishable=True)


@pytest.mark.parametrize(
    ("key", "publishable", "valid"),
    [
        ("otp_pk_" + "x" * 43, True, True),
        ("otp_pk_" + "x" * 43, False, False),
        ("otp_sk_" + "x" * 43, False, True),
        ("otp_sk_" + "x" * 43, True, True),
        ("otp_pk_" + "x" * 40, False, True),  # 47 characters: made by an earlier version, and so by chance
        ("any-other-form", False, True),
        ("any-other-form", True, True),
    ],
)
def test_a_publishable_form_needs_a_publishable_entry(key: str, *, publishable: bool, valid: bool) -> None:
    """A key that was made for an app is refused where its entry gives it the rights of a secret."""
    entry = ApiKey("web", hashlib.sha256(key.encode()).hexdigest(), frozenset(), PLAIN_TENANT, publishable=publishable)
    assert (authenticated(entry, 0.0, key) == "valid") is valid


def test_an_unusable_key_is_no_secret_in_the_error() -> None:
    """The refusal of a configured key names its id and its tenant, and contains nothing of the key."""
    keys = ApiKeys([ApiKey("web", DIGEST, frozenset(), PLAIN_TENANT, expires_at=0.0)], lambda: 1.0)
    with pytest.raises(UnusableKey) as raised:
        keys.authenticate(b"Bearer secret")
    assert (raised.value.key_id, raised.value.tenant_name) == ("web", "acme")
    assert "secret" not in raised.value.detail + str(raised.value)
