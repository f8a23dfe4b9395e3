"""Configs and secrets as editors, shells and secret stores write them.

The ids are those of a collection of public bug reports about configuration files and environment variables.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from otp_service.cli import main
from otp_service.providers.eims.config import EimsConfig
from otp_service.sandbox.dev_config import API_KEY
from otp_service.settings import load
from tests.cli.service_config import api_client
from tests.service_process import ServiceProcess

PASSWORD = "gate way-password"
KEY = base64.b64encode(bytes(range(224, 256))).decode()
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ENVIRON = {"REDIS": "redis://:p%40ss@127.0.0.1:6379/0", "KEY": KEY, "PEM": PEM, "PASSWORD": PASSWORD}

CONFIG = """
[redis]
url = "env:REDIS"
[keys]
current = "k1"
index = "k1"
k1 = "env:KEY"
[tokens]
issuer = "https://otp.example.com"
current = "t1"
t1 = "env:PEM"
[tenants.acme]
country = "ID"
api_keys = [{ id = "web", sha256 = "%s" }]
[providers.jakarta]
type = "eims"
base_url = "http://127.0.0.1:9"
account = "acme"
password = "env:PASSWORD"
price = { default = "0.05" }
[[routes]]
providers = ["jakarta"]
""" % ("a" * 64)

Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Return a function that runs `check-config` on these bytes, with these environment variables."""

    def run(data: bytes = CONFIG.encode(), **environ: str | None) -> Result:
        (tmp_path / "otp.toml").write_bytes(data)
        words = ["check-config", "--config", str(tmp_path / "otp.toml")]
        return CliRunner().invoke(main, words, env={"OTP_CONFIG": None, **ENVIRON, **environ})

    return run


GOOD: dict[str, list[dict[str, str]]] = {
    "F02": [{"PASSWORD": f"{PASSWORD}\n"}, {"PASSWORD": f"\ufeff{PASSWORD}\r\n"}, {"REDIS": "redis://store\n"}],
    "F04": [
        {"KEY": f"{KEY}\n"},
        {"KEY": KEY.rstrip("=")},
        {"KEY": base64.urlsafe_b64encode(bytes(range(224, 256))).decode()},
        {"KEY": f'"{KEY}"'},
    ],
    "F05": [{"PEM": PEM.replace("\n", "\\n")}, {"PEM": PEM.replace("\n", " ")}, {"PEM": f"'{PEM}'"}],
}

BAD: dict[str, list[tuple[dict[str, str | None], str, str]]] = {
    "F04": [
        ({"KEY": KEY[:-4]}, "keys.k1", "30 bytes instead of 32"),
        ({"KEY": f"{KEY[:-2]}!="}, "keys.k1", "a character outside the alphabet"),
    ],
    "F05": [({"PEM": PEM[:80]}, "tokens.t1", "a BEGIN or END line is missing")],
    "F06": [
        ({"REDIS": "redis://:xq@zj#vk@127.0.0.1/0"}, "redis.url", "write %23"),
        ({"REDIS": "redis://:xq@zj@127.0.0.1/0"}, "redis.url", "write %40"),
        ({"REDIS": "redis://:xq/zj@127.0.0.1/0"}, "redis.url", "write %2F"),
        ({"REDIS": "redis://:xq?zj@127.0.0.1/0"}, "redis.url", "%3F"),
        ({"REDIS": "redis://:xq zj@127.0.0.1/0"}, "redis.url", "write %20"),
    ],
    "F08": [
        ({"PASSWORD": None}, "providers.jakarta.password", "is not set"),
        ({"PASSWORD": ""}, "providers.jakarta.password", "is empty"),
        ({"PASSWORD": "\r\n"}, "providers.jakarta.password", "is empty"),
    ],
}

FILES = {
    "UTF-16": (CONFIG.encode("utf-16"), "UTF-16"),
    "UTF-16 without a BOM": (CONFIG.encode("utf-16-le"), "UTF-16"),
    "Latin-1": ((CONFIG + "# é").encode("latin-1"), "not text in UTF-8"),
    "a table twice": ((CONFIG + "[redis]").encode(), "not TOML"),
    "an unknown placeholder": ((CONFIG + '[tenants.acme.templates.id]\ndefault = "{cod} {code}"').encode(), "{cod}"),
    "doubled braces": ((CONFIG + '[tenants.acme.templates.id]\ndefault = "{{code}}"').encode(), "templates.id.default"),
    "a prefix without a plus": ((CONFIG + '[[routes]]\nprefix = "62811"\nproviders = ["jakarta"]').encode(), "prefix"),
    "the line of sha256sum": (CONFIG.replace("a" * 64, "a" * 64 + "  -").encode(), "sha256"),
}


