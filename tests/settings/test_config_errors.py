"""Every mistake of a config is one line, with its path, and all of them come at once."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otp_service.settings import ConfigError, ConfigInvalid, Settings, load, load_file

Edit = tuple[str, Any]
Mistakes = Callable[..., tuple[ConfigError, ...]]

POLICY = "tenants.acme.policy"
KEY = {"id": "third", "sha256": "c" * 64}
ROUTE = {"providers": ["keda"]}
OWN = "providers.own"
LONG = "a" * 33

# What is put into a good config (None takes a key out), the path of the one mistake, and a part of its line.
ONE_MISTAKE: list[tuple[Edit, str, str]] = [
    (("servr", {}), "servr", 'did you mean "server"?'),
    (("server", 5), "server", "5 is not a table"),
    (("server.host", ""), "server.host", "a host name or an address"),
    (("server.host", "a b"), "server.host", '"a b" is not allowed'),
    (("server.port", "8000"), "server.port", '"8000" is not a whole number; allowed: 0 to 65535'),
    (("server.port", True), "server.port", "true is not a whole number"),
    (("server.public_url", "otp.example.com"), "server.public_url", "http://host"),
    (("server.trusted_proxies", "10.0.0.0/8"), "server.trusted_proxies", "not a list"),
    (("server.trusted_proxies", ["10.0.0.1/8"]), "server.trusted_proxies[0]", "host bits"),
    (("server.trusted_proxies", ["10.0.0.0/8", 5]), "server.trusted_proxies[1]", "5 is not allowed"),
    (("redis", None), "redis.url", "missing"),
    (("redis.url", None), "redis.url", "missing"),
    (("redis.url", "redis://store"), "redis.url", "a plain value (not shown)"),
    (("redis.url", "env:NOT_THERE"), "redis.url", "the environment variable NOT_THERE is not set"),
    (("redis.url", "env:"), "redis.url", "without the name of a variable"),
    (("redis.url", "file:/not/there"), "redis.url", 'the file "/not/there" cannot be read'),
    (("redis.url", "file:relative"), "redis.url", "without an absolute path"),
    (("redis.url", 5), "redis.url", "not text"),
    (("redis.allow_eviction", "yes"), "redis.allow_eviction", '"yes" is not true or false'),
    (("keys.current", "k9"), "keys.current", '"k9" is not listed; allowed: k1'),
    (("keys.index", "k9"), "keys.index", '"k9" is not listed; allowed: k1'),
    (("keys.index", None), "keys.index", "missing"),
    (("keys.k2", "env:PASSWORD"), "keys.k2", "32 bytes in base64"),
    (("keys.bad name", "env:KEY"), 'keys."bad name"', "a name of"),
    (("tokens.issuer", ""), "tokens.issuer", "1 to 255 characters"),
    (("tokens.current", "t9"), "tokens.current", '"t9" is not listed; allowed: t1'),
    (("tokens.t2", "env:KEY"), "tokens.t2", "Ed25519"),
    (("hashing.memory_kib", 12287), "hashing.memory_kib", "12287 with time_cost 3 is too weak"),
    (("hashing.time_cost", 2), "hashing.memory_kib", "or allow_weak = true"),
    (("hashing.parallelism", 17), "hashing.parallelism", "1 to 16"),
    (("hashing.threads", -1), "hashing.threads", "0 to 64"),
    (("tenants", None), "tenants", "at least one tenant"),
    (("tenants", {}), "tenants", "at least one tenant"),
    (("tenants.Acme", {"country": "ID", "api_keys": [KEY]}), "tenants.Acme", "a-z 0-9"),
    (("tenants.acme.brnd", "Acme"), "tenants.acme.brnd", 'did you mean "brand"?'),
    (("tenants.acme.brand", "a" * 31), "tenants.acme.brand", "1 to 30 characters"),
    (("tenants.acme.brand", ""), "tenants.acme.brand", "1 to 30 characters"),
    (("tenants.acme.country", "id"), "tenants.acme.country", "capitals"),
    (("tenants.acme.country", "UK"), "tenants.acme.country", '"UK" is not allowed'),
    (("tenants.acme.countries", ["ID", "XX"]), "tenants.acme.countries[1]", '"*" for all'),
    (("tenants.acme.countries", []), "tenants.acme.countries", "at least one"),
    (("tenants.acme.purposes", ["Login"]), "tenants.acme.purposes[0]", "a-z 0-9 _"),
    (("tenants.acme.purposes", []), "tenants.acme.purposes", "at least one"),
    (("tenants.acme.api_keys", None), "tenants.acme.api_keys", "missing"),
    (("tenants.acme.api_keys", []), "tenants.acme.api_keys", "at least one key"),
    (("tenants.acme.api_keys.0.sha256", "a" * 63), "tenants.acme.api_keys[0].sha256", "64 hexadecimal digits"),
    (("tenants.acme.api_keys.0.sha256", None), "tenants.acme.api_keys[0].sha256", "missing"),
    (("tenants.acme.api_keys.0.sha256", "B" * 64), "tenants.acme.api_keys[1].sha256", "tenants.acme.api_keys[0]"),
    (("tenants.acme.api_keys.1.id", "web"), "tenants.acme.api_keys[1].id", '"web" stands twice'),
    (("tenants.acme.api_keys.0.scopes", ["root"]), "tenants.acme.api_keys[0].scopes[0]", '"admin" or "read"'),
    (("tenants.acme.api_keys.0.scopes", []), "tenants.acme.api_keys[0].scopes", "at least one scope"),
    (("tenants.other", {"country": "ID", "api_keys": [{"id": "x", "sha256": "a" * 64}]}),
     "tenants.other.api_keys[0].sha256", "the same hash as that of tenants.acme.api_keys[0]"),
    ((f"{POLICY}.ttl_seconds", 601), f"{POLICY}.ttl_seconds", "601 is not allowed; allowed: 10 to 600"),
    ((f"{POLICY}.ttl_seconds", 300.5), f"{POLICY}.ttl_seconds", "300.5 is not a whole number"),
    ((f"{POLICY}.ttl", 300), f"{POLICY}.ttl", 'did you mean "ttl_seconds"?'),
    ((f"{POLICY}.code_length", 5), f"{POLICY}.code_length", "allow_short_codes"),
    ((f"{POLICY}.resend", "again"), f"{POLICY}.resend", '"reuse" or "rotate"'),
    ((f"{POLICY}.daily_spend_cap", 5.0), f"{POLICY}.daily_spend_cap", "in quotes"),
    ((f"{POLICY}.daily_spend_cap", "0"), f"{POLICY}.daily_spend_cap", "above 0"),
    ((f"{POLICY}.currency", "usd"), f"{POLICY}.currency", "ISO 4217"),
    (("tenants.acme.templates.id.default", "Your code."), "tenants.acme.templates.id.default", "{code} is missing"),
    (("tenants.acme.templates.id.default", "{code} {name}"), "tenants.acme.templates.id.default", "{name}"),
    (("tenants.acme.templates.id.default", "{code} {brand"), "tenants.acme.templates.id.default", "brace"),
    (("tenants.acme.templates.id.login", 5), "tenants.acme.templates.id.login", "5 is not allowed"),
    (("tenants.acme.templates.id.other", "{code}"), "tenants.acme.templates.id.other", "default, login"),
    (("tenants.acme.templates.nowhere", {}), "tenants.acme.templates.nowhere", "a locale"),
    (("tenants.acme.templates.id", "{code}"), "tenants.acme.templates.id", "not a table"),
    (("providers.box.type", "smpp"), "providers.box.type", '"kedasms" or "eims"'),
    (("providers.box.type", None), "providers.box.type", "missing"),
    (("providers.Box", {"type": "inbox"}), "providers.Box", "a name of"),
    (("providers.box.api_key", "x"), "providers.box.api_key", "unknown key"),
    (("providers.box.timeout_seconds", float("nan")), "providers.box.timeout_seconds", "0.5 to 30"),
    (("providers.box.max_per_second", 0), "providers.box.max_per_second", "above 0"),
    (("providers.box.price", {"id": "0.1"}), "providers.box.price.id", "or default"),
    (("providers.box.price", {"ID": 0.1}), "providers.box.price.ID", "0.1 is not allowed; allowed: a decimal"),
    (("providers.box.price", {"ID": "-1"}), "providers.box.price.ID", "in quotes"),
    (("providers.box.alert_threshold", 1.5), "providers.box.alert_threshold", "0 to 1"),
    (("providers.jakarta.base_url", None), "providers.jakarta.base_url", "missing"),
    (("providers.jakarta.base_url", "ftp://host"), "providers.jakarta.base_url", "http://host"),
    (("providers.jakarta.base_url", "http://"), "providers.jakarta.base_url", "http://host"),
    (("providers.jakarta.base_url", "http://h:99999"), "providers.jakarta.base_url", "http://host"),
    (("providers.jakarta.account", None), "providers.jakarta.account", "missing"),
    (("providers.jakarta.password", None), "providers.jakarta.password", "missing"),
    (("providers.jakarta.variant", "v3"), "providers.jakarta.variant", '"v1" or "v2"'),
    (("providers.jakarta.method", 5), "providers.jakarta.method", '5 is not allowed; allowed: "get" or "post"'),
    (("providers.jakarta.method", "put"), "providers.jakarta.method", '"get" or "post"'),
    (("providers.keda.encryption_key", "env:PASSWORD"), "providers.keda.encryption_key", "32 bytes in base64"),
    (("providers.keda.api_key", None), "providers.keda.api_key", "missing"),
    (("providers.keda.report_poll_seconds", "30"), "providers.keda.report_poll_seconds", "0 to 3600"),
    (("providers.aurora.template_id", None), "providers.aurora.template_id", 'mode = "text"'),
    (("providers.aurora.template_id", "12"), "providers.aurora.template_id", "approved template"),
    (("providers.aurora.variables", {"a": "b"}), "providers.aurora.variables", "{code}"),
    (("providers.aurora.variables", {"a": "{code}{x}"}), "providers.aurora.variables.a", "{minutes}"),
    (("providers.hub.program_key", None), "providers.hub.program_key", "missing"),
    (("providers.twilio.from", None), "providers.twilio.from", "messaging_service_sid"),
    (("providers.vonage.from", None), "providers.vonage.from", "missing"),
    (("providers.vonage.signature_method", "sha3"), "providers.vonage.signature_method", '"md5hash" or'),
    ((f"{OWN}.url", None), f"{OWN}.url", "missing"),
    ((f"{OWN}.url", "/send?to={to}"), f"{OWN}.url", "a path without base_url"),
    ((f"{OWN}.url", "https://{to}/send"), f"{OWN}.url", "the value (not shown)"),
    ((f"{OWN}.body", "{txt}"), f"{OWN}.body", "unknown placeholder {txt}; allowed: {to}, {text}"),
    ((f"{OWN}.body", "hello"), f"{OWN}.body", "neither {text} nor {code}"),
    ((f"{OWN}.url", "https://host/"), f"{OWN}.body", "{to} stands nowhere"),
    ((f"{OWN}.method", "DELETE"), f"{OWN}.method", '"GET" or "POST" or "PUT"'),
    ((f"{OWN}.headers.X-Api-Key", "abc"), f"{OWN}.headers.X-Api-Key", "env:NAME"),
    ((f"{OWN}.headers.A b", "x"), f'{OWN}.headers."A b"', "the name of an HTTP header"),
    ((f"{OWN}.headers.X-A", "x\r\nX-B: y"), f"{OWN}.headers.X-A", "several lines"),
    ((f"{OWN}.accepted_when", "status"), f"{OWN}.accepted_when", "a JSON pointer"),
    ((f"{OWN}.message_id", "id"), f"{OWN}.message_id", "a JSON pointer"),
    (("routes.0.country", "Indonesia"), "routes[0].country", "alpha-2"),
    (("routes.0.prefix", "62811"), "routes[0].prefix", "+ and 1 to 15 digits"),
    (("routes.0.prefix", "+0811"), "routes[0].prefix", "+ and 1 to 15 digits"),
    (("routes.1.providers", []), "routes[1].providers", "at least one"),
    (("routes.1.providers", None), "routes[1].providers", "missing"),
    (("routes.1.providers", ["nobody"]), "routes[1].providers[0]", '"nobody" is not a provider; allowed: jakarta'),
    (("routes.1.providers", ["keda", "hub", "keda"]), "routes[1].providers[2]", "twice"),
    (("routes.1.providers", [5]), "routes[1].providers[0]", "{ name, weight }"),
    (("routes.1.providers", [{"name": "keda", "weight": 0}]), "routes[1].providers[0].weight", "1 to 1000"),
    (("routes.2", ROUTE), "routes[2]", "the same country and prefix as routes[1]"),
    (("routes", {}), "routes", "not a list"),
    (("delivery.hold_seconds", -1), "delivery.hold_seconds", "0 to 120"),
    (("delivery.max_texts", 0), "delivery.max_texts", "1 to 10"),
    (("limits.recipient", ["5/hour"]), "limits.recipient[0]", '"count/seconds"'),
    (("limits.recipient", ["0/60"]), "limits.recipient[0]", '"count/seconds"'),
    (("limits.recipient", ["5/60", "9/60"]), "limits.recipient[1]", "a second window of 60 seconds"),
    (("limits.recipient", "5/60"), "limits.recipient", "not a list"),
    (("limits.recipient_failures", []), "limits.recipient_failures", "1 to 8"),
    (("limits.recipient_failures", ["101/86400"]), "limits.recipient_failures", "at most 100 a day"),
    (("limits.recipient_failures", ["5/3600"]), "limits.recipient_failures", "120 failures a day"),
    (("limits.sender", ["5/60"]), "limits.sender", "unknown key"),
    (("server.port", datetime.date(2026, 1, 1)), "server.port", "a date is not a whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "path", "part"), ONE_MISTAKE)
def test_one_mistake(mistakes: Mistakes, edit: Edit, path: str, part: str) -> None:
    """A mistake is reported once, at its path, with what was found and what is allowed."""
    found = mistakes(edit)
    assert [mistake.path for mistake in found] == [path]
    line = str(found[0])
    assert line.startswith(f"{path}: ")
    assert "; allowed: " in line
    assert part in line
    assert "\n" not in line


def test_the_good_config_is_good(mistakes: Mistakes) -> None:
    """What the others break has no mistake of its own."""
    assert mistakes() == ()


def test_every_mistake_at_once(mistakes: Mistakes) -> None:
    """Mistakes of values, of keys, of what stands together and of secrets come in one go, in the config's order."""
    found = mistakes(
        ("server.port", 65536),
        ("redis.url", "env:NOT_THERE"),
        ("keys.current", "k2"),
        ("hashing.time_cost", 1),
        ("tenants.acme.api_keys.1.sha256", "a" * 64),
        (f"{POLICY}.ttl_seconds", 601),
        (f"{POLICY}.code_length", 4),
        ("providers.jakarta.password", "plain"),
        ("providers.jakarta.acount", "acme"),
        ("routes.1.providers", ["nobody", "keda"]),
        ("limits.prefix", ["x"]),
    )
    assert [mistake.path for mistake in found] == [
        "server.port",
        "redis.url",
        "keys.current",
        "hashing.memory_kib",
        f"{POLICY}.ttl_seconds",
        f"{POLICY}.code_length",
        "providers.jakarta.password",
        "providers.jakarta.acount",
        "limits.prefix[0]",
        "tenants.acme.api_keys[1].sha256",
        "routes[1].providers[0]",
    ]


