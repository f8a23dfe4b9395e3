"""`[captcha.*]`: the defaults, the bounds, and which keys a type has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otp_service.crypto.attestation_chain import APPLE_ROOT
from otp_service.settings import ConfigInvalid, config_warnings, load, unused_keys
from tests.settings.complete_config import edited_config

HUMAN = "captcha.human"


def errors(environ: dict[str, str], *edits: tuple[str, Any]) -> tuple[str, ...]:
    """Return the lines of the errors of the complete configuration with these edits."""
    with pytest.raises(ConfigInvalid) as invalid:
        load(edited_config(*edits), environ)
    return tuple(map(str, invalid.value.errors))


def test_defaults(environ: dict[str, str]) -> None:
    """A verifier fails closed, for all requests, and tells the vendor no address; no tenant uses it by itself."""
    settings = load(edited_config(), environ)
    human = settings.captcha["human"]

    assert (human.required_for, human.on_failure, human.send_client_ip) == ("all", "deny", False)
    assert (human.timeout_seconds, human.max_concurrent) == (3.0, 32)
    assert settings.tenants["acme"].policy.captcha is None


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("type", "captcha", '"captcha" is not allowed; allowed: "app_attest" or'),
        ("type", None, "missing"),
        ("secret", "plain", "a plain value (not shown)"),
        ("secret", None, "missing"),
        ("verify_url", "http://verify.example.com", "https URL"),
        ("required_for", "some", '"all" or "none" or "publishable"'),
        ("on_failure", "open", '"allow" or "deny"'),
        ("hostnames[0]", "Example.com", "host name in lower case"),
        ("action", "", "1 to 255"),
        ("min_score", 0.5, 'not allowed with type = "turnstile"; allowed: type = "recaptcha" or "siteverify"'),
        ("max_score", 0.5, 'not allowed with type = "turnstile"; allowed: type = "hcaptcha"'),
        ("site_key", "key", 'not allowed with type = "turnstile"'),
        ("timeout_seconds", 5.5, "0.5 to 5"),
        ("max_concurrent", 0, "1 to 128"),
    ],
)
def test_one_error(environ: dict[str, str], key: str, value: Any, line: str) -> None:
    """A wrong value gives one line with its path and what is allowed."""
    place, bracket, _ = key.partition("[")

    [found] = errors(environ, (f"{HUMAN}.{place}", [value] if bracket else value))

    assert found.startswith(f"{HUMAN}.{key}: ")
    assert line in found


def test_own_verifier_needs_an_address(environ: dict[str, str]) -> None:
    """The vendors have a default address, a service of the operator's own has none."""
    [found] = errors(environ, (f"{HUMAN}.type", "siteverify"))

    assert found.startswith(f"{HUMAN}.verify_url: missing")


@pytest.mark.parametrize("kind", ["hcaptcha", "recaptcha"])
def test_action_of_each_type(environ: dict[str, str], kind: str) -> None:
    """HCaptcha's answer has no action, so it cannot be demanded."""
    edits = ((f"{HUMAN}.type", kind), (f"{HUMAN}.action", "login"))
    if kind == "recaptcha":
        assert load(edited_config(*edits), environ).captcha["human"].action == "login"
    else:
        assert errors(environ, *edits)[0].startswith(f"{HUMAN}.action: not allowed")


def test_tenant_names_a_verifier_that_exists(environ: dict[str, str]) -> None:
    """A name that is not configured is an error: the tenant would be without protection."""
    assert load(edited_config(("tenants.acme.policy.captcha", "human")), environ)

    [found] = errors(environ, ("tenants.acme.policy.captcha", "humans"))

    assert found == 'tenants.acme.policy.captcha: "humans" is not configured; allowed: human'


def test_key_names_a_verifier_that_exists(environ: dict[str, str]) -> None:
    """So is the name that an API key gives; the verifier is used then, and no warning names it."""
    where = "tenants.acme.api_keys.1.captcha"
    settings = load(edited_config((where, "human")), environ)

    assert [line for line in config_warnings(settings) if line.startswith("captcha")] == []
    [found] = errors(environ, (where, "humans"))
    assert found == 'tenants.acme.api_keys[1].captcha: "humans" is not configured; allowed: human'


def key_file(pem: str, **members: Any) -> str:
    """Return the key file of a service account."""
    good = {"client_email": "a@example.com", "private_key": pem, "token_uri": "https://oauth2.example.com/token"}
    return json.dumps({**good, **members})


def app(environ: dict[str, str], **members: Any) -> dict[str, Any]:
    """Return the table of an Android app."""
    environ.setdefault("KEY_FILE", key_file(environ["RSA_PEM"]))
    return {"type": "play_integrity", "package_name": "com.example.app", "credentials": "env:KEY_FILE", **members}


