"""A configuration with a provider of every type, and the values of its secrets."""

from __future__ import annotations

import base64
import copy
from typing import Any

from otp_service.settings import parse

KEY = base64.b64encode(bytes(range(32))).decode()


COMPLETE_CONFIG = """
[server]
port = 8000
trusted_proxies = ["10.0.0.0/8"]
[redis]
url = "env:REDIS_URL"
[keys]
current = "k1"
index = "k1"
k1 = "env:KEY"
[tokens]
issuer = "https://otp.example.com"
current = "t1"
t1 = "env:PEM"
[hashing]
[tenants.acme]
brand = "Acme"
country = "ID"
countries = ["ID", "SG"]
purposes = ["login"]
api_keys = [{ id = "web", sha256 = "%(a)s", scopes = ["request"] }, { id = "app", sha256 = "%(b)s" }]
[tenants.acme.policy]
[tenants.acme.templates.id]
default = "{brand}: {code}"
[captcha.human]
type = "turnstile"
secret = "env:PASSWORD"
[issuers.corp]
issuer = "https://login.example.com"
audience = "otp-service"
jwks_url = "https://login.example.com/jwks.json"
clients = { mobile-app = "acme" }
[tenants.acme.camara]
enabled = true
[tenants.acme.hooks.auth]
type = "kratos"
secret = "env:HOOK_TOKEN"
[providers.jakarta]
type = "eims"
base_url = "http://127.0.0.1:20003"
account = "acme"
password = "env:PASSWORD"
price = { ID = "0.015", default = "0.05" }
[providers.keda]
type = "kedasms"
api_key = "env:PASSWORD"
encryption_key = "env:KEY"
[providers.aurora]
type = "sendcloud"
sms_user = "acme"
sms_key = "env:PASSWORD"
template_id = 1234
[providers.hub]
type = "smshub"
base_url = "https://hub.example.edu/api"
program_sid = "env:PASSWORD"
program_key = "env:PASSWORD"
[providers.twilio]
type = "twilio"
account_sid = "AC1"
auth_token = "env:PASSWORD"
api_key_sid = "SK1"
api_key_secret = "env:PASSWORD"
webhook_shared_key = "env:PASSWORD"
from = "+15005550006"
[providers.vonage]
type = "vonage"
api_key = "a1b2c3d4"
api_secret = "env:PASSWORD"
from = "Acme"
[providers.smsc]
type = "smpp"
host = "smsc.example.net"
tls = true
system_id = "acme"
password = "env:PASSWORD"
from = "Acme"
[providers.whatsapp]
type = "whatsapp"
phone_number_id = "106540352242922"
access_token = "env:PASSWORD"
app_secret = "env:PASSWORD"
verify_token = "env:PASSWORD"
[providers.whatsapp.templates]
default = { name = "otp_code", language = "en_US" }
[providers.twilio_calls]
type = "twilio_voice"
account_sid = "AC1"
auth_token = "env:PASSWORD"
from = "+15005550006"
voices = { id = "Google.id-ID-Wavenet-A" }
[providers.vonage_calls]
type = "vonage_voice"
application_id = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
private_key = "env:RSA_PEM"
from = "447700900001"
signature_secret = "env:PASSWORD"
[providers.smtp]
type = "smtp"
host = "smtp.example.com"
username = "acme"
password = "env:PASSWORD"
from = "no-reply@example.com"
[providers.own]
type = "http"
url = "https://sms.example.com/send?to={to}"
headers = { Authorization = "env:PASSWORD", Idempotency-Key = "{message_id}" }
body = '{"text": "{text}"}'
[providers.box]
type = "inbox"
[[routes]]
country = "ID"
prefix = "+62811"
providers = ["jakarta", { name = "keda", weight = 3 }]
[[routes]]
providers = ["aurora"]
[[routes]]
channel = "voice"
providers = ["twilio_calls", "vonage_calls"]
[delivery]
[limits]
""" % {"a": "a" * 64, "b": "b" * 64}


PASSWORD = "hunter2-hunter2"


Edit = tuple[str, Any]
"""Where, and what is put there; None takes the key out (TOML has no null)."""


def edited_config(*edits: Edit) -> dict[str, Any]:
    """Return the configuration with these values set (`("routes.0.providers", [])`), or removed (None)."""
    document: Any = copy.deepcopy(parse(COMPLETE_CONFIG))
    for path, value in edits:
        *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
        table = document
        for part in way:
            table = table.setdefault(part, {}) if isinstance(table, dict) else table[part]
        if value is None:
            del table[last]
        elif isinstance(table, list) and last == len(table):
            table.append(value)
        else:
            table[last] = value
    return dict(document)
