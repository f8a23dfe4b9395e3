"""A sample configuration with every common key, and the defaults of the keys that are missing."""

import ipaddress
from decimal import Decimal
from pathlib import Path

import pytest

from otp_service.domain.limits import Limits as Defaults
from otp_service.domain.limits import Window
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.settings import (
    ConfigInvalid,
    Settings,
    config_warnings,
    load,
    load_file,
    parse,
    unused_keys,
)
from otp_service.settings.model import Policy

SAMPLE = """
[server]
host = "127.0.0.1"
port = 8000
public_url = "https://otp.example.com"
trusted_proxies = ["10.0.0.0/8"]
workers = 1

[redis]
url = "env:OTP_REDIS_URL"

[keys]
current = "k1"
index = "k1"
k1 = "env:OTP_KEY_K1"

[tokens]
issuer = "https://otp.example.com"
current = "t1"
t1 = "file:PEM_FILE"

[hashing]
time_cost = 3
memory_kib = 12288
parallelism = 1

[tenants.acme]
brand = "Acme"
country = "ID"
countries = ["ID", "SG"]
purposes = ["login", "registration", "password_reset"]
api_keys = [{ id = "web", sha256 = "HASH", scopes = ["request", "verify", "read", "server"] }]
[tenants.acme.policy]
code_length = 6
ttl_seconds = 300
max_attempts = 5
resend_cooldown_seconds = 30
resend = "rotate"
max_sends = 5
allow_short_codes = false
[tenants.acme.templates.id]
default = "{brand}: kode verifikasi Anda {code}. Berlaku {minutes} menit. Jangan berikan kepada siapa pun."

[providers.jakarta]
type = "eims"
base_url = "http://127.0.0.1:20003"
account = "acme"
password = "env:JAKARTA_PASSWORD"
timeout_seconds = 8
max_per_second = 10
price = { ID = "0.015", default = "0.05" }
variant = "v1"
max_concurrent = 16
currency = "USD"
daily_message_cap = 5000
daily_spend_cap = "200"
alert_threshold = 0.8
block_on_limit = true

[providers.keda]
type = "kedasms"
base_url = "https://www.kedasms.net"
status_base_url = "https://backup.kedasms.net"
api_key = "env:KEDA_API_KEY"
encryption_key = "env:KEDA_ENCRYPTION_KEY"
sender_id = "Acme"

[providers.aurora]
type = "sendcloud"
base_url = "https://api.aurorasendcloud.com"
sms_user = "acme_sms"
sms_key = "env:AURORA_SMS_KEY"
mode = "template"
template_id = 1234
auth = "parameters"
hook_key = "env:AURORA_HOOK_KEY"

[providers.hub]
type = "smshub"
base_url = "https://hub.example.edu/smshub/api"
program_sid = "env:HUB_SID"
program_key = "env:HUB_KEY"
max_per_second = 1

[[routes]]
country = "ID"
prefix = "+62811"
providers = ["jakarta", "keda"]
[[routes]]
providers = ["keda", "aurora"]

[delivery]
hold_seconds = 15
max_texts = 2

[limits]
recipient = ["5/3600", "10/86400"]
recipient_failures = ["20/86400"]
client_ip = ["20/3600"]
prefix = ["100/3600"]
country = []
tenant = []
"""

MINIMAL = """
redis = { url = "env:REDIS_URL" }
keys = { current = "k1", index = "k1", k1 = "env:KEY" }
tokens = { issuer = "otp", current = "t1", t1 = "env:PEM" }
[tenants.acme]
country = "ID"
api_keys = [{ id = "web", sha256 = "HASH" }]
""".replace("HASH", "0" * 64)