def test_play_integrity(environ: dict[str, str]) -> None:
    """An app needs its package and a service account; tokens are bound to the request by default."""
    found = load(edited_config(("captcha.app", app(environ))), environ).captcha["app"]

    assert (found.checks.device, found.checks.bind_request) == (("MEETS_DEVICE_INTEGRITY",), True)
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("members", "path", "line"),
    [
        ({"package_name": None}, "package_name", "missing"),
        ({"package_name": "app"}, "package_name", "such as com.example.app"),
        ({"package_name": "com.example/../x"}, "package_name", "such as com.example.app"),
        ({"credentials": None}, "credentials", "missing"),
        ({"credentials": "env:PASSWORD"}, "credentials", "is not the JSON key file of a service account"),
        ({"secret": "env:PASSWORD"}, "secret", 'not allowed with type = "play_integrity"'),
        ({"checks": {"device": []}}, "checks.device", "at least one"),
        ({"checks": {"device": ["MEETS"]}}, "checks.device[0]", "MEETS_DEVICE_INTEGRITY"),
        ({"checks": {"certificates": ["AB:CD"]}}, "checks.certificates[0]", "a SHA-256 in base64url"),
        ({"checks": {"max_age_seconds": 601}}, "checks.max_age_seconds", "10 to 600"),
    ],
)
def test_errors_of_an_app(environ: dict[str, str], members: dict[str, Any], path: str, line: str) -> None:
    """A wrong value of an app gives one line."""
    table = {name: value for name, value in app(environ, **members).items() if value is not None}

    [found] = errors(environ, ("captcha.app", table))

    assert found.startswith(f"captcha.app.{path}: ")
    assert line in found


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({"token_uri": "http://oauth2.example.com/token"}, "token_uri that is not an https URL"),
        ({"private_key": "secret-material"}, "private_key that cannot be read"),
        ({"private_key": 5}, "is not the JSON key file"),
    ],
)
def test_damaged_key_file(environ: dict[str, str], members: dict[str, Any], line: str) -> None:
    """The error says what is wrong with a key file, and contains nothing of it."""
    environ["KEY_FILE"] = key_file(environ["RSA_PEM"], **members)

    [found] = errors(environ, ("captcha.app", app(environ)))

    assert line in found
    assert "secret-material" not in found


def test_key_of_another_kind(environ: dict[str, str]) -> None:
    """Google's tokens are signed with RSA."""
    environ["KEY_FILE"] = key_file(environ["PEM"])

    assert "not RSA" in errors(environ, ("captcha.app", app(environ)))[0]


IOS = {"type": "app_attest", "app_ids": ["A1B2C3D4E5.com.example.app"]}


def test_app_attest(environ: dict[str, str]) -> None:
    """An iOS app needs its id only; apps of the store are genuine, by Apple's root, and keys live for 90 days."""
    found = load(edited_config(("captcha.ios", IOS)), environ).captcha["ios"]

    assert (found.environment, found.root_certificate, found.key_days) == ("production", None, 90)


@pytest.mark.parametrize(
    ("members", "path", "line"),
    [
        ({"app_ids": []}, "app_ids", "missing"),
        ({"app_ids": ["com.example.app"]}, "app_ids[0]", "the team id, a period and the bundle id"),
        ({"app_ids": ["A1B2C3D4E5.com.example.*"]}, "app_ids[0]", "the team id, a period and the bundle id"),
        ({"environment": "sandbox"}, "environment", '"development" or "production"'),
        ({"key_days": 0}, "key_days", "1 to 730"),
        ({"key_days": 731}, "key_days", "1 to 730"),
        ({"on_failure": "allow"}, "on_failure", "no vendor is called"),
        ({"root_certificate": "env:PASSWORD"}, "root_certificate", "is not the PEM of an authority"),
        ({"root_certificate": APPLE_ROOT}, "root_certificate", "a plain value (not shown)"),
        ({"verify_url": "https://verify.example.com"}, "verify_url", 'not allowed with type = "app_attest"'),
        ({"secret": "env:PASSWORD"}, "secret", 'not allowed with type = "app_attest"'),
        ({"type": "turnstile", "secret": "env:PASSWORD"}, "app_ids", 'not allowed with type = "turnstile"'),
    ],
)
def test_errors_of_app_attest(environ: dict[str, str], members: dict[str, Any], path: str, line: str) -> None:
    """A wrong value of an iOS app gives one line."""
    [found] = errors(environ, ("captcha.ios", {**IOS, **members}))

    assert found.startswith(f"captcha.ios.{path}: ")
    assert line in found


@pytest.mark.parametrize(
    ("table", "unused"),
    [
        ({"type": "turnstile", "hostnames": ["a.example"], "environment": "development"}, ["environment"]),
        ({"type": "play_integrity", "checks": {}, "hostnames": [], "timeout_seconds": 1}, ["hostnames"]),
        (
            {**IOS, "environment": "development", "key_days": 9, "checks": {}, "timeout_seconds": 1},
            ["checks", "timeout_seconds"],
        ),
        ({"type": ["app_attest"]}, []),
        ("text", []),
    ],
)
def test_keys_without_effect(table: Any, unused: list[str]) -> None:
    """A key with a default that the type does not use is named at start: it looks as if it were in force."""
    assert unused_keys({"captcha": {"own": table}}) == [f"captcha.own.{key}" for key in unused]


def test_own_root(environ: dict[str, str]) -> None:
    """Another root replaces Apple's, such as a later one; line ends may be as environment variables leave them."""
    environ["ROOT"] = APPLE_ROOT.replace("\n", "\\n")

    assert load(edited_config(("captcha.ios", {**IOS, "root_certificate": "env:ROOT"})), environ)


@pytest.mark.parametrize(
    ("edits", "warning"),
    [
        ((), "captcha.human: no tenant uses it"),
        ((("tenants.acme.policy.captcha", "human"),), None),
        (
            (("tenants.acme.policy.captcha", "human"), (f"{HUMAN}.required_for", "publishable")),
            'captcha.human: required_for = "publishable", but its tenants have no publishable key: no token is needed',
        ),
    ],
)
def test_verifier_without_effect(environ: dict[str, str], edits: Any, warning: str | None) -> None:
    """A verifier that protects nothing is named when the service starts."""
    found = [line for line in config_warnings(load(edited_config(*edits), environ)) if line.startswith("captcha")]

    assert found == ([] if warning is None else [warning])
