"""`[issuers.*]`: the defaults, the bounds, and a tenant that is reached by access tokens only."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.settings import ConfigInvalid, load
from tests.settings.complete_config import edited_config

CORP = "issuers.corp"
OTHER = {
    "issuer": "https://other.example.com",
    "audience": "otp-service",
    "discovery": "openid",
    "clients": {"app": "acme"},
}


def errors(environ: dict[str, str], *edits: tuple[str, Any]) -> tuple[str, ...]:
    """Return the lines of the errors of the complete configuration with these edits."""
    with pytest.raises(ConfigInvalid) as invalid:
        load(edited_config(*edits), environ)
    return tuple(map(str, invalid.value.errors))


def test_defaults(environ: dict[str, str]) -> None:
    """A table with the four required keys is strict: typed tokens, asymmetric algorithms, no privilege."""
    corp = load(edited_config(), environ).issuers["corp"]

    assert corp.algorithms == ("EdDSA", "ES256", "RS256")
    assert corp.allow_plain_jwt is False
    assert corp.scopes == ("request", "verify", "read")
    assert (corp.scope_prefix, corp.client_claim) == ("otp:", "client_id")


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("issuer", "http://login.example.com", "https URL"),
        ("issuer", None, "missing"),
        ("audience", "", "1 to 255"),
        ("jwks_url", "http://login.example.com/jwks.json", "https URL"),
        ("jwks_url", "https://user:password@login.example.com/", "https URL"),
        ("jwks_url", None, "missing; allowed: jwks_url or discovery"),
        ("algorithms", [], "at least one"),
        ("algorithms[0]", "HS256", '"HS256" is not allowed; allowed: "EdDSA" or "ES256"'),
        ("algorithms[0]", "none", '"none" is not allowed'),
        ("leeway_seconds", 61, "0 to 60"),
        ("client_claim", "", "the name of a claim"),
        ("client_claim", "a b", "the name of a claim"),
        ("clients", {}, "at least one client"),
        ("clients.app", "nobody", '"nobody" is not a tenant; allowed: acme'),
        ("scopes[0]", "root", '"root" is not allowed'),
        ("scopes", [], "at least one scope"),
        ("scope_prefix", "otp ", "that a scope may have"),
        ("jwks_ttl_seconds", 59, "60 to 86400"),
        ("jwks_min_refresh_seconds", 0.5, "1 to 3600"),
        ("jwks_max_stale_seconds", 1800, "less than jwks_ttl_seconds; allowed: at least 3600"),
        ("timeout_seconds", 11, "0.5 to 10"),
    ],
)
def test_one_error(environ: dict[str, str], key: str, value: Any, line: str) -> None:
    """A wrong value gives one line with its path and what is allowed."""
    place, bracket, _ = key.partition("[")
    edit = (f"{CORP}.{place}", [value] if bracket else value)

    [found] = errors(environ, edit)

    assert found.startswith(f"{CORP}.{key}: ")
    assert line in found


def test_two_sources_of_keys(environ: dict[str, str]) -> None:
    """A fixed address and discovery exclude each other."""
    [found] = errors(environ, (f"{CORP}.discovery", "openid"))

    assert found == "issuers.corp.jwks_url: set together with discovery; allowed: jwks_url or discovery"


def test_one_table_for_each_issuer(environ: dict[str, str]) -> None:
    """A token names its issuer only, so two tables of one issuer would be ambiguous."""
    again = {**OTHER, "issuer": "https://login.example.com"}

    [found] = errors(environ, ("issuers.again", again))

    assert found.startswith("issuers.again.issuer: the same issuer as that of issuers.corp")


@pytest.mark.parametrize("keys", [[], None])
def test_tenant_without_api_keys(environ: dict[str, str], keys: list[str] | None) -> None:
    """A tenant needs no API key if an issuer has a client for it; without either, nobody could call."""
    assert load(edited_config(("tenants.acme.api_keys", keys)), environ).tenants["acme"].api_keys == ()

    [found] = errors(environ, ("tenants.acme.api_keys", keys), ("issuers", {}))

    assert found.startswith("tenants.acme.api_keys: missing; allowed: at least one key")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/jwks.json", "http://[::1]/j", "http://localhost/j"])
def test_plain_http_on_this_machine(environ: dict[str, str], url: str) -> None:
    """An issuer on loopback may be called without TLS."""
    assert load(edited_config((f"{CORP}.jwks_url", url)), environ).issuers["corp"].jwks_url == url