@pytest.mark.parametrize(
    ("edits", "paths"),
    [
        ([(f"{POLICY}.allow_short_codes", "yes"), (f"{POLICY}.code_length", 5)], [f"{POLICY}.allow_short_codes"]),
        ([("providers.keda.api_key", None)], ["providers.keda.api_key"]),
        ([("providers.keda", 5)], ["providers.keda"]),
        ([("tenants.acme.purposes", 5), ("tenants.acme.templates.id.x", "{code}")], ["tenants.acme.purposes"]),
        ([("tenants.acme.purposes", [5]), ("tenants.acme.templates.id.x", "{code}")], ["tenants.acme.purposes[0]"]),
        ([("keys.k1", "env:NOT_THERE")], ["keys.k1"]),
        ([("routes.0.prefix", 5), ("routes.1.prefix", 5)], ["routes[0].prefix", "routes[1].prefix"]),
        ([("limits.recipient_failures", ["200/86400", "x"])], ["limits.recipient_failures[1]"]),
        ([("tenants.acme.api_keys.0", 5), ("tenants.acme.api_keys.1.id", 5)],
         ["tenants.acme.api_keys[0]", "tenants.acme.api_keys[1].id"]),
        ([("tenants.acme.country", None), ("tenants.acme.countries", None)], ["tenants.acme.country"]),
        ([("tenants.acme", 5), ("routes.0", "x")], ["tenants.acme", "routes[0]"]),
    ],
)  # fmt: skip
def test_no_mistake_follows_from_another(mistakes: Mistakes, edits: list[Edit], paths: list[str]) -> None:
    """What could not be read makes no second mistake, neither in a check nor where it is referred to."""
    assert [mistake.path for mistake in mistakes(*edits)] == paths


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = ", "config: not TOML: Invalid value (at end of document); allowed: TOML 1.0"),
        ("\n\n[a\n", "line 3"),
    ],
)
def test_no_toml(environ: dict[str, str], text: str, line: str) -> None:
    """What is no TOML is one mistake, with the line."""
    with pytest.raises(ConfigInvalid) as refusal:
        load(text, environ)
    assert len(refusal.value.errors) == 1
    assert line in str(refusal.value)


def test_files_that_cannot_be_read(tmp_path: Path, environ: dict[str, str]) -> None:
    """A file that is not there, or is no text, is one mistake that names it."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name, reason in (("absent.toml", "No such file"), ("binary.toml", "not text in UTF-8"), ("", "directory")):
        with pytest.raises(ConfigInvalid) as refusal:
            load_file(tmp_path / name, environ)
        (mistake,) = refusal.value.errors
        assert mistake.path == str(tmp_path / name)
        assert reason in mistake.found


def test_text_of_the_exception(environ: dict[str, str]) -> None:
    """The exception's text is its lines."""
    with pytest.raises(ConfigInvalid) as refusal:
        load("", environ)
    assert str(refusal.value).splitlines() == [str(mistake) for mistake in refusal.value.errors]


def test_a_path_with_base_url(loaded: Callable[..., Settings]) -> None:
    """The URL of an `http` provider may be a path behind its base URL."""
    assert loaded(("providers.own.url", "/send?to={to}"), ("providers.own.base_url", "http://localhost:1"))