@pytest.mark.parametrize("data", [CONFIG.encode(), CONFIG.replace("\n", "\r\n").encode()], ids=["LF", "CRLF"])
def test_a_config_with_a_bom_is_valid(check: Check, data: bytes) -> None:
    """F01, F08: a config with a byte order mark is read, with LF or CRLF."""
    for head in (b"", codecs.BOM_UTF8):
        result = check(head + data)
        assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("environs", GOOD.values(), ids=GOOD.keys())
def test_other_forms_of_a_secret_are_valid(check: Check, environs: list[dict[str, str]]) -> None:
    """Trailing line ends, base64url, missing padding, quotes and escaped line ends are accepted."""
    for environ in environs:
        result = check(**environ)
        assert (result.exit_code, result.stderr) == (0, "")


def test_a_password_has_no_line_end() -> None:
    """F02: the line end after a variable's value is not sent to the gateway."""
    settings = load(CONFIG, {**ENVIRON, "PASSWORD": f"{PASSWORD}\r\n"})
    jakarta = settings.providers["jakarta"]
    assert isinstance(jakarta, EimsConfig)
    assert jakarta.password.reveal() == PASSWORD


@pytest.mark.parametrize(
    ("environ", "path", "reason"),
    [pytest.param(*row, id=f"{name}-{n}") for name in BAD for n, row in enumerate(BAD[name])],
)
def test_an_error_has_the_reason(check: Check, environ: dict[str, str | None], path: str, reason: str) -> None:
    """Status 2 and one line with path, reason and allowed values, without the value itself."""
    result = check(**environ)
    (line,) = result.stderr.splitlines()
    assert (result.exit_code, line.partition(":")[0]) == (2, path)
    assert reason in line
    assert not re.search(r"xq|zj|vk|MC4C|4OHi4", line)


@pytest.mark.parametrize(("data", "reason"), FILES.values(), ids=FILES.keys())
def test_an_unusable_file_is_an_error(check: Check, data: bytes, reason: str) -> None:
    """F08: one line and status 2."""
    result = check(data)
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 2
    assert reason in line


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[ServiceProcess]:
    """Start `otp-service dev`."""
    service = ServiceProcess(tmp_path, "dev", "--port", "0")
    yield service
    service.end()


async def test_the_token_check_of_the_readme_works(dev: ServiceProcess) -> None:
    """F10: PyJWKClient finds the key over HTTP, the audience is the tenant, and the token is valid for 300 s."""
    url = await dev.ready()
    async with api_client(url, API_KEY) as client:
        asked = await client.post("/v1/request-code", json={"phone": "0812-1010-0055", "purpose": "login"})
        verification_id = asked.json()["verification_id"]
        async with asyncio.timeout(5):
            while not (messages := (await client.get("/dev/messages")).json()["messages"]):
                await asyncio.sleep(0.01)
        code = re.findall(r"\d{6}", messages[0]["text"])[0]
        body = {"verification_id": verification_id, "code": code}
        token = (await client.post("/v1/verify-code", json=body)).json()["token"]
    keys = jwt.PyJWKClient(f"{url}/.well-known/jwks.json")
    key = await asyncio.to_thread(keys.get_signing_key_from_jwt, token)
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="demo", options={"require": ["exp", "iat"]})
    assert (claims["phone"], claims["purpose"], claims["jti"]) == ("+6281210100055", "login", verification_id)
    assert claims["exp"] - claims["iat"] == 300


@pytest.mark.parametrize("verb", ["check-config", "dev", "sandbox", "providers"])
def test_every_command_names_the_encoding(tmp_path: Path, verb: str) -> None:
    """F01, F08: for a file in UTF-16, each command prints one line that names the encoding."""
    (tmp_path / "otp.toml").write_bytes(CONFIG.encode("utf-16"))
    words = [verb, "--config", str(tmp_path / "otp.toml")]
    result = CliRunner().invoke(main, words, env=ENVIRON)
    assert result.exit_code == 2
    assert "it is UTF-16" in result.stderr
