"""API keys in the config: default scopes, times, origins, and the warnings before a key expires."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from otp_service.settings import ConfigError, Settings, config_warnings
from otp_service.settings.api_key_model import ApiKey, expiry_warnings, parse_instant

Loaded = Callable[..., Settings]
FindErrors = Callable[..., tuple[ConfigError, ...]]
FIRST_KEY = "tenants.acme.api_keys.0"
PUBLISHABLE = {"id": "web", "sha256": "a" * 64, "publishable": True}
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("entry", "scopes"),
    [
        ({}, ("request", "verify", "read")),
        ({"publishable": True}, ("request", "verify")),
        ({"publishable": True, "scopes": ["verify"]}, ("verify",)),
    ],
)
def test_default_scopes(loaded: Loaded, entry: dict[str, Any], scopes: tuple[str, ...]) -> None:
    """A key without `scopes` has those of a login flow; a publishable one cannot read."""
    settings = loaded((FIRST_KEY, {"id": "web", "sha256": "a" * 64, **entry}))
    assert settings.tenants["acme"].api_keys[0].scopes == scopes


@pytest.mark.parametrize(
    "value",
    [
        "2027-01-01T00:00:00Z",
        "2027-01-01t00:00:00z",
        "2027-01-01 00:00:00.000Z",
        "2027-01-01T07:00:00+07:00",
        NEW_YEAR,
        NEW_YEAR.astimezone(timezone(timedelta(hours=7))),
    ],
)
def test_times(loaded: Loaded, value: Any) -> None:
    """`expires_at` is text of RFC 3339 or a date-time of TOML, with any offset."""
    assert loaded((f"{FIRST_KEY}.expires_at", value)).tenants["acme"].api_keys[0].expires_at == NEW_YEAR


@pytest.mark.parametrize("text", ["20270101T000000Z", "2027-W01-1T00:00:00Z", "2027-01-01T00:00Z", "\u0662" * 20, ""])
def test_other_times(text: str) -> None:
    """What only Python reads as a time is refused."""
    assert parse_instant(text) is None


@pytest.mark.parametrize(
    "origin",
    ["https://a.example", "https://a.example:8443", "http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080",
     "capacitor://localhost", "https://xn--bcher-kva.example"],
)  # fmt: skip
def test_origins(loaded: Loaded, origin: str) -> None:
    """An origin is accepted as a browser sends it."""
    settings = loaded((FIRST_KEY, PUBLISHABLE | {"allowed_origins": [origin]}))
    assert settings.tenants["acme"].api_keys[0].allowed_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "a.example", "https://", "https://a.example/", "https://a.example/path", "https://A.example", 5,
     "https://a.example:443", "https://a.example:0", "http://localhost:80", "http://a.example", "https://u@a.example",
     "https://*.a.example", "https://a.example https://b.example", "https://a.example\n", "https://a_b.example?"],
)  # fmt: skip
def test_other_origins(find_errors: FindErrors, origin: Any) -> None:
    """What no browser sends, what allows every page, and plain HTTP beyond this machine, are refused."""
    [error] = find_errors((FIRST_KEY, PUBLISHABLE | {"allowed_origins": [origin]}))
    assert error.path == "tenants.acme.api_keys[0].allowed_origins[0]"
    assert "an origin as browsers send it" in error.allowed


@pytest.mark.parametrize(("count", "errors"), [(32, 0), (33, 1)])
def test_the_number_of_origins(find_errors: FindErrors, count: int, errors: int) -> None:
    """A key has at most 32 origins."""
    origins = [f"https://a{n}.example" for n in range(count)]
    assert len(find_errors((FIRST_KEY, PUBLISHABLE | {"allowed_origins": origins}))) == errors


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (30.0, []),
        (29.94, ["expires in 30 days"]),
        (0.1, ["expires in 0 days"]),
        (0.0, ["has expired 0 days ago"]),
        (-400.0, ["has expired 400 days ago"]),
    ],
)
def test_warnings_before_a_key_expires(days: float, expected: list[str]) -> None:
    """A key is named from 30 days before it expires on, with its id and its path."""
    keys = (ApiKey(id="for-ever", sha256="b" * 64), ApiKey(id="web", sha256="a" * 64, expires_at=NEW_YEAR))
    found = list(expiry_warnings({"acme": keys}, NEW_YEAR.timestamp() - days * 86400))
    assert found == [f'tenants.acme.api_keys[1].expires_at: the API key "web" {line}' for line in expected]


def test_the_config_warns_of_an_expired_key(loaded: Loaded) -> None:
    """`check-config` and `serve` print the warning."""
    settings = loaded((f"{FIRST_KEY}.expires_at", "2020-01-01T00:00:00Z"))
    assert any('the API key "web" has expired ' in line for line in config_warnings(settings))


@pytest.mark.parametrize(
    ("limits", "windows"),
    [
        ({}, [(25, 3600)]),
        ({"publishable_client_ip": ["2/60", "9/3600"]}, [(10, 60), (45, 3600)]),
        ({"publishable_client_ip": ["2/60"], "publishable_verify_ip": ["9/60"]}, [(9, 60)]),
    ],
)
def test_the_default_of_publishable_verify_ip(
    loaded: Loaded, limits: dict[str, Any], windows: list[tuple[int, int]]
) -> None:
    """By default it allows all attempts of the requests that `publishable_client_ip` allows."""
    found = loaded(("limits", limits)).limits.publishable_verify_ip_windows()
    assert [(one.count, one.seconds) for one in found] == windows