@pytest.fixture
def sample_environ(environ: dict[str, str]) -> dict[str, str]:
    """Return the variables that the sample refers to."""
    names = ("JAKARTA_PASSWORD", "KEDA_API_KEY", "AURORA_SMS_KEY", "AURORA_HOOK_KEY", "HUB_SID", "HUB_KEY")
    keys = {"OTP_KEY_K1": environ["KEY"], "KEDA_ENCRYPTION_KEY": environ["KEY"]}
    return {"OTP_REDIS_URL": environ["REDIS_URL"]} | keys | dict.fromkeys(names, environ["PASSWORD"])


@pytest.fixture
def sample(tmp_path: Path, pem: str) -> str:
    """Return the sample, with its private key in a file."""
    (tmp_path / "token.pem").write_text(pem)
    return SAMPLE.replace("PEM_FILE", str(tmp_path / "token.pem")).replace("HASH", "AB" * 32)


@pytest.fixture
def settings(sample: str, sample_environ: dict[str, str]) -> Settings:
    """The tree of the sample."""
    return load(sample, sample_environ)


def test_sample_secrets(settings: Settings, environ: dict[str, str], pem: str) -> None:
    """Secrets are read from variables and files, and keys are decoded."""
    assert settings.redis.url.reveal() == environ["REDIS_URL"]
    assert settings.keys.material() == {"k1": bytes(range(32))}
    assert settings.tokens.ring["t1"].reveal() == pem.rstrip("\n")


def test_sample_tenant(settings: Settings) -> None:
    """A tenant's hash is in lower case, and its template compiled."""
    tenant = settings.tenants["acme"]
    assert (tenant.brand, tenant.country, tenant.countries) == ("Acme", "ID", ("ID", "SG"))
    assert tenant.api_keys[0].sha256 == "ab" * 32
    assert tenant.api_keys[0].scopes == ("request", "verify", "read", "server")
    assert (
        tenant.templates["id"]["default"].render("Acme", "123456", 5).startswith("Acme: kode verifikasi Anda 123456.")
    )
    assert tenant.policy == Policy()


def test_sample_providers(settings: Settings) -> None:
    """Each provider has the struct of its type, and prices are decimals."""
    assert [provider.type for provider in settings.providers.values()] == ["eims", "kedasms", "sendcloud", "smshub"]
    jakarta = settings.providers["jakarta"]
    assert isinstance(jakarta, EimsConfig)
    assert (jakarta.base_url, jakarta.account, jakarta.method) == ("http://127.0.0.1:20003", "acme", "get")
    assert dict(jakarta.price) == {"ID": Decimal("0.015"), "default": Decimal("0.05")}
    assert (jakarta.daily_spend_cap, jakarta.max_per_second) == (Decimal(200), 10.0)
    aurora = settings.providers["aurora"]
    assert isinstance(aurora, SendcloudConfig)
    assert (aurora.mode, aurora.template_id, dict(aurora.variables)) == ("template", 1234, {"code": "{code}"})


def test_sample_routes_and_server(settings: Settings) -> None:
    """Routes keep their order, and proxies are networks."""
    assert [[target.name for target in route.providers] for route in settings.routes] == [
        ["jakarta", "keda"],
        ["keda", "aurora"],
    ]
    assert (settings.routes[0].country, settings.routes[0].prefix) == ("ID", "+62811")
    assert settings.server.trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"),)


def test_sample_file(tmp_path: Path, sample: str, sample_environ: dict[str, str], settings: Settings) -> None:
    """Loading the file gives the same settings as loading its text."""
    (tmp_path / "otp.toml").write_text(sample)
    assert repr(load_file(tmp_path / "otp.toml", sample_environ)) == repr(settings)


def test_defaults(environ: dict[str, str]) -> None:
    """Missing keys have the documented defaults."""
    settings = load(MINIMAL, environ)
    server, hashing = settings.server, settings.hashing
    assert (server.host, server.port, server.workers, server.trusted_proxies) == ("127.0.0.1", 8000, 1, ())
    assert (hashing.time_cost, hashing.memory_kib, hashing.parallelism) == (3, 12288, 1)
    assert (hashing.allow_weak, hashing.threads, hashing.max_waiting) == (False, 0, 256)
    assert (settings.delivery.hold_seconds, settings.delivery.max_texts) == (15, 2)
    assert (settings.redis.allow_eviction, settings.providers, settings.routes) == (False, {}, ())


