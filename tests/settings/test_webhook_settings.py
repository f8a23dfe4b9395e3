"""Endpoints of webhooks in the configuration: defaults, bounds, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otp_service.bootstrap.webhook_setup import all_endpoints, operator_targets
from otp_service.domain.events import OPERATOR_EVENTS, TENANT_EVENTS
from otp_service.settings import ConfigError, Settings, config_warnings

FindErrors = Callable[..., tuple[ConfigError, ...]]
Load = Callable[..., Settings]

HOOK = "tenants.acme.webhooks.main"
OPS = "webhooks.ops"
KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ED25519_KEY = "whsk_" + base64.b64encode(bytes(range(32))).decode()
SECOND_KEY = "whsec_" + base64.b64encode(bytes(range(64))).decode()
PUBLIC = {"url": "https://hooks.example.com/otp?a=b", "secret": "env:WHSEC"}
PRIVATE = {**PUBLIC, "allow_private_targets": True}


def secret_of(size: int) -> str:
    """Return a secret with this number of bytes."""
    return "whsec_" + base64.b64encode(b"k" * size).decode()


def test_the_defaults(loaded: Load) -> None:
    """All types, masked recipients, 15 seconds, 8 attempts at once, and no private target."""
    settings = loaded(("tenants.acme.webhooks", {"main": PUBLIC}), ("webhooks", {"ops": PUBLIC}), WHSEC=KEY)
    of_tenant, of_operator = all_endpoints(settings)

    assert (of_tenant.name, of_operator.name) == ("acme.main", "ops")
    assert (of_tenant.types, of_operator.types) == (frozenset(TENANT_EVENTS), frozenset(OPERATOR_EVENTS))
    assert of_tenant.keys == of_operator.keys == [bytes(range(32))]
    for one in (of_tenant, of_operator):
        assert (one.allow_private_targets, one.full_recipient, one.timeout_seconds) == (False, False, 15.0)
        assert (one.url, one.max_concurrent, one.ca_file) == (PUBLIC["url"], 8, None)
        assert KEY not in repr(one)
    assert [one.endpoint for one in operator_targets(settings)] == ["ops"]
    assert config_warnings(settings) == config_warnings(loaded())


def test_two_secrets(loaded: Load) -> None:
    """A list of two: both sign, in their order."""
    hook = {**PUBLIC, "secret": ["env:WHSEC", "env:NEXT"]}
    [endpoint] = all_endpoints(loaded(("tenants.acme.webhooks", {"main": hook}), WHSEC=KEY, NEXT=SECOND_KEY))

    assert endpoint.keys == [bytes(range(32)), bytes(range(64))]


def test_keys_of_both_kinds(loaded: Load) -> None:
    """At most two of each sign, in their order; the public keys are those of the Ed25519 ones."""
    hook = {**PUBLIC, "secret": ["env:WHSEC", "env:WHSK", "env:NEXT", "env:WHSK"]}
    found = loaded(("tenants.acme.webhooks", {"main": hook}), WHSEC=KEY, NEXT=SECOND_KEY, WHSK=ED25519_KEY)
    [endpoint] = all_endpoints(found)

    assert [isinstance(key, bytes) for key in endpoint.keys] == [True, False, True, False]
    assert endpoint.public_keys == ["whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="] * 2
    assert ED25519_KEY not in repr(endpoint) and ED25519_KEY not in repr(found)


def test_a_url_with_a_token_may_be_a_reference(loaded: Load, tmp_path: Path) -> None:
    """It is read from a variable or a file, as a secret is."""
    file = tmp_path / "url"
    file.write_text("https://hooks.example.com/T0KEN\n")
    for url in ("env:HOOK_URL", f"file:{file}"):
        hooks = {"main": {**PUBLIC, "url": url}}
        settings = loaded(("tenants.acme.webhooks", hooks), WHSEC=KEY, HOOK_URL="https://hooks.example.com/T0KEN")
        assert all_endpoints(settings)[0].url == "https://hooks.example.com/T0KEN"


@pytest.mark.parametrize(
    ("hook", "path", "part"),
    [
        ({**PUBLIC, "url": "http://hooks.example.com/"}, "url", "https; or allow_private_targets = true"),
        ({**PUBLIC, "url": "https://10.0.0.1/"}, "url", "a public host; or allow_private_targets = true"),
        ({**PUBLIC, "url": "https://[::1]/"}, "url", "a public host"),
        ({**PUBLIC, "url": "https://[::ffff:127.0.0.1]/"}, "url", "a public host"),
        ({**PRIVATE, "url": "http://169.254.169.254/latest"}, "url", "a public host"),
        ({**PUBLIC, "url": "https://user:pass@hooks.example.com/"}, "url", "without user, password"),
        ({**PUBLIC, "url": "https://hooks.example.com/#part"}, "url", "the URL (not shown)"),
        ({**PUBLIC, "url": "ftp://hooks.example.com/"}, "url", "the URL (not shown)"),
        ({**PUBLIC, "url": "https://hooks.example.com/ä"}, "url", "the URL (not shown)"),
        ({**PUBLIC, "url": "https://hooks.example.com/" + "a" * 2048}, "url", "the URL (not shown)"),
        ({**PUBLIC, "url": 5}, "url", "5 is not allowed"),
        ({"url": PUBLIC["url"]}, "secret", "missing"),
        ({**PUBLIC, "secret": KEY}, "secret", "a plain value (not shown) is not allowed"),
        ({**PUBLIC, "secret": []}, "secret", "0 secrets are not allowed"),
        ({**PUBLIC, "secret": ["env:WHSEC"] * 3}, "secret", "3 secrets with whsec_ are not allowed"),
        ({**PUBLIC, "secret": ["env:WHSEC", *["env:WHSK"] * 3]}, "secret", "3 secrets with whsk_ are not allowed"),
        ({**PUBLIC, "secret": ["env:WHSEC"] * 5}, "secret", "5 secrets are not allowed"),
        ({**PUBLIC, "secret": "env:SHORT_WHSK"}, "secret", "is 31 bytes instead of 32"),
        ({**PUBLIC, "secret": "env:MIXED_WHSK"}, "secret", "is a private key with the public key of another one"),
        ({**PUBLIC, "secret": "env:WHPK"}, "secret", "is a public key (whpk_), which cannot sign"),
        ({**PUBLIC, "secret": "env:SHORT_KEY"}, "secret", "has 23 bytes instead of 24 to 64"),
        ({**PUBLIC, "secret": "env:LONG_KEY"}, "secret", "not 16-64 bytes"),
        ({**PUBLIC, "secret": "env:PASSWORD"}, "secret", "does not begin with whsec_ or whsk_"),
        ({**PUBLIC, "secret": "env:NOT_BASE64"}, "secret", "is not base64"),
        ({**PUBLIC, "events": []}, "events", "at least one type of event"),
        ({**PUBLIC, "events": ["circuit.opened"]}, "events[0]", '"message.sent"'),
        ({**PUBLIC, "timeout_seconds": 0.9}, "timeout_seconds", "1 to 30"),
        ({**PUBLIC, "timeout_seconds": 30.1}, "timeout_seconds", "1 to 30"),
        ({**PUBLIC, "max_concurrent": 0}, "max_concurrent", "1 to 64"),
        ({**PUBLIC, "max_concurrent": 65}, "max_concurrent", "1 to 64"),
        ({**PUBLIC, "retries": 3}, "retries", "unknown key"),
    ],
)
def test_an_error(find_errors: FindErrors, hook: dict[str, Any], path: str, part: str) -> None:
    """Each has one line, with its path; no secret and no URL is shown."""
    keys = {
        "WHSK": ED25519_KEY,
        "SHORT_WHSK": "whsk_" + base64.b64encode(b"k" * 31).decode(),
        "MIXED_WHSK": "whsk_" + base64.b64encode(bytes(64)).decode(),
        "WHPK": "whpk_" + base64.b64encode(bytes(32)).decode(),
    }
    keys |= {"WHSEC": KEY, "SHORT_KEY": secret_of(23), "LONG_KEY": secret_of(65), "NOT_BASE64": "whsec_ä"}

    [error] = find_errors(("tenants.acme.webhooks", {"main": hook}), **keys)

    assert error.path == f"{HOOK}.{path}"
    assert part in str(error)
    for secret in (*keys.values(), "user:pass", "hooks.example.com"):
        assert secret not in str(error)


def test_bounds_of_secrets(find_errors: FindErrors) -> None:
    """24 and 64 bytes are accepted."""
    for size in (24, 64):
        assert find_errors(("tenants.acme.webhooks", {"main": PUBLIC}), WHSEC=secret_of(size)) == ()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "https://10.0.0.1/", "http://hooks.internal/", "https://[::1]/"]
)
def test_private_targets_where_they_are_allowed(find_errors: FindErrors, url: str) -> None:
    """Then also plain http is accepted."""
    assert find_errors(("tenants.acme.webhooks", {"main": {**PRIVATE, "url": url}}), WHSEC=KEY) == ()


def test_endpoints_are_few(find_errors: FindErrors) -> None:
    """Eight for a tenant, eight for the operator: each one is named by the metrics."""
    eight = {f"hook{number}": PUBLIC for number in range(8)}
    assert find_errors(("tenants.acme.webhooks", eight), ("webhooks", eight), WHSEC=KEY) == ()
    nine = {**eight, "more": PUBLIC}
    errors = find_errors(("tenants.acme.webhooks", nine), ("webhooks", nine), WHSEC=KEY)
    assert [error.path for error in errors] == ["tenants.acme.webhooks", "webhooks"]


def test_events_of_a_tenant_are_not_those_of_the_operator(find_errors: FindErrors) -> None:
    """Each kind of endpoint names its own types."""
    [error] = find_errors(("webhooks", {"ops": {**PUBLIC, "events": ["message.sent"]}}), WHSEC=KEY)

    assert error.path == f"{OPS}.events[0]"
    assert '"circuit.opened"' in error.allowed
