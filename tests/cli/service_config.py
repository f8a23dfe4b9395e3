"""A configuration file for `otp-service serve`, its secrets, and a client for the service."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.service_process import ServiceProcess

API_KEY = "a-key-of-acme"


PASSWORD = "gateway-password"


SECRET_ENVIRON = {"KEY_K1": base64.b64encode(b"k" * 32).decode(), "GATEWAY_PASSWORD": PASSWORD}


CONFIG = """
[server]
port = 0
{server}
[redis]
url = "env:REDIS_URL"
{redis}
[keys]
current = "k1"
index = "k1"
k1 = "env:KEY_K1"
[tokens]
issuer = "https://otp.example.com"
current = "t1"
t1 = "file:{pem}"
[hashing]
time_cost = 1
memory_kib = {memory_kib}
allow_weak = true
[tenants.acme]
brand = "Acme"
country = "ID"
api_keys = [{{ id = "web", sha256 = "{sha256}" }}]
[providers.jakarta]
type = "eims"
base_url = "{gateway}"
account = "acme"
password = "env:GATEWAY_PASSWORD"
timeout_seconds = 0.5
{jakarta}
[[routes]]
providers = ["jakarta"]
"""


CommandStarter = Callable[..., ServiceProcess]


ConfigWriter = Callable[..., Path]


def api_client(url: str, key: str = API_KEY) -> httpx.AsyncClient:
    """Return a client with an API key."""
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30)