def test_default_limits(environ: dict[str, str]) -> None:
    """Missing rate limits have the defaults of the domain, by the names that `rate_limited` reports."""
    limits = load(MINIMAL, environ).limits
    named = {
        **limits.named(),
        "verify_ip": limits.verify_ip_windows(),
        "publishable_verify_ip": limits.publishable_verify_ip_windows(),
    }
    assert named == {name.rstrip("_"): getattr(Defaults(), name) for name in Defaults.__struct_fields__}
    assert named["recipient"] == (Window(5, 3600), Window(10, 86400))
    assert named["recipient_failures"] == (Window(20, 86400),)


def test_default_tenant(environ: dict[str, str]) -> None:
    """The default brand is the tenant's name, and only its own country is allowed."""
    tenant = load(MINIMAL, environ).tenants["acme"]
    assert (tenant.brand, tenant.countries) == ("acme", ("ID",))
    assert tenant.purposes == ("login", "registration", "password_reset")
    assert tenant.api_keys[0].scopes == ("request", "verify", "read")
    policy = tenant.policy
    assert (policy.code_length, policy.ttl_seconds, policy.max_attempts, policy.max_sends) == (6, 300, 5, 5)
    assert (policy.resend_cooldown_seconds, policy.resend, policy.allow_short_codes) == (30, "rotate", False)
    assert (policy.lockout_seconds, policy.max_lockout_seconds, policy.max_consecutive_failures) == (None, 3600, 100)


def test_frozen(settings: Settings) -> None:
    """Settings cannot be changed."""
    with pytest.raises(AttributeError):
        settings.server.port = 1  # type: ignore[misc]  # must fail
    with pytest.raises(TypeError):
        settings.tenants["other"] = settings.tenants["acme"]  # type: ignore[index]  # must fail


def test_sample_has_no_unused_keys(sample: str) -> None:
    """Every key of the sample has an effect."""
    assert unused_keys(parse(sample)) == []


def test_routing_warnings(settings: Settings, environ: dict[str, str]) -> None:
    """A missing route, and a provider without a route, is a warning."""
    assert config_warnings(load(MINIMAL, environ)) == [
        "routes: there is no route, so every request is answered with no_route"
    ]
    assert config_warnings(settings) == ["providers.hub: no route uses it"]


@pytest.mark.parametrize(("poll_seconds", "public_url", "warns"), [(0, "", True), (60, "", False), (0, "x", False)])
def test_warning_without_receipts(environ: dict[str, str], *, poll_seconds: int, public_url: str, warns: bool) -> None:
    """A Twilio provider whose messages are neither reported nor queried is a warning."""
    provider = 'type = "twilio"\naccount_sid = "AC1"\nauth_token = "env:TOKEN"\nfrom = "+15005550006"'
    text = f"{MINIMAL}\n[providers.first]\n{provider}\nreport_poll_seconds = {poll_seconds}"
    if public_url:
        text += '\n[server]\npublic_url = "https://otp.example.com"'
    warning = "providers.first: without server.public_url it cannot send receipts: messages stay in status sent"
    assert (warning in config_warnings(load(text, environ | {"TOKEN": "t"}))) is warns


def test_plain_secrets(environ: dict[str, str]) -> None:
    """Plain secrets are accepted only with `plain_secrets`; references work as well."""
    text = MINIMAL.replace("env:REDIS_URL", "redis://localhost")
    with pytest.raises(ConfigInvalid):
        load(text, environ)
    settings = load(text, environ, plain_secrets=True)
    assert settings.redis.url.reveal() == "redis://localhost"
    assert settings.keys.material() == {"k1": bytes(range(32))}
